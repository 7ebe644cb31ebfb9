"""What a run has written so far, and how far that is: a folder OUT.partial that a killed run leaves and goes on with.

Data are appended and flushed to the disk first; then progress.json, which says how long they are, is replaced at once.
Whatever a kill leaves beyond those lengths is cut off. At the end everything is put in its place.
"""

import errno
import fcntl
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO

from conflict_claims.batch.documents import RollUp
from conflict_claims.batch.labelling import Done, Layout, Window
from conflict_claims.batch.state import PARTS, State, Targets
from conflict_claims.batch.tables import merge, output_kind
from conflict_claims.errors import ClaimsError
from conflict_claims.model_folder import sync

PROGRESS = "progress.json"
OTHER = {"inputs": "other or changed input", "model": "another model", "options": "other options"}


class Partial:
    """The files of a run that is not finished. Make one with :func:`held`."""

    def __init__(self, targets: Targets, state: State) -> None:
        self.targets = targets
        self.state = state
        self.folder = targets.partial
        self._part: IO[bytes] | None = None
        self._rejected: IO[bytes] | None = None
        self._documents: RollUp | None = None
        if state.whole:
            return
        with self._writing():
            self._rejected = _at(self.folder / "rejected", state.rejected_length)
            if targets.documents:
                self._documents = RollUp(self.folder / "documents")
            if state.parts:
                self._part = _at(self._parts()[-1], state.length)

    def _parts(self) -> list[Path]:
        return [self.folder / f"rows-{k:06}" for k in range(1, self.state.parts + 1)]

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            reason = getattr(error, "strerror", None) or error
            kept = f"what was labelled so far is kept in {self.folder}: free some space and call the same command again"
            raise ClaimsError(
                f"{self.targets.output} could not be written ({reason}); nothing is lost, {kept}"
            ) from error

    def add(self, window: Window, done: Done, columns: Sequence[str], new_part: bool) -> None:
        """Append what came of a window; it counts when :meth:`commit` returns."""
        state = self.state
        with self._writing():
            if new_part:
                self._close_part()
                state.parts, state.length = state.parts + 1, 0
                self._part = _at(self._parts()[-1], 0)
            if self._part is not None:
                state.length += self._part.write(done.data)
            for rejected in done.rejected:
                self.reject(rejected.to_json().encode("utf-8", "replace"))
            if self._documents is not None:
                self._documents.add(state.windows + 1, done.documents)
        state.windows += 1
        state.source, state.row, state.bytes = window.end.source, window.end.row, window.bytes
        state.rows += done.rows
        state.sentences += done.sentences
        state.rejected += len(done.rejected)
        state.columns = list(columns)

    def reject(self, lines: bytes) -> None:
        """Append to the rows that could not be labelled."""
        if self._rejected is not None:
            with self._writing():
                self.state.rejected_length += self._rejected.write(lines)

    def commit(self) -> None:
        """Flush everything to the disk, then say how far it is."""
        with self._writing():
            for file in (self._part, self._rejected):
                if file is not None:
                    file.flush()
                    os.fsync(file.fileno())
            if self._documents is not None:
                self._documents.commit()
            beside = self.folder / f"{PROGRESS}.new"
            beside.write_text(json.dumps(asdict(self.state)), encoding="utf-8")
            sync(beside)
            beside.replace(self.folder / PROGRESS)
            sync(self.folder)

    def finish(self, layout: Layout) -> None:
        """Make the files that were asked for and put them in their places; killed in between, it is done again."""
        with self._writing():
            if not self.state.whole:
                self._close_part()
                if self.state.parts > 1:
                    merge(self._parts(), self._whole(), layout.kind)
                sync(self._whole())
                if self._documents is not None and self.targets.documents is not None:
                    kind = output_kind(self.targets.documents)
                    self._documents.write(self.folder / "roll-up", kind, layout.labels, layout.several)
                    sync(self.folder / "roll-up")
                self.state.whole = True
                self.commit()
            self.close()
            self._place()

    def _whole(self) -> Path:
        return self._parts()[0] if self.state.parts == 1 else self.folder / "output"

    def _place(self) -> None:
        if self.targets.documents is not None:
            _move(self.folder / "roll-up", self.targets.documents)
        if self.state.rejected:
            _move(self.folder / "rejected", self.targets.rejected)
        else:
            self.targets.rejected.unlink(missing_ok=True)
        _move(self._whole(), self.targets.output)
        sync(self.targets.output.parent)
        for path in self.folder.iterdir():  # progress.json goes last: killed here, the next run ends what is left
            if path.name != PROGRESS:
                path.unlink()
        shutil.rmtree(self.folder)

    def _close_part(self) -> None:
        if self._part is not None:
            self._part.flush()
            os.fsync(self._part.fileno())
            self._part.close()
            self._part = None

    def close(self) -> None:
        """Let go of the files; what was not committed is forgotten."""
        for file in (self._part, self._rejected, self._documents):
            if file is not None:
                with suppress(OSError):  # a full disk was said already
                    file.close()


