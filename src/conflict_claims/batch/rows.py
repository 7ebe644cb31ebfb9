"""The rows of an input file. A row that cannot be labelled is a :class:`Rejected`, never the end of the run."""

import csv
import json
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import chain
from typing import Any

from conflict_claims.batch.sources import BROKEN, STDIN, Opened, Source, parquet
from conflict_claims.errors import ClaimsError
from conflict_claims.runtime import MAX_CHARACTERS

MAX_ROW = 5_000_000
"""Bytes of a row (characters, in Parquet): a longer one is rejected without being held in memory."""
SAMPLE = 100
"""So many rows that cannot be read at the start of a file, and it is none of the format that its name says."""
ID_COLUMNS = ("document", "id")
Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reading:
    """How rows are read: the column of the text, that of the document's id, and whether a text is one sentence."""

    column: str = "text"
    id_column: str | None = None
    sentences: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One text to label: the article or sentence of one row, with the other columns of the row."""

    source: str
    number: int
    line: int
    document: str
    text: str
    columns: Values = field(default_factory=dict)

    @property
    def weight(self) -> int:
        """Characters, about: what the row costs in memory."""
        return len(self.text) + sum(map(_size, self.columns.values()))


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that is not labelled: where it stands, why, and how it begins."""

    source: str
    row: int
    line: int
    reason: str
    begins: str = ""
    weight = 0

    def to_json(self) -> str:
        """One line of OUT.rejected.jsonl."""
        return json.dumps(asdict(self), ensure_ascii=False) + "\n"


@dataclass(frozen=True, slots=True)
class Bad:
    """What a format yields in place of a row that it cannot read."""

    reason: str
    begins: str = ""


Record = tuple[int, Values | Bad]
"""The number of a record's first line, and the record."""


def read_rows(source: Source, file: Opened, reading: Reading) -> Iterator[Row | Rejected]:
    """Yield the rows of an opened source, good and bad, in order.

    Raises:
        ClaimsError: the file is not of its format at all, or has no column of the name that is read.
    """
    records = _unbroken(_FORMATS[source.format](source, file, reading))
    for number, (line, found) in enumerate(_checked(records, source, reading), 1):
        reason = found.reason if isinstance(found, Bad) else _why_no_text(found.get(reading.column), reading)
        if isinstance(found, Bad):
            yield Rejected(_shown(source), number, line, reason, found.begins)
        elif reason:
            begins = json.dumps(found, ensure_ascii=False, default=str)[:200]
            yield Rejected(_shown(source), number, line, reason, begins)
        else:
            columns = {name: value for name, value in found.items() if name != reading.column}
            document = _document(source, number, found, reading)
            yield Row(_shown(source), number, line, document, found[reading.column], columns)


def _size(value: object) -> int:
    if isinstance(value, str | bytes):
        return len(value)
    return len(str(value)) if isinstance(value, list | dict) else 8


def _shown(source: Source) -> str:
    return "standard input" if source.name == STDIN else source.name


def _document(source: Source, number: int, values: Values, reading: Reading) -> str:
    for name in (reading.id_column,) if reading.id_column else ID_COLUMNS:
        if values.get(name) not in (None, ""):
            return str(values[name])
    whole = source.format == "txt" and not reading.sentences
    return _shown(source) if whole else f"{_shown(source)}:{number}"


def _why_no_text(value: object, reading: Reading) -> str:
    """Why a value is no text to label; empty if it is one."""
    if value is None or value == "":
        return f"expected a text in the column {reading.column!r}, found nothing"
    if not isinstance(value, str):
        return f"expected a text in the column {reading.column!r}, found {type(value).__name__}"
    if "\0" in value:
        return f"the text has a NUL byte at character {value.index(chr(0)) + 1:,}"
    if len(value) > MAX_ROW:
        return f"the text has {len(value):,} characters, at most {MAX_ROW:,} are read; split it"
    if reading.sentences and len(value) > MAX_CHARACTERS:
        return f"a sentence has at most {MAX_CHARACTERS:,} characters, this has {len(value):,}; leave --sentences out"
    return "" if value.strip() else f"expected a text in the column {reading.column!r}, found only white space"


def _unbroken(records: Iterator[Record]) -> Iterator[Record]:
    """End a file that is cut off or damaged with a bad record instead of an exception."""
    line = 0
    try:
        for line, found in records:
            yield line, found
    except BROKEN as error:
        yield line + 1, Bad(f"the file is cut off or damaged from here on ({error}); the rest of it was not read")


def _checked(records: Iterator[Record], source: Source, reading: Reading) -> Iterator[Record]:
    """The same records, after a look at the first ones: a wrong file is said before anything is written."""
    sample: list[Record] = []
    columns: list[str] = []
    for record in records:
        sample.append(record)
        if isinstance(record[1], dict):
            columns = list(map(str, record[1]))
        if columns or len(sample) == SAMPLE:
            break
    for name in (reading.column, reading.id_column):
        if name is not None and columns and name not in columns and (source.format != "txt"):
            raise ClaimsError(f"{source.name}:{sample[-1][0]}: expected a column {name!r}, found {', '.join(columns)}")
    if len(sample) == SAMPLE and isinstance(sample[0][1], Bad) and not columns:
        reason = sample[0][1].reason
        raise ClaimsError(f"{source.name}: none of the first {SAMPLE} rows could be read; the first: {reason}")
    return chain(sample, records)


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


_FORMATS: dict[str, Callable[[Source, Opened, Reading], Iterator[Record]]] = {
    "txt": _txt,
    "csv": _csv,
    "tsv": _csv,
    "jsonl": _jsonl,
    "parquet": _parquet,
}
