"""Label the sentences of any number of articles: read, split, predict, write; whatever happens in between.

Memory does not grow with the input. A run that is killed goes on where it stopped, and its output has every row once.
"""

import hashlib
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path

from conflict_claims import __version__
from conflict_claims.batch.formats import Reading
from conflict_claims.batch.labelling import WINDOW_CHARACTERS, WINDOW_ROWS, Done, Layout, Task, windows, workers
from conflict_claims.batch.partial import Partial, held
from conflict_claims.batch.rows import read_rows
from conflict_claims.batch.sources import STDIN, Source, find_sources, opened
from conflict_claims.batch.state import Targets
from conflict_claims.batch.tables import output_kind
from conflict_claims.errors import ClaimsError
from conflict_claims.model_folder import MANIFEST
from conflict_claims.runtime import ClaimModel, load

COMMIT_EVERY = 1.0
"""Seconds of work that a kill can cost, beside the windows that are under way."""
WORTH_PROCESSES = 8_000_000
"""From so many bytes of input on, TF-IDF uses all cores: starting a process takes a second or two."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run did. `bytes` and `total` (0: unknown) are of the input; `resumed` counts rows of an earlier run."""

    rows: int = 0
    sentences: int = 0
    rejected: int = 0
    bytes: int = 0
    total: int = 0
    resumed: int = 0


def predict_files(
    inputs: Sequence[str],
    output: Path,
    model_folder: Path,
    *,
    reading: Reading = Reading(),  # noqa: B008 - frozen
    stdin_format: str | None = None,
    documents: Path | None = None,
    overwrite: bool = False,
    restart: bool = False,
    processes: int = 1,
    objective: str | None = None,
    report: Callable[[Summary], None] = lambda summary: None,
) -> Summary:
    """Label every sentence of files, and go on where an earlier call with the same arguments was stopped.

    Args:
        inputs: .txt (one article each), .jsonl, .csv, .tsv or .parquet files, also .gz and .zst; folders of such; or
            `-` alone for standard input.
        output: .jsonl, .csv (also .gz, .zst) or .parquet. Each row has the input's other columns, `document`, `source`
            (where there are several files), `row` (its number in its file), `text, start, end` (the sentence and its
            place in the input's text), `labels`, `probabilities` (except in JSONL: one column per label). An input
            column of one of these names is kept as `input_NAME`. Rows that cannot be labelled go to
            `OUTPUT.rejected.jsonl`; until the end everything stands in the folder `OUTPUT.partial`.
        model_folder: the model.
        reading: which columns are read, and whether a row is a sentence already.
        stdin_format: what standard input holds: txt, jsonl, csv or tsv.
        documents: a second output: one row per document with its claims and the strongest sentence of each.
        overwrite: replace existing output, when the new one is whole.
        restart: throw away what a stopped call left.
        processes: for TF-IDF; 0 means one for each core where the input is large enough to be worth it (a script that
            asks for this needs `if __name__ == "__main__":`, as for every pool of processes).
        objective: what thresholds are for; see `conflict_claims.runtime.load`.
        report: called with the figures so far, again and again.

    Raises:
        ClaimsError: bad input or model, output that exists, or a disk that is full; nothing written before is lost.
    """
    targets = Targets(output, documents)
    kind = output_kind(output)
    if documents is not None:
        output_kind(documents)
    sources = find_sources(inputs, stdin_format, (*targets.all, targets.partial))
    if not targets.partial.exists():
        targets.check(overwrite)
    model_identity = identity_of(model_folder)
    model = load(model_folder, objective=objective)
    several = len(sources) > 1 or Path(inputs[0]).is_dir()
    layout = Layout(kind, model.labels, several, reading.sentences, documents is not None)
    options = {"reading": asdict(reading), "kind": asdict(kind), "documents": str(documents), "version": __version__}
    options["objective"] = model.manifest.objective
    identity = {
        "inputs": hashlib.sha256(repr([several, *map(asdict, sources)]).encode()).hexdigest(),
        "model": model_identity,
        "options": repr(options | {"window": (WINDOW_ROWS, WINDOW_CHARACTERS)}),
    }
    stdin = sources[0].name == STDIN
    if not stdin:
        look_at(sources, reading)
    with held(targets, identity, overwrite=overwrite, restart=restart, stdin=stdin) as partial:
        run = _Run(partial, layout, sources, model_folder, model_identity, report)
        if not partial.state.whole:
            run.label(model, reading, processes)
        partial.finish(layout)
        return run.summary()


def identity_of(model_folder: Path) -> str:
    """The sha256 of claims.json, which has that of every other file."""
    try:
        return hashlib.sha256((model_folder / MANIFEST).read_bytes()).hexdigest()
    except OSError:
        return ""  # loading says what is wrong


def look_at(sources: Sequence[Source], reading: Reading) -> None:
    """Read the beginning of every file: one of the wrong kind is said before anything is written."""
    found = False
    for source in sources:
        with opened(source) as file:
            found |= next(read_rows(source, file, reading), None) is not None
    if not found:
        raise ClaimsError(f"{sources[0].name}: expected rows with a column {reading.column!r}, found an empty file")


class _Run:
    """One call: windows go to the workers, and what comes back is written in their order."""

    def __init__(
        self,
        partial: Partial,
        layout: Layout,
        sources: Sequence[Source],
        model_folder: Path,
        model_identity: str,
        report: Callable[[Summary], None],
    ) -> None:
        self._partial = partial
        self._layout = layout
        self._sources = sources
        self._folder = model_folder
        self._identity = model_identity
        self._report = report
        self._resumed = partial.state.rows
        self._total = sum(source.size for source in sources)
        self._committed = time.monotonic()

    def summary(self) -> Summary:
        state = self._partial.state
        return Summary(state.rows, state.sentences, state.rejected, state.bytes, self._total, self._resumed)

    def label(self, model: ClaimModel, reading: Reading, processes: int) -> None:
        state = self._partial.state
        if not processes:
            cores = len(os.sched_getaffinity(0))
            worth = model.manifest.kind == "tfidf" and self._total - state.bytes >= WORTH_PROCESSES
            processes = cores if worth else 1
        columns = dict.fromkeys(state.columns)
        parts = state.parts
        pending: deque[tuple[Task, Future[Done]]] = deque()
        self._report(self.summary())
        try:
            with workers(self._folder, model, self._layout, processes) as submit:
                for window in windows(self._sources, reading, state.position):
                    known = len(columns)
                    if self._layout.kind.flat:
                        columns |= dict.fromkeys(self._layout.kept_of(window))
                    header = not parts or self._layout.kind.format == "parquet" or len(columns) > known
                    parts += header
                    task = Task(window, tuple(columns), header)
                    pending.append((task, submit(task)))
                    if len(pending) > processes + 1:
                        self._write(*pending.popleft())
                while pending:
                    self._write(*pending.popleft())
        except BrokenProcessPool:
            raise ClaimsError("a worker process died (out of memory?); call the same command again to go on") from None
        if not state.parts:
            raise ClaimsError("standard input: expected rows, found nothing")
        self._partial.commit()

    def _write(self, task: Task, future: "Future[Done]") -> None:
        done = future.result()
        if identity_of(self._folder) != self._identity:
            raise ClaimsError(
                f"{self._folder} changed during the run; put the model back and call the same command again, or pass "
                "--restart to start anew with what is there now"
            )
        self._partial.add(task.window, done, task.columns, task.header)
        if time.monotonic() - self._committed >= COMMIT_EVERY:
            self._partial.commit()
            self._committed = time.monotonic()
        self._report(self.summary())
