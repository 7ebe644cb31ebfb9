"""Labels that point into published news: stand-off, so that the text stays with its publishers.

`data/real_news/annotations.jsonl` says source, document, character offsets, labels and a hash of each sentence; the
text is cut out of the publishers' own files, and a sentence whose hash differs is an error, never a silent change.
"""

import csv
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from conflict_claims.corpus.records import read_rows
from conflict_claims.errors import ClaimsError

Document = tuple[str, str]


def read_documents(sources: Path) -> dict[Document, str]:
    """The texts of the publishers' files by (source, document id).

    Args:
        sources: a folder with `re3d/*/documents.json` (a JSON object a line), `case2021_task2_test.tsv`, and
            `muc4_dev.json` and `muc4_test.json` (an object of documents).

    Raises:
        ClaimsError: a file is missing.
    """
    if not sources.is_dir():
        raise ClaimsError(f"{sources}: no such folder; expected the publishers' files, see data/real_news/README.md")
    return dict([*_re3d(sources), *_case2021(sources), *_muc4(sources)])


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ClaimsError(f"{path} is missing; data/real_news/README.md says where its publisher offers it") from None


def _re3d(sources: Path) -> Iterator[tuple[Document, str]]:
    paths = sorted((sources / "re3d").glob("*/documents.json"))
    if not paths:
        _read(sources / "re3d/BBC Online/documents.json")
    for path in paths:
        for line in _read(path).splitlines():
            if line.strip():
                document = json.loads(line)
                yield ("re3d", f"{path.parent.name}/{document['_id']}"), document["text"]


def _case2021(sources: Path) -> Iterator[tuple[Document, str]]:
    lines = _read(sources / "case2021_task2_test.tsv").splitlines()
    for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
        yield ("case2021", row["id"]), row["EventSnippet"]


def _muc4(sources: Path) -> Iterator[tuple[Document, str]]:
    for name in ("muc4_dev.json", "muc4_test.json"):
        for identity, document in json.loads(_read(sources / name)).items():
            yield ("muc4", identity), document["doc"]


def hash_of(text: str) -> str:
    """The sha256 that an annotation keeps of its sentence."""
    return hashlib.sha256(text.encode()).hexdigest()


def rebuild(annotations: Path, sources: Path) -> list[dict[str, Any]]:
    """Cut the labelled sentences out of the publishers' files.

    Returns:
        Rows with `id, text, labels, source, document, stratum`, white space runs made one space.

    Raises:
        ClaimsError: a file or document is missing, or a sentence is not the one that was labelled.
    """
    documents = read_documents(sources)
    rows = []
    for number, entry in read_rows(annotations):
        key = (entry["source"], entry["document"])
        if key not in documents:
            raise ClaimsError(f"{annotations}:{number}: {sources} has no document {key[1]!r} of {key[0]}")
        text = " ".join(documents[key][entry["start"] : entry["end"]].split())
        if hash_of(text) != entry["sha256"]:
            raise ClaimsError(
                f"{annotations}:{number}: the sentence at {entry['start']} of {key[0]} {key[1]} is not the one "
                "that was labelled; get the publisher's own, unchanged file (data/real_news/README.md)"
            )
        kept = {name: entry[name] for name in ("labels", "source", "document", "stratum")}
        rows.append({"id": entry["id"], "text": text} | kept)
    return rows
