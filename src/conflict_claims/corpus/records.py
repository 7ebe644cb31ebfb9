"""Labelled sentences and how they are read: JSONL or CSV, every error with file and line."""

import csv
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from conflict_claims.errors import ClaimsError

MAX_CHARACTERS = 10_000
"""A labelled text longer than this is no sentence."""


@dataclass(frozen=True)
class Sentence:
    """One labelled text.

    `labels` are the settled ones; `annotations` keeps who read the sentence and what each reader gave.
    Rows that have no story (someone's own CSV) get one of their own, so that resampling by story still works.
    """

    id: str
    text: str
    labels: tuple[str, ...]
    story: str
    genre: str = ""
    setting: str = ""
    annotations: tuple[dict[str, Any], ...] = field(default=(), repr=False)

    def to_json(self) -> str:
        """The record as one line of the corpus file, keys in the documented order."""
        values = asdict(self)
        order = ("id", "story", "genre", "setting", "text", "labels", "annotations")
        return json.dumps({key: values[key] for key in order}, ensure_ascii=False)


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number, line) of a UTF-8 text file.

    Raises:
        ClaimsError: the file is missing, is a folder, or a line is not UTF-8.
    """
    if not path.is_file():
        raise ClaimsError(f"{path}: no such file; expected a file in JSONL or CSV")
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            try:
                yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise ClaimsError(
                    f"{path}:{number}: expected UTF-8, found byte 0x{raw[error.start]:02x} at column "
                    f"{error.start + 1}; save the file as UTF-8"
                ) from None


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, row) of a JSONL, CSV or TSV file; the ending of the name decides.

    Raises:
        ClaimsError: the format is unknown, or a line is broken (with file and line).
    """
    suffix = path.suffix.lower()
    if suffix in (".jsonl", ".ndjson"):
        yield from _read_jsonl(path)
    elif suffix in (".csv", ".tsv"):
        yield from _read_csv(path, "," if suffix == ".csv" else "\t")
    else:
        raise ClaimsError(f"{path}: expected a name ending in .jsonl, .csv or .tsv, found {suffix or 'no ending'}")


def _read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in read_lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ClaimsError(f"{path}:{number}: broken JSON ({error.msg} at column {error.colno})") from None
        if not isinstance(row, dict):
            raise ClaimsError(f"{path}:{number}: expected a JSON object, found {type(row).__name__}")
        yield number, row


