"""Text as the models see it: one normalisation for training and predicting, and sentences with their offsets."""

import re
import unicodedata
from collections.abc import Iterator

import sentencex

NORMALISATION = "nfc-visible-1"
"""Stored with a model, so that a later change of `normalise` cannot silently change an old model's input."""

MAX_SENTENCE = 10_000
"""A run of text longer than this is no sentence; it is cut."""

_DROPPED = {"Cc", "Cf", "Cs", "Co", "Cn"}
_SURROGATE = re.compile("[\ud800-\udfff]")


def normalise(text: str) -> str:
    """NFC, control and invisible characters dropped, white space runs made one space."""
    if text.isascii() and text.isprintable():  # most sentences; nothing in them is to be dropped or composed
        return " ".join(text.split())
    visible = (c for c in text if c.isspace() or unicodedata.category(c) not in _DROPPED)
    return " ".join(unicodedata.normalize("NFC", "".join(visible)).split())


def split_sentences(text: str) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of each sentence of an English article, without surrounding white space.

    Offsets count characters of `text` as given: ``text[start:end]`` is the sentence. An empty line ends a sentence.
    """
    encodable = _SURROGATE.sub("\ufffd", text)  # JSON can carry half a character; the segmenter takes none
    for found in sentencex.get_sentence_boundaries("en", encodable):
        sentence = text[found["start_index"] : found["end_index"]]
        stripped = sentence.strip()
        if normalise(stripped):
            start = found["start_index"] + sentence.index(stripped)
            yield from _cut(text, start, start + len(stripped))


def _cut(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Cut what has no sentence end for too long, at white space where there is some."""
    while end - start > MAX_SENTENCE:
        space = text.rfind(" ", start + 1, start + MAX_SENTENCE)
        stop = space if space > start else start + MAX_SENTENCE
        yield start, stop
        start = stop + (text[stop] == " ")
    if normalise(text[start:end]):
        yield start, end
