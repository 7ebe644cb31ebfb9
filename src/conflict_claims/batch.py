"""Label the sentences of articles in a file: read, split, predict, write; in input order, with the input's columns."""

import csv
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any

from conflict_claims.corpus.records import read_lines, read_rows
from conflict_claims.errors import ClaimsError
from conflict_claims.runtime import ClaimModel, Prediction

WINDOW = 256
"""Rows that are read, predicted and written together: memory does not grow with the file."""
OWN_COLUMNS = ("row", "text", "start", "end", "labels", "probabilities")
Row = dict[str, Any]


def predict_file(
    model: ClaimModel,
    source: Path,
    output: Path,
    *,
    sentences: bool = False,
    overwrite: bool = False,
    advance: Callable[[int], None] = lambda rows: None,
) -> int:
    """Label every sentence of a file.

    Args:
        model: a loaded model.
        source: .txt (one article), .jsonl, .csv or .tsv with a column `text`.
        output: .jsonl or .csv. Each row has the input's columns and `row` (its number in the input), `text, start,
            end` (the sentence and its place in the input's text), `labels`, `probabilities`; in CSV `probabilities`
            is one column per label. An input column of one of these names is kept as `input_NAME`.
        sentences: each row is one sentence already.
        overwrite: replace an existing output.
        advance: called with the number of input rows that were written.

    Returns:
        The number of sentences.

    Raises:
        ClaimsError: bad input (with file and line), or an output that exists; an old output is then as it was.
    """
    if output.exists() and not overwrite:
        raise ClaimsError(f"{output} exists already; pass --overwrite to replace it, or choose another --output")
    if output.suffix not in (".jsonl", ".csv"):
        raise ClaimsError(f"{output}: expected a name ending in .jsonl or .csv, found {output.suffix or 'no ending'}")
    total = 0
    rows = read_articles(source)
    own = {*OWN_COLUMNS, *model.labels} if output.suffix == ".csv" else {*OWN_COLUMNS}
    with _replacing(output) as file:
        write = _writer(file, output.suffix, model.labels)
        while window := list(islice(rows, WINDOW)):
            predicted = _predict_window(model, window, sentences, source)
            for (number, row), found in zip(window, predicted, strict=True):
                write(_kept(row, own), ({"row": number} | _as_row(p) for p in found))
                total += len(found)
            advance(len(window))
    return total


def read_articles(source: Path) -> Iterator[tuple[int, Row]]:
    """Yield (number, row) of the articles in a file; each row has a `text`."""
    if source.suffix.lower() == ".txt":
        text = "".join(line for _, line in read_lines(source))
        if not text.strip():
            raise ClaimsError(f"{source}: expected an article, found an empty file")
        yield 1, {"text": text}
        return
    number = 0
    for number, (line, row) in enumerate(read_rows(source), 1):
        if "text" not in row:
            raise ClaimsError(f"{source}:{line}: expected a column 'text', found {', '.join(map(str, row)) or 'none'}")
        if not isinstance(row["text"], str) or not row["text"].strip():
            found = "nothing" if not row["text"] or isinstance(row["text"], str) else type(row["text"]).__name__
            raise ClaimsError(f"{source}:{line}: expected a text, found {found}; fill the row or remove it")
        yield number, row
    if not number:
        raise ClaimsError(f"{source}: expected rows with a column 'text', found an empty file")


def _predict_window(
    model: ClaimModel, window: list[tuple[int, Row]], sentences: bool, source: Path
) -> list[list[Prediction]]:
    try:
        return model.predict([row["text"] for _, row in window], sentences=sentences)
    except ClaimsError as error:
        first, last = window[0][0], window[-1][0]
        raise ClaimsError(f"{source}, rows {first} to {last}: {error}") from None


def _kept(row: Row, own: set[str]) -> Row:
    return {f"input_{name}" if name in own else name: value for name, value in row.items() if name != "text"}


def _as_row(p: Prediction) -> Row:
    return {
        "text": p.text,
        "start": p.start,
        "end": p.end,
        "labels": list(p.labels),
        "probabilities": {name: round(value, 4) for name, value in p.probabilities.items()},
    }


def _writer(file: IO[str], suffix: str, labels: tuple[str, ...]) -> Callable[[Row, Iterable[Row]], None]:
    if suffix == ".jsonl":

        def write_jsonl(kept: Row, predictions: Iterable[Row]) -> None:
            for prediction in predictions:
                file.write(json.dumps(kept | prediction, ensure_ascii=False) + "\n")

        return write_jsonl

    table: list[csv.DictWriter[str]] = []

    def write_csv(kept: Row, predictions: Iterable[Row]) -> None:
        if not table:
            table.append(csv.DictWriter(file, [*kept, "row", "text", "start", "end", "labels", *labels]))
            table[0].writeheader()
        unknown = set(kept) - set(table[0].fieldnames)
        if unknown:
            raise ClaimsError(f"a row has the column {min(unknown)!r}, which the first row lacks; write .jsonl instead")
        for prediction in predictions:
            probabilities = prediction.pop("probabilities")
            table[0].writerow(kept | prediction | {"labels": ";".join(prediction["labels"])} | probabilities)

    return write_csv


@contextmanager
def _replacing(output: Path) -> Iterator[IO[str]]:
    """A file that takes its place only when it is whole."""
    beside = output.with_name(f".{output.name}.{os.getpid()}.saving")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("w", encoding="utf-8", errors="replace", newline="") as file:
            yield file
        beside.replace(output)
    except OSError as error:
        raise ClaimsError(f"{output} could not be written ({error.strerror or error}); nothing old is lost") from error
    finally:
        beside.unlink(missing_ok=True)
