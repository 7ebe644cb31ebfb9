"""The rows of an input file. A row that cannot be labelled is a :class:`Rejected`, never the end of the run."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import chain

from conflict_claims.batch.formats import FORMATS, MAX_ROW, Bad, Reading, Record, Values
from conflict_claims.batch.sources import BROKEN, STDIN, Opened, Source, find_sources, opened
from conflict_claims.errors import ClaimsError
from conflict_claims.runtime import MAX_CHARACTERS

SAMPLE = 100
"""So many rows that cannot be read at the start of a file, and it is none of the format that its name says."""
ID_COLUMNS = ("document", "id")


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


def sound_rows(name: str, sentences: bool = False) -> Iterator[Row]:
    """Yield the rows of a file or folder, for a command that needs every one.

    Raises:
        ClaimsError: a row cannot be read; with file and line.
    """
    for source in find_sources([name]):
        with opened(source) as file:
            for item in read_rows(source, file, Reading(sentences=sentences)):
                if isinstance(item, Rejected):
                    raise ClaimsError(f"{item.source}:{item.line}: {item.reason}")
                yield item


def read_rows(source: Source, file: Opened, reading: Reading) -> Iterator[Row | Rejected]:
    """Yield the rows of an opened source, good and bad, in order.

    Raises:
        ClaimsError: the file is not of its format at all, or has no column of the name that is read.
    """
    records = _unbroken(FORMATS[source.format](source, file, reading))
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
