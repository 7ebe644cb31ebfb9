"""Rows of a table as bytes, part by part: JSONL, CSV or Parquet; and the parts made one file.

A part of JSONL or CSV may grow by whole pieces, and each piece of a compressed one is a frame of its own: a file that
is cut back to the end of a piece is whole.
"""

import base64
import csv
import gzip
import io
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from conflict_claims.batch.sources import kind_of, opened, parquet, source_of, zstandard
from conflict_claims.errors import ClaimsError

GROUP_ROWS, GROUP_BYTES = 65_536, 32_000_000
"""A row group of a merged Parquet file is full when it has so many rows or bytes."""
NAMES = "list<string>"
"""The Arrow type of a list of labels."""
TableRow = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """Format and compression of an output."""

    format: str
    compression: str = ""

    @property
    def flat(self) -> bool:
        """A table of fixed columns, with one for every label; JSONL nests them."""
        return self.format != "jsonl"


def output_kind(path: Path) -> Kind:
    """The kind that an output's name stands for.

    Raises:
        ClaimsError: it stands for none, or a library is missing.
    """
    format_, compression = kind_of(path)
    if format_ not in ("jsonl", "csv", "parquet") or (format_ == "parquet" and compression):
        raise ClaimsError(
            f"{path}: expected a name ending in .jsonl, .csv (also with .gz or .zst) or .parquet, found "
            f"{''.join(path.suffixes[-2:]) or 'no ending'}"
        )
    if format_ == "parquet":
        parquet()
    if compression == ".zst":
        zstandard()
    return Kind(format_, compression)


def encode(rows: Sequence[TableRow], columns: Mapping[str, str], kind: Kind, header: bool) -> bytes:
    """Rows as a piece of a file of that kind.

    Args:
        rows: what to write.
        columns: the columns of a flat table, in order, each with its Arrow type, or an empty one where the values
            decide; JSONL takes what each row has.
        kind: format and compression. A piece of Parquet is a whole part.
        header: begin with the names of the columns (CSV).
    """
    if kind.format == "parquet":
        return _parquet_bytes(rows, columns)
    if kind.format == "jsonl":
        text = "".join(json.dumps(row, ensure_ascii=False, default=_plain) + "\n" for row in rows)
    else:
        with io.StringIO(newline="") as file:
            table = csv.writer(file)
            if header:
                table.writerow(columns)
            table.writerows([_cell(row.get(name)) for name in columns] for row in rows)
            text = file.getvalue()
    data = text.encode("utf-8", "replace")  # JSON can carry half a character, UTF-8 cannot
    if kind.compression == ".gz":
        return gzip.compress(data, 6, mtime=0)
    return bytes(zstandard().compress(data)) if kind.compression == ".zst" else data


def merge(parts: Sequence[Path], target: Path, kind: Kind) -> None:
    """Make one file of parts whose columns grew from one to the next. The parts stay."""
    if kind.format == "jsonl" or len(parts) == 1:
        with target.open("wb") as file:
            for part in parts:
                with part.open("rb") as piece:
                    shutil.copyfileobj(piece, file, 1 << 20)
    elif kind.format == "parquet":
        _, pq = parquet()
        order = pq.read_schema(parts[-1]).names  # the last part has all columns
        merge_parquet(parts, target, common_schema(parts, order))
    else:
        _merge_csv(parts, target, kind)


def _plain(value: object) -> object:
    """A value that JSON has no word for: bytes in base64, everything else (dates, decimals) as text."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _cell(value: Any) -> Any:  # noqa: ANN401 - whatever a row holds
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ";".join(value)
    if isinstance(value, list | dict):
        return _json(value)
    return _plain(value) if isinstance(value, bytes) else value


def _parquet_bytes(rows: Sequence[TableRow], columns: Mapping[str, str]) -> bytes:
    pyarrow, pq = parquet()
    table = pyarrow.table({name: _array([row.get(name) for row in rows], type_) for name, type_ in columns.items()})
    with io.BytesIO() as file:
        pq.write_table(table, file)
        return file.getvalue()


def _array(values: list[Any], type_: str) -> Any:  # noqa: ANN401 - a pyarrow array
    """An array of that type, else of the one that the values have in common, else text; what is nested becomes JSON."""
    pyarrow, _ = parquet()
    if type_ == NAMES:
        return pyarrow.array(values, pyarrow.list_(pyarrow.string()))
    values = [_json(value) if isinstance(value, list | dict) else value for value in values]
    try:
        return pyarrow.array(values, pyarrow.type_for_alias(type_) if type_ else None)
    except (pyarrow.ArrowException, OverflowError, UnicodeEncodeError, TypeError, ValueError):
        texts = [v if v is None or isinstance(v, str) else _json(v) for v in values]
        return pyarrow.array([None if t is None else t.encode("utf-8", "replace").decode() for t in texts])


def common_schema(parts: Sequence[Path], order: Iterable[str]) -> Any:  # noqa: ANN401 - a pyarrow schema
    """The schema that holds every one of some Parquet files, its columns in that order."""
    pyarrow, pq = parquet()
    types: dict[str, Any] = {}
    for part in parts:
        for column in pq.read_schema(part):
            types[column.name] = _common(types.get(column.name, column.type), column.type)
    return pyarrow.schema([(name, types[name]) for name in order])


def merge_parquet(parts: Sequence[Path], target: Path, schema: Any) -> None:  # noqa: ANN401 - a pyarrow schema
    """Make one Parquet file of several; a column that a part lacks is empty there. The parts stay."""
    pyarrow, pq = parquet()
    waiting: list[Any] = []
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for part in parts:
            table = pq.read_table(part)
            arrays = [
                table[column.name].cast(column.type, safe=False)
                if column.name in table.column_names
                else pyarrow.nulls(len(table), column.type)
                for column in schema
            ]
            waiting.append(pyarrow.table(arrays, schema=schema))
            if sum(map(len, waiting)) >= GROUP_ROWS or sum(table.nbytes for table in waiting) >= GROUP_BYTES:
                writer.write_table(pyarrow.concat_tables(waiting).combine_chunks())
                waiting.clear()
        if waiting:
            writer.write_table(pyarrow.concat_tables(waiting).combine_chunks())


def _common(one: Any, other: Any) -> Any:  # noqa: ANN401 - pyarrow types
    """The type that holds both: text, where nothing narrower does."""
    pyarrow, _ = parquet()
    schemas = [pyarrow.schema([("column", type_)]) for type_ in (one, other)]
    try:
        return pyarrow.unify_schemas(schemas, promote_options="permissive").field(0).type
    except pyarrow.ArrowException:
        return pyarrow.string()


def _merge_csv(parts: Sequence[Path], target: Path, kind: Kind) -> None:
    columns = dict.fromkeys(next(_csv_rows(parts[-1], kind)), "")  # the last part has all columns
    rows = (
        dict(zip(names, row, strict=True))
        for part in parts
        for table in [_csv_rows(part, kind)]
        for names in [next(table)]
        for row in table
    )
    header = True
    with target.open("wb") as file:
        while piece := list(islice(rows, 10_000)):
            file.write(encode(piece, columns, kind, header))
            header = False


def _csv_rows(part: Path, kind: Kind) -> Iterator[list[str]]:
    csv.field_size_limit(2**31 - 1)
    with opened(source_of(part, kind.format, kind.compression)) as file:
        yield from csv.reader(line.decode() for line in file.stream)
