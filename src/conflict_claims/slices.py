"""Kinds of sentences that a model may be better or worse at: from what a file says of a sentence, and from its text."""

import re
from collections.abc import Callable, Sequence

import numpy as np

from conflict_claims.corpus.places import decade_of, region_of
from conflict_claims.corpus.records import Sentence
from conflict_claims.metrics import Array

_QUOTATION = re.compile("[\"“”«»]|(?<![\\w])['‘](?=\\w)|``|''")
_NEGATION = re.compile(
    r"\b(?:no|not|never|none|nobody|nothing|neither|nor|without|cannot|den(?:y|ies|ied|ying|ial))\b|n['’]t\b", re.I
)
LENGTHS = ((10, "up to 10 words"), (20, "11 to 20 words"), (35, "21 to 35 words"))


def length(text: str) -> str:
    """Words, in four classes."""
    words = len(text.split())
    return next((name for most, name in LENGTHS if words <= most), "more than 35 words")


def capitals(text: str) -> str:
    """How much stands in capital letters: plain prose has few, a headline more, old agency copy nothing else."""
    letters = [c for c in text if c.isalpha()]
    share = sum(c.isupper() for c in letters) / max(1, len(letters))
    if share > 0.6:
        return "all or nearly all"
    words = [word for word in text.split() if word[0].isalpha()]
    return "most words begin with one" if sum(w[0].isupper() for w in words) > len(words) / 2 else "few"


def _yes(pattern: "re.Pattern[str]") -> Callable[[Sentence], str]:
    return lambda sentence: "yes" if pattern.search(sentence.text) else "no"


KINDS: dict[str, Callable[[Sentence], str]] = {
    "genre or source": lambda s: s.genre,
    "region": lambda s: region_of(s.setting) if s.setting else "",
    "decade": lambda s: decade_of(s.setting) if s.setting else "",
    "length": lambda s: length(s.text),
    "capitals": lambda s: capitals(s.text),
    "quotation marks": _yes(_QUOTATION),
    "negation": _yes(_NEGATION),
    "number of labels": lambda s: str(len(s.labels)) if len(s.labels) < 3 else "3 or more",
}


def slices(sentences: Sequence[Sentence]) -> list[tuple[str, str, Array]]:
    """Every slice that has a sentence, as (kind, value, rows as a mask of shape (n,)).

    A kind that tells nothing apart (one value, or none known) is left out.
    """
    found = []
    for kind, value_of in KINDS.items():
        values = np.array([value_of(s) for s in sentences], dtype=object)
        known = sorted(set(values) - {""})
        if len(known) + ("" in values) > 1:
            found += [(kind, name, np.asarray(values == name)) for name in known]
    return found