def _read_csv(path: Path, delimiter: str) -> Iterator[tuple[int, dict[str, Any]]]:
    lines = (line for _, line in read_lines(path))
    csv.field_size_limit(2**31 - 1)  # an article may be longer than the 131,072 characters of the default
    reader = csv.DictReader(lines, delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if None in row or any(value is None for value in row.values()):
                found = sum(value is not None for key, value in row.items() if key is not None) + len(
                    row.get(None) or ()
                )
                raise ClaimsError(
                    f"{path}:{reader.line_num}: expected {len(reader.fieldnames or [])} columns, found {found}"
                )
            yield reader.line_num, dict(row)
    except csv.Error as error:
        raise ClaimsError(f"{path}:{reader.line_num}: broken CSV ({error})") from None


def read_texts(path: Path) -> list[str]:
    """Read the column `text` of a JSONL, CSV or TSV file, labelled or not.

    Raises:
        ClaimsError: with file and line, for a row without a text.
    """
    return [text_of(row, f"{path}:{number}") for number, row in read_rows(path)]


def read_sentences(path: Path, labels: Sequence[str], only: str | None = None) -> list[Sentence]:
    """Read labelled sentences: `text`, and `labels` as a list or one 0/1 column per label.

    Args:
        path: a .jsonl, .csv or .tsv file.
        labels: the label set; a name outside it is an error.
        only: `column=value`: leave out the rows that have something else there.

    Raises:
        ClaimsError: with file and line, for anything that is not a labelled sentence.
    """
    sentences: list[Sentence] = []
    line_of: dict[str, int] = {}
    column, _, value = (only or "").partition("=")
    for number, row in read_rows(path):
        if column and str(row.get(column)) != value:
            continue
        sentence = _to_sentence(row, labels, f"{path}:{number}", len(sentences) + 1)
        if sentence.id in line_of:
            raise ClaimsError(f"{path}:{number}: the id {sentence.id!r} stands already in line {line_of[sentence.id]}")
        line_of[sentence.id] = number
        sentences.append(sentence)
    if not sentences:
        found = f"no row with {only}" if only else "an empty file"
        raise ClaimsError(f"{path}: expected labelled sentences, found {found}")
    return sentences


def text_of(row: dict[str, Any], where: str) -> str:
    """The column `text` of a row, or a ClaimsError that begins with `where`."""
    if "text" not in row:
        raise ClaimsError(f"{where}: expected a column 'text', found {', '.join(map(str, row)) or 'none'}")
    value = row["text"]
    if not isinstance(value, str):
        raise ClaimsError(f"{where}: expected the text as a string, found {type(value).__name__}")
    if not value.strip():
        raise ClaimsError(f"{where}: the text is empty; remove the row or fill it")
    if len(value) > MAX_CHARACTERS:
        raise ClaimsError(
            f"{where}: the text has {len(value):,} characters, at most {MAX_CHARACTERS:,} make a sentence; "
            "split articles into sentences first"
        )
    return value


def _to_sentence(row: dict[str, Any], labels: Sequence[str], where: str, position: int) -> Sentence:
    text = text_of(row, where)
    identity = _named(row, "id") or f"#{position}"
    annotations = row.get("annotations") or ()
    return Sentence(
        id=identity,
        text=text,
        labels=_labels_of(row, labels, where),
        story=_named(row, "story") or _named(row, "document") or identity,
        genre=_named(row, "genre") or _named(row, "source"),
        setting=_named(row, "setting"),
        annotations=tuple(annotations) if isinstance(annotations, list) else (),
    )


def _named(row: dict[str, Any], column: str) -> str:
    """A column as a string; empty where it is missing or null, and 0 is a name like any other."""
    value = row.get(column)
    return "" if value is None else str(value)


def _labels_of(row: dict[str, Any], labels: Sequence[str], where: str) -> tuple[str, ...]:
    if "labels" in row:
        names = row["labels"]
        if isinstance(names, str):  # a CSV cell: a JSON list, or names between semicolons
            names = _cell_labels(names, where)
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ClaimsError(f"{where}: expected 'labels' as a list of names, found {names!r}")
    else:
        missing = [label for label in labels if label not in row]
        if missing:
            raise ClaimsError(
                f"{where}: expected a column 'labels' or one 0/1 column per label; {', '.join(missing)} is missing"
            )
        names = [label for label in labels if _is_one(row[label], f"{where}: column {label}")]
    for name in names:
        if name not in labels:
            raise ClaimsError(f"{where}: unknown label {name!r}; expected {', '.join(labels)}")
    return tuple(label for label in labels if label in names)


def _cell_labels(cell: str, where: str) -> object:
    if not cell.strip().startswith("["):
        return [name.strip() for name in cell.split(";") if name.strip()]
    try:
        return json.loads(cell)
    except json.JSONDecodeError:
        raise ClaimsError(f"{where}: expected 'labels' as a JSON list, found {cell!r}") from None


def _is_one(value: object, where: str) -> bool:
    if str(value).strip() not in ("0", "1", "True", "False", "0.0", "1.0"):
        raise ClaimsError(f"{where}: expected 0 or 1, found {value!r}")
    return str(value).strip() in ("1", "True", "1.0")


def read_batches(folder: Path, labels: Sequence[str]) -> dict[Path, list[Sentence]]:
    """Read every .jsonl file of a corpus folder, in the order of the file names."""
    paths = sorted(folder.glob("*.jsonl"))
    if not paths:
        raise ClaimsError(f"{folder}: expected a folder with .jsonl files, found none")
    return {path: read_sentences(path, labels) for path in paths}


def read_corpus(folder: Path, labels: Sequence[str]) -> list[Sentence]:
    """Read a corpus folder as one list; an id stands in one file only."""
    seen: dict[str, Path] = {}
    batches = read_batches(folder, labels)
    for path, sentences in batches.items():
        for sentence in sentences:
            if sentence.id in seen:
                raise ClaimsError(f"{path}: the id {sentence.id!r} stands already in {seen[sentence.id]}")
            seen[sentence.id] = path
    return [sentence for sentences in batches.values() for sentence in sentences]


def write_sentences(sentences: Iterable[Sentence], path: Path) -> None:
    """Write sentences as JSONL, in the order given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(sentence.to_json() + "\n" for sentence in sentences), encoding="utf-8")


def fingerprint(sentences: Iterable[Sentence]) -> str:
    """A sha256 over ids, texts and labels: equal for equal training data, whatever the order of the rows."""
    digest = hashlib.sha256()
    for sentence in sorted(sentences, key=lambda s: s.id):
        digest.update(json.dumps([sentence.id, sentence.text, sentence.labels], ensure_ascii=False).encode())
    return digest.hexdigest()
