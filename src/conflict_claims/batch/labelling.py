"""From rows to labelled sentences: windows of rows, what a model says of one, and the workers that do the windows.

`windows`, `label_rows` and `sentence_rows` stand alone: another engine can read, label and write with them.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conflict_claims.batch.documents import Found, summarise
from conflict_claims.batch.formats import Reading
from conflict_claims.batch.rows import Rejected, Row, read_rows
from conflict_claims.batch.sources import Source, opened
from conflict_claims.batch.tables import NAMES, Kind, TableRow, encode
from conflict_claims.errors import ClaimsError
from conflict_claims.runtime import ClaimModel, Prediction, load
from conflict_claims.text import normalise

WINDOW_ROWS = 4096
WINDOW_CHARACTERS = 400_000
"""A window ends when it has so many rows or characters: some thousand sentences, enough for sorting by length to pay,
and little to do again after a kill."""
MAX_REPEATED = 50_000_000
"""A row's other columns stand beside each of its sentences; so many characters of that are too many."""


@dataclass(frozen=True, slots=True)
class Position:
    """So many sources are finished, and so many rows of the next one."""

    source: int = 0
    row: int = 0


@dataclass(frozen=True, slots=True)
class Window:
    """Rows that are labelled together, where the reading stands after them, and the bytes read by then."""

    items: tuple[Row | Rejected, ...]
    end: Position
    bytes: int


@dataclass(frozen=True, slots=True)
class Layout:
    """What an output row has: the labels, the source where there are several, and the kind of file."""

    kind: Kind
    labels: tuple[str, ...]
    several: bool
    sentences: bool
    documents: bool

    @property
    def own(self) -> dict[str, str]:
        """The columns that are ours, in order, with types; an input column of such a name is kept as `input_NAME`."""
        source = {"source": "string"} if self.several else {}
        place = {"row": "int64", "text": "string", "start": "int64", "end": "int64", "labels": NAMES}
        probabilities = dict.fromkeys(self.labels, "double") if self.kind.flat else {"probabilities": ""}
        return {"document": "string"} | source | place | probabilities

    def kept(self, names: Iterable[str]) -> list[str]:
        """The names that the input's other columns have in the output."""
        own = self.own
        return [f"input_{name}" if name in own else name for name in names]

    def kept_of(self, window: Window) -> list[str]:
        """The names that the other columns of a window's rows have in the output, in order."""
        return self.kept({name: None for item in window.items for name in getattr(item, "columns", ())})


@dataclass(frozen=True, slots=True)
class Task:
    """A window to label and to encode, with the kept columns known so far."""

    window: Window
    columns: tuple[str, ...]
    header: bool


@dataclass(frozen=True, slots=True)
class Done:
    """A window's piece of the output, and what is to be remembered of it."""

    data: bytes
    sentences: int
    rows: int
    rejected: tuple[Rejected, ...]
    documents: tuple[Found, ...] = field(default=())


def windows(sources: Sequence[Source], reading: Reading, start: Position = Position()) -> Iterator[Window]:
    """Yield the rows of all sources in windows, from a position on. The same position gives the same windows."""
    items: list[Row | Rejected] = []
    weight = 0
    before = sum(source.size for source in sources[: start.source])
    for k, source in enumerate(sources[start.source :], start.source):
        skipped = start.row if k == start.source else 0
        with opened(source) as file:
            for number, item in enumerate(read_rows(source, file, reading), 1):
                if number <= skipped:
                    continue
                items.append(item)
                weight += item.weight
                if len(items) >= WINDOW_ROWS or weight >= WINDOW_CHARACTERS:
                    yield Window(tuple(items), Position(k, number), before + file.position())
                    items, weight = [], 0
        before += source.size
    if items:
        yield Window(tuple(items), Position(len(sources), 0), before)


