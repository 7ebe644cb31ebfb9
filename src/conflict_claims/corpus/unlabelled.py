"""Sentences that nobody labelled, written for a large model to read and a small one to learn from."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from conflict_claims.corpus.check import Located, characters, overlap
from conflict_claims.corpus.duplicates import near_duplicates
from conflict_claims.corpus.records import Sentence, read_rows, text_of
from conflict_claims.errors import ClaimsError


def read_unlabelled(folder: Path) -> list[Located]:
    """Read the JSONL files of a folder: each row has a `text`, and may have an `id` and a `story`."""
    paths = sorted(folder.glob("*.jsonl"))
    if not paths:
        raise ClaimsError(f"{folder}: expected a folder with .jsonl files of unlabelled sentences, found none")
    located = []
    for path in paths:
        for number, row in read_rows(path):
            text = text_of(row, f"{path}:{number}")
            name, story = (str(row.get(key, f"{path.stem}-{number}")) for key in ("id", "story"))
            located.append(Located(Sentence(name, text, (), story), f"{path}:{number}"))
    return located


def check_unlabelled(
    unlabelled: Sequence[Located], corpus: Sequence[Located], threshold: float, against: Sequence[Path] = ()
) -> Iterator[str]:
    """What is wrong with unlabelled sentences, one line each: bad characters, copying, and twins in the corpus.

    A twin of a test sentence would carry a teacher's opinion of it into training.
    """
    yield from characters(unlabelled)
    yield from overlap(unlabelled, against)
    both = [*corpus, *unlabelled]
    for i, j, similarity in near_duplicates([item.sentence.text for item in both], threshold):
        if i < len(corpus) <= j:
            yield (
                f"{both[j].place}: sentence {both[j].sentence.id} is a near-duplicate ({similarity:.2f}) of "
                f"{both[i].sentence.id} at {both[i].place}; rewrite it"
            )
