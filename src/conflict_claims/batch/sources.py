"""Which files a run reads, in a fixed order, and how their bytes are opened."""

import gzip
import io
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conflict_claims.errors import ClaimsError

FORMATS = {
    ".txt": "txt",
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
COMPRESSIONS = (".gz", ".zst")
STDIN = "-"
BROKEN = (EOFError, zlib.error, gzip.BadGzipFile)
"""What a compressed file that is cut off or damaged raises while it is read."""
WRONG = {
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a ZIP archive, or an office document or spreadsheet",
    b"\xd0\xcf\x11\xe0": "an old office document",
    b"\xff\xfe": "UTF-16 text; save it as UTF-8",
    b"\xfe\xff": "UTF-16 text; save it as UTF-8",
    b"\x1f\x8b": "gzip; let the name end in .gz",
    b"\x28\xb5\x2f\xfd": "zstd; let the name end in .zst",
    b"PAR1\x15": "Parquet; let the name end in .parquet",
}


@dataclass(frozen=True, slots=True)
class Source:
    """A file to read: its name as the user gave it, and how big and how old it was when the run began."""

    name: str
    format: str
    compression: str = ""
    size: int = 0
    changed: int = 0


@dataclass(slots=True)
class Opened:
    """The uncompressed bytes of a source, and the file below them.

    `share` is how much of a file is read that is not read from front to back (Parquet), from 0 to 1.
    """

    source: Source
    stream: io.BufferedReader
    below: io.BufferedReader | None
    share: float | None = None

    def position(self) -> int:
        """Bytes read so far, as the file has them on the disk."""
        if self.share is not None:
            return int(self.share * self.source.size)
        return self.below.tell() if self.below is not None else 0


def kind_of(path: str | Path) -> tuple[str, str]:
    """Format and compression that a name stands for: `("csv", ".gz")` for `a.csv.gz`; empty where it says nothing."""
    name, compression = Path(path).name.lower(), ""
    for ending in COMPRESSIONS:
        if name.endswith(ending):
            name, compression = name.removesuffix(ending), ending
    return FORMATS.get(Path(name).suffix, ""), compression


def find_sources(
    inputs: Sequence[str], stdin_format: str | None = None, leave_out: Sequence[Path] = ()
) -> list[Source]:
    """The files that inputs name, in a fixed order.

    Args:
        inputs: files and folders; a folder stands for all files in it with a known ending, however deep, by name.
            `-` alone is standard input.
        stdin_format: what standard input holds: txt (default), jsonl, csv or tsv.
        leave_out: files and folders that are never input: what the run itself writes.

    Raises:
        ClaimsError: a file is missing or of an unknown kind, or nothing is found.
    """
    if STDIN in inputs:
        if len(inputs) > 1:
            raise ClaimsError("standard input (-) must be the only input; name files alone, or pipe all of them in")
        return [Source(STDIN, stdin_format or "txt")]
    if stdin_format is not None:
        raise ClaimsError("--format says what standard input (-) holds; the names of files say it themselves")
    own = {path.resolve() for path in leave_out}
    sources: dict[str, Source] = {}
    for given in inputs:
        path = Path(given)
        for file in _files_below(path, own) if path.is_dir() else [path]:
            source = _source(file)
            if sources.setdefault(source.name, source) is not source:
                raise ClaimsError(f"{source.name} is named twice; name each file once")
        if path.resolve() in own:
            raise ClaimsError(f"{path} is both input and output; choose another --output")
    return list(sources.values())


def _files_below(folder: Path, own: set[Path]) -> list[Path]:
    found = []
    for where, folders, names in os.walk(folder):
        here, real = Path(where), Path(where).resolve()
        folders[:] = sorted(n for n in folders if not n.startswith(".") and real / n not in own)
        for name in sorted(names):
            if kind_of(name)[0] and not name.startswith(".") and (here / name).is_file() and real / name not in own:
                found.append(here / name)
    if not found:
        raise ClaimsError(f"{folder}: expected files ending in {', '.join(FORMATS)} (also .gz, .zst), found none")
    return found


def _source(path: Path) -> Source:
    format_, compression = kind_of(path)
    if not path.is_file():
        raise ClaimsError(f"{path}: no such file; expected a file, a folder, or - for standard input")
    if not format_:
        raise ClaimsError(
            f"{path}: expected a name ending in {', '.join(FORMATS)} (also .gz, .zst), found "
            f"{path.suffix or 'no ending'}"
        )
    return source_of(path, format_, compression)


def source_of(path: Path, format_: str, compression: str) -> Source:
    """A file that is there, whatever its name says, as a source."""
    status = path.stat()
    return Source(str(path), format_, compression, status.st_size, status.st_mtime_ns)


@contextmanager
def opened(source: Source) -> Iterator[Opened]:
    """Open a source for reading, uncompressed.

    Raises:
        ClaimsError: it is of another kind than its name says, or is not the file any more that it was.
    """
    if source.name == STDIN:
        stdin: Any = sys.stdin.buffer
        _refuse_wrong(stdin, source)
        yield Opened(source, stdin, None)
        return
    try:
        below = Path(source.name).open("rb")  # noqa: SIM115 - closed by the with statement below
    except OSError as error:
        raise ClaimsError(f"{source.name} could not be opened ({error.strerror or error})") from None
    with below:
        _refuse_changed(source, below)
        with _uncompressed(below, source) as stream:
            _refuse_wrong(stream, source)
            yield Opened(source, stream, below)
        _refuse_changed(source, below)


def _refuse_changed(source: Source, file: io.BufferedReader) -> None:
    status = os.fstat(file.fileno())
    if (status.st_size, status.st_mtime_ns) != (source.size, source.changed):
        raise ClaimsError(f"{source.name} changed during the run; pass --restart to start anew with what it is now")


def _refuse_wrong(stream: io.BufferedReader, source: Source) -> None:
    try:
        head = stream.peek(8)[:8]
    except BROKEN as error:
        raise ClaimsError(
            f"{source.name}: expected {source.compression} data, found something else ({error})"
        ) from None
    for magic, kind in WRONG.items():
        if source.format != "parquet" and head.startswith(magic):
            raise ClaimsError(f"{source.name}: expected {source.format} text in UTF-8, found {kind}")


@contextmanager
def _uncompressed(below: io.BufferedReader, source: Source) -> Iterator[io.BufferedReader]:
    raw: Any = below
    if source.compression == ".gz":
        raw = gzip.GzipFile(fileobj=below)
    elif source.compression == ".zst":
        raw = _Unzstd(below)
    if source.format == "parquet" and source.compression:  # Parquet is read from its end: it needs a real file
        with tempfile.TemporaryFile() as whole, raw:
            try:
                shutil.copyfileobj(raw, whole)
            except BROKEN as error:
                raise ClaimsError(f"{source.name} is cut off or damaged ({error}); copy it again") from None
            whole.seek(0)
            yield io.BufferedReader(whole)
    elif source.compression == ".zst":
        with io.BufferedReader(raw, 1 << 20) as stream:
            yield stream
    else:  # a gzip file buffers by itself; one more buffer around it would lose what stands before a cut
        yield raw


class _Unzstd(io.RawIOBase):
    """Read zstd frames one after the other; unlike zstandard's own reader this one sees where a file is cut off."""

    def __init__(self, below: io.BufferedReader) -> None:
        self._zstandard = zstandard()
        self._below = below
        self._frame: Any = None
        self._rest = b""
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer
        while not self._ready:
            chunk = self._rest or self._below.read(1 << 14)
            if not chunk:
                if self._frame is not None:
                    raise EOFError("the zstd data end before their end mark")
                return 0
            if self._frame is None:
                self._frame = self._zstandard.ZstdDecompressor().decompressobj()
            try:
                self._ready = memoryview(self._frame.decompress(chunk))
            except self._zstandard.ZstdError as error:
                raise EOFError(str(error)) from None
            self._rest = self._frame.unused_data if self._frame.eof else b""
            if self._frame.eof:
                self._frame = None
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size


def zstandard() -> Any:  # noqa: ANN401 - a module
    """The library for .zst files, or a ClaimsError that says how to install it."""
    try:
        import zstandard
    except ModuleNotFoundError:
        raise ClaimsError(
            "files ending in .zst need the extra formats: pip install 'PATH-OF-THE-CLONE[formats]'"
        ) from None
    return zstandard


def parquet() -> tuple[Any, Any]:
    """The library pyarrow and its module for Parquet, or a ClaimsError that says how to install them."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise ClaimsError("Parquet files need the extra formats: pip install 'PATH-OF-THE-CLONE[formats]'") from None
    return pyarrow, pyarrow.parquet