def label_rows(model: ClaimModel, rows: Sequence[Row], sentences: bool = False) -> list[list[Prediction]]:
    """The predictions of each row's text, in order.

    Raises:
        ClaimsError: the model refuses a text; the rows are named.
    """
    try:
        return model.predict([row.text for row in rows], sentences=sentences)
    except ClaimsError as error:
        first, last = rows[0], rows[-1]
        where = f"{first.source}, row {first.number:,}, to {last.source}, row {last.number:,}"
        raise ClaimsError(f"{where}: {error}") from None


def sentence_rows(row: Row, predictions: Iterable[Prediction], layout: Layout) -> Iterator[TableRow]:
    """One output row per sentence: the input's other columns, then our own."""
    kept = dict(zip(layout.kept(row.columns), row.columns.values(), strict=True))
    kept["document"] = row.document
    if layout.several:
        kept["source"] = row.source
    for p in predictions:
        probabilities = {name: round(value, 4) for name, value in p.probabilities.items()}
        yield kept | {
            "row": row.number,
            "text": p.text,
            "start": p.start,
            "end": p.end,
            "labels": list(p.labels),
            **(probabilities if layout.kind.flat else {"probabilities": probabilities}),
        }


def work(model: ClaimModel, task: Task, layout: Layout) -> Done:
    """Label a window and encode what comes out."""
    items = [_visible(item) if layout.sentences and isinstance(item, Row) else item for item in task.window.items]
    rows = [item for item in items if isinstance(item, Row)]
    predicted = iter(label_rows(model, rows, layout.sentences))
    table: list[TableRow] = []
    rejected: list[Rejected] = []
    good: list[tuple[Row, list[Prediction]]] = []
    for item in items:
        found = item if isinstance(item, Rejected) else _repeatable(item, next(predicted))
        if isinstance(found, Rejected):
            rejected.append(found)
        elif isinstance(item, Row):
            table.extend(sentence_rows(item, found, layout))
            good.append((item, found))
    columns = dict.fromkeys(task.columns, "") | layout.own
    data = encode(table, columns, layout.kind, task.header) if table or task.header else b""
    documents = summarise(good, layout.labels) if layout.documents else ()
    return Done(data, len(table), len(items), tuple(rejected), documents)


def _visible(row: Row) -> Row | Rejected:
    """A sentence that has something to read: a single visible character is enough."""
    if any(map(str.isalnum, row.text[:100])) or normalise(row.text):
        return row
    return Rejected(row.source, row.number, row.line, "expected a text, found invisible characters alone")


def _repeatable(row: Row, predictions: list[Prediction]) -> list[Prediction] | Rejected:
    if not predictions:
        return Rejected(row.source, row.number, row.line, "expected a text, found invisible characters alone")
    size = row.weight - len(row.text)
    if size * len(predictions) > MAX_REPEATED:
        reason = (
            f"its other columns have {size:,} characters, and would be repeated beside {len(predictions):,} sentences"
        )
        return Rejected(row.source, row.number, row.line, f"{reason}; leave long columns out", row.text[:200])
    return predictions


# workers


@contextmanager
def workers(
    folder: Path, model: ClaimModel, layout: Layout, processes: int
) -> Iterator[Callable[[Task], "Future[Done]"]]:
    """What to call with a task; tasks are done in the order of the calls, or beside each other.

    A transformer uses all cores by itself: one thread computes while the caller reads and writes. TF-IDF is Python and
    needs processes for that; they end with their parent, however it ends.
    """
    executor: Executor
    if processes > 1:
        context = multiprocessing.get_context("spawn")
        executor = ProcessPoolExecutor(
            processes, context, initializer=_start, initargs=(folder, layout, model.manifest.objective)
        )
        submit = lambda task: executor.submit(_work_here, task)  # noqa: E731
    else:
        executor = ThreadPoolExecutor(1)
        submit = lambda task: executor.submit(work, model, task, layout)  # noqa: E731
    try:
        yield submit
    finally:
        executor.shutdown(cancel_futures=True)


_here: dict[str, Any] = {}
"""A worker process's own model and layout."""


def _start(folder: Path, layout: Layout, objective: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent to answer
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _here.update(model=load(folder, threads=1, objective=objective), layout=layout)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work_here(task: Task) -> Done:
    return work(_here["model"], task, _here["layout"])