def _at(path: Path, length: int) -> IO[bytes]:
    """A file to append to, cut back to a length."""
    found = path.stat().st_size if path.exists() else 0
    if found < length:
        raise ClaimsError(f"{path} is damaged ({found:,} bytes, expected {length:,}); pass --restart to start anew")
    file = path.open("r+b" if path.exists() else "w+b")
    file.truncate(length)
    file.seek(length)
    return file


def _move(path: Path, target: Path) -> None:
    if not path.exists():  # it was moved before a kill
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir():  # an older output in parts
        for part in target.glob(PARTS):
            part.unlink()
    try:
        path.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        beside = target.with_name(f".{target.name}.saving")  # on another disk
        shutil.copyfile(path, beside)
        sync(beside)
        beside.replace(target)


@contextmanager
def held(
    targets: Targets, identity: dict[str, str], *, overwrite: bool, restart: bool, stdin: bool
) -> Iterator[Partial]:
    """The partial output of a run, new or as a kill left it, held against other processes.

    Raises:
        ClaimsError: another process writes it, it belongs to another run, or something stands in its place.
    """
    folder = targets.partial
    with _locked(targets):
        try:
            state = None if restart else _read_state(folder)
            if state is not None:
                _refuse_other(folder, state, identity, stdin)
            if state is None or not state.whole:
                targets.check(overwrite)
            if state is None:
                _empty(folder)
            partial = Partial(targets, state or State(identity))
            try:
                yield partial
            finally:
                partial.close()
        finally:
            if folder.exists() and not (folder / PROGRESS).exists():  # nothing was labelled: nothing to go on with
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(targets: Targets) -> Iterator[None]:
    folder = targets.partial
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with suppress(FileNotFoundError):
                if os.path.samestat(folder.stat(), os.fstat(descriptor)):
                    yield
                    return
        except BlockingIOError:
            raise ClaimsError(
                f"another process is writing {targets.output}; wait for it, or choose another --output"
            ) from None
        finally:
            os.close(descriptor)  # else another process finished and removed the folder just now


def _read_state(folder: Path) -> State | None:
    path = folder / PROGRESS
    if not path.exists():
        return None
    try:
        return State(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise ClaimsError(f"{path} is damaged ({error}); pass --restart to start anew") from None


def _refuse_other(folder: Path, state: State, identity: dict[str, str], stdin: bool) -> None:
    anew = "pass --restart to start anew, which throws away what was labelled so far"
    if stdin:
        raise ClaimsError(f"{folder} is left of a run on standard input, which cannot be resumed; {anew}")
    for key, words in OTHER.items():
        if state.identity.get(key) != identity[key]:
            raise ClaimsError(
                f"{folder} is left of a run with {words} ({state.rows:,} rows are done); call the command of that run "
                f"to go on, or {anew}"
            )


def _empty(folder: Path) -> None:
    (folder / PROGRESS).unlink(missing_ok=True)  # first: without it the rest counts for nothing
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
