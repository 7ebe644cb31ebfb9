"""The formats of input files: each yields its records one by one, and says of a broken one what is wrong with it."""

import csv
import json
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from conflict_claims.batch.sources import Opened, Source, parquet
from conflict_claims.errors import ClaimsError

MAX_ROW = 5_000_000
"""Bytes of a row (characters, in Parquet): a longer one is rejected without being held in memory."""
Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reading:
    """How rows are read: the column of the text, that of the document's id, and whether a text is one sentence."""

    column: str = "text"
    id_column: str | None = None
    sentences: bool = False


@dataclass(frozen=True, slots=True)
class Bad:
    """What a format yields in place of a row that it cannot read."""

    reason: str
    begins: str = ""


Record = tuple[int, Values | Bad]
"""The number of a record's first line, and the record."""


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    raw: bytes
    too_long: bool

    def decoded(self) -> "str | Bad":
        if self.too_long:
            return Bad(f"the row has more than {MAX_ROW:,} bytes; split it", self.begins())
        try:
            return self.raw.decode("utf-8-sig" if self.number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            return Bad(_not_utf8(error), self.begins())

    def begins(self) -> str:
        return self.raw[:200].decode("utf-8", "replace")


def _not_utf8(error: UnicodeDecodeError) -> str:
    return f"expected UTF-8, found byte 0x{error.object[error.start]:02x} at byte {error.start + 1:,}; save it as UTF-8"


def _lines(file: Opened) -> Iterator[_Line]:
    """The lines of a file; of one that is too long only the beginning is kept."""
    number = 0
    while raw := file.stream.readline(MAX_ROW + 1):
        number += 1
        too_long = len(raw) > MAX_ROW
        rest = raw
        while len(rest) > MAX_ROW and not rest.endswith(b"\n"):
            rest = file.stream.readline(MAX_ROW + 1)
        yield _Line(number, raw[:1000] if too_long else raw, too_long)


def _txt(source: Source, file: Opened, reading: Reading) -> Iterator[Record]:
    if reading.sentences:
        for line in _lines(file):
            found = line.decoded()
            if isinstance(found, Bad) or found.strip():
                yield line.number, found if isinstance(found, Bad) else {reading.column: found.strip("\r\n")}
        return
    raw = file.stream.read(MAX_ROW + 1)
    found = _Line(1, raw, len(raw) > MAX_ROW).decoded()
    yield 1, found if isinstance(found, Bad) else {reading.column: found}


def _jsonl(source: Source, file: Opened, reading: Reading) -> Iterator[Record]:
    for line in _lines(file):
        found = line.decoded()
        if isinstance(found, Bad):
            yield line.number, found
        elif found.strip():
            yield line.number, _object(found, line)


def _object(text: str, line: _Line) -> Values | Bad:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        return Bad(f"broken JSON ({error.msg} at column {error.colno})", line.begins())
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets in brackets in ...
        return Bad(f"broken JSON ({error})", line.begins())
    return (
        value if isinstance(value, dict) else Bad(f"expected a JSON object, found {type(value).__name__}", text[:200])
    )


class _TooLongError(Exception):
    """A CSV record goes on for longer than a row may be."""


class _Record:
    """The lines that csv.reader pulls, which remembers those of the record that is being read."""

    def __init__(self, lines: Iterator[_Line]) -> None:
        self._lines = lines
        self._again: deque[_Line] = deque()
        self.begin()

    def begin(self) -> None:
        self.lines: list[_Line] = []
        self.bad: Bad | None = None
        self._size = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines)
        self.lines.append(line)
        self._size += len(line.raw)
        if line.too_long or self._size > MAX_ROW:
            raise _TooLongError
        found = line.decoded()
        if isinstance(found, Bad):  # the record is read to its end all the same, so that the next one begins right
            self.bad = self.bad or found
            return line.raw.decode("utf-8", "surrogateescape")
        return found

    def give_back(self) -> None:
        """Read all lines but the first once more: a quotation mark too many must not swallow what follows."""
        self._again.extendleft(reversed(self.lines[1:]))


def _csv(source: Source, file: Opened, reading: Reading) -> Iterator[Record]:
    csv.field_size_limit(2**31 - 1)  # _Record has a limit of its own, for the whole row
    record = _Record(_lines(file))
    reader = csv.reader(record, delimiter="," if source.format == "csv" else "\t", strict=True)
    header: list[str] | None = None
    while True:
        record.begin()
        try:
            found: list[str] | Bad = next(reader)
        except StopIteration:
            return
        except (csv.Error, _TooLongError) as error:
            record.give_back()
            long = f"the row has more than {MAX_ROW:,} bytes; split it, or look for a quotation mark that is not closed"
            found = Bad(long if isinstance(error, _TooLongError) else f"broken CSV ({error})", record.lines[0].begins())
        found = record.bad or found
        line = record.lines[0].number
        if header is None:
            header = _header(found, f"{source.name}:{line}")
        elif isinstance(found, Bad):
            yield line, found
        elif len(found) == len(header):
            yield line, dict(zip(header, found, strict=True))
        elif found:
            yield line, Bad(f"expected {len(header)} columns, found {len(found)}", record.lines[0].begins())


def _header(found: list[str] | Bad, where: str) -> list[str]:
    if isinstance(found, Bad):
        raise ClaimsError(f"{where}: expected the names of the columns, found {found.reason}")
    twice = {name for name in found if found.count(name) > 1}
    if twice:
        raise ClaimsError(f"{where}: the column {min(twice)!r} stands twice in the header; rename one")
    return found


def _parquet(source: Source, file: Opened, reading: Reading) -> Iterator[Record]:
    pyarrow, pq = parquet()
    try:
        table = pq.ParquetFile(file.stream, pre_buffer=False, buffer_size=1 << 20)
    except (pyarrow.ArrowException, OSError) as error:
        raise ClaimsError(f"{source.name}: expected Parquet, found something else ({error})") from None
    number = 0
    try:
        for batch in table.iter_batches(batch_size=256):
            for values in batch.to_pylist():
                number += 1
                file.share = number / table.metadata.num_rows
                yield number, values
    except (pyarrow.ArrowException, OSError) as error:
        raise EOFError(str(error)) from None


FORMATS: dict[str, Callable[[Source, Opened, Reading], Iterator[Record]]] = {
    "txt": _txt,
    "csv": _csv,
    "tsv": _csv,
    "jsonl": _jsonl,
    "parquet": _parquet,
}
