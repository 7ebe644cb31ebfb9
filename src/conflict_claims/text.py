"""Text as the models see it: one normalisation for training and predicting, and sentences with their offsets."""

import re
import unicodedata
from collections.abc import Iterator

import sentencex

NORMALISATION = "nfc-visible-1"
"""Stored with a model, so that a later change of `normalise` cannot silently change an old model's input."""

_DROPPED = {"Cc", "Cf", "Cs", "Co", "Cn"}
_PARAGRAPH = re.compile(r"\n\s*\n")
_MAX_SEGMENT = 100_000
"""Paragraphs are segmented in pieces of this many characters, so that time stays linear in the article's length."""


def normalise(text: str) -> str:
    """NFC, control and invisible characters dropped, white space runs made one space."""
    spaced = " ".join(unicodedata.normalize("NFC", text).split())
    return "".join(c for c in spaced if unicodedata.category(c) not in _DROPPED)


def split_sentences(text: str) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of each sentence of an English article, without surrounding white space.

    Offsets count characters of `text` as given: ``text[start:end]`` is the sentence. An empty line ends a sentence.
    """
    position = 0
    for gap in [*_PARAGRAPH.finditer(text), None]:
        end = gap.start() if gap else len(text)
        for piece in range(position, end, _MAX_SEGMENT):
            yield from _in_paragraph(text, piece, min(piece + _MAX_SEGMENT, end))
        position = gap.end() if gap else end


def _in_paragraph(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    for sentence in sentencex.segment("en", text[start:end]):
        found = text.index(sentence, start, end) if sentence else start
        start = found + len(sentence)
        stripped = sentence.strip()
        if normalise(stripped):
            first = found + sentence.index(stripped)
            yield first, first + len(stripped)
