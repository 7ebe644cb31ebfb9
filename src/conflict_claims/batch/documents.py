"""The roll-up: for each document its claims, how many sentences carry each, and the strongest one.

The documents of a run need not stand together and need not fit into memory: a database file on the disk keeps them.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from conflict_claims.batch.rows import Row
from conflict_claims.batch.tables import NAMES, Kind, TableRow, encode, merge
from conflict_claims.runtime import Prediction

Claim = list[Any]
"""[sentences that carry it, highest probability, text of that sentence, its row, start, end]"""
Found = tuple[str, str, int, list[Claim]]
"""(source, document, sentences, a claim for each label)"""
FLAT = {"sentences": "int64", "probability": "double", "text": "string"}
"""What a flat table says of each claim."""
PIECE = 10_000


def summarise(labelled: Iterable[tuple[Row, Sequence[Prediction]]], labels: Sequence[str]) -> tuple[Found, ...]:
    """The documents of some rows, each with what its sentences there say."""
    found: dict[tuple[str, str], Found] = {}
    for row, predictions in labelled:
        claims = [_claim(row, predictions, label) for label in labels]
        key = (row.source, row.document)
        found[key] = _joined(found.get(key), (*key, len(predictions), claims))
    return tuple(found.values())


def _claim(row: Row, predictions: Sequence[Prediction], label: str) -> Claim:
    best = max(predictions, key=lambda p: p.probabilities[label])  # the first of equals
    carry = sum(label in p.labels for p in predictions)
    return [carry, round(best.probabilities[label], 4), best.text, row.number, best.start, best.end]


def _joined(one: Found | None, other: Found) -> Found:
    if one is None:
        return other
    claims = [[a[0] + b[0], *(b if b[1] > a[1] else a)[1:]] for a, b in zip(one[3], other[3], strict=True)]
    return (one[0], one[1], one[2] + other[2], claims)


class RollUp:
    """The documents so far, in a file. What is added stands when :meth:`commit` returns, or not at all."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("CREATE TABLE IF NOT EXISTS windows (done INTEGER)")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS documents (source TEXT, document TEXT, sentences INTEGER, claims TEXT, "
            "UNIQUE (source, document))"
        )
        self._database.execute("BEGIN")
        row = self._database.execute("SELECT max(done) FROM windows").fetchone()
        self._windows: int = row[0] or 0

    def add(self, window: int, documents: Iterable[Found]) -> None:
        """Add the documents of a window, unless they are in already: a kill can fall between two commits."""
        if window <= self._windows:
            return
        self._windows = window
        for found in documents:
            source, document = (name.encode("utf-8", "replace").decode() for name in found[:2])
            old = self._database.execute(
                "SELECT sentences, claims FROM documents WHERE source = ? AND document = ?", (source, document)
            ).fetchone()
            joined = _joined((source, document, old[0], json.loads(old[1])) if old else None, found)
            values = (joined[2], json.dumps(joined[3]), source, document)
            if old:
                sql = "UPDATE documents SET sentences = ?, claims = ? WHERE source = ? AND document = ?"
            else:
                sql = "INSERT INTO documents (sentences, claims, source, document) VALUES (?, ?, ?, ?)"
            self._database.execute(sql, values)

    def commit(self) -> None:
        """Put what was added on the disk."""
        self._database.execute("DELETE FROM windows")
        self._database.execute("INSERT INTO windows VALUES (?)", (self._windows,))
        self._database.execute("COMMIT")
        self._database.execute("BEGIN")

    def close(self) -> None:
        """Let go of the file; what was not committed is forgotten."""
        self._database.close()

    def write(self, target: Path, kind: Kind, labels: Sequence[str], several: bool) -> None:
        """Write one row per document, in the order in which they were first read."""
        source = {"source": "string"} if several else {}
        flat = {f"{label}_{name}": type_ for label in labels for name, type_ in FLAT.items()}
        columns = {"document": "string"} | source | {"sentences": "int64", "labels": NAMES} | flat
        rows = self._rows(labels, several, kind.flat)
        parts: list[Path] = []
        while (piece := list(islice(rows, PIECE))) or not parts:
            parts.append(target.with_name(f"{target.name}-{len(parts):06}"))
            parts[-1].write_bytes(encode(piece, columns, kind, header=True))
        merge(parts, target, kind)
        for part in parts:
            part.unlink(missing_ok=True)

    def _rows(self, labels: Sequence[str], several: bool, flat: bool) -> Iterator[TableRow]:
        for source, document, sentences, text in self._database.execute("SELECT * FROM documents ORDER BY rowid"):
            claims = dict(zip(labels, json.loads(text), strict=True))
            row: TableRow = {"document": document} | ({"source": source} if several else {})
            row |= {"sentences": sentences, "labels": [label for label, claim in claims.items() if claim[0]]}
            if not flat:
                row["claims"] = {label: _named(claim) for label, claim in claims.items()}
            for label, claim in claims.items() if flat else ():
                values = _named(claim)
                row |= {f"{label}_{name}": values[name] for name in FLAT}
            yield row


def _named(claim: Claim) -> dict[str, Any]:
    """A claim's figures by name; the strongest sentence is named only where it carries the claim."""
    named = dict(zip((*FLAT, "row", "start", "end"), claim, strict=True))
    return named if claim[0] else {"sentences": 0, "probability": claim[1], "text": None}
