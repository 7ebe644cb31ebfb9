"""Which words moved a label: each word is deleted once, and what its absence costs the label is its weight."""

import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from conflict_claims.errors import ClaimsError
from conflict_claims.metrics import Array
from conflict_claims.runtime import ClaimModel
from conflict_claims.text import normalise

MAX_WORDS = 512
"""A sentence with more words is refused: every word costs a prediction of the whole sentence."""
WINDOW = 1024
"""So many variants are predicted together: memory does not grow with the number of sentences."""
SHARE = 0.2
"""The share of a sentence's words that the measure of faithfulness deletes, at least one."""
_WORD = re.compile(r"\w+(?:[-'’.,]\w+)*")
_CERTAIN = 1e-9


@dataclass(frozen=True)
class WordWeight:
    """A word, where it stands in its text, and the log-odds that its label loses when it is deleted."""

    word: str
    start: int
    end: int
    weight: float


def explain(model: ClaimModel, text: str) -> dict[str, list[WordWeight]]:
    """Say which words of a sentence speak for each label (weight above 0) and which against it (below 0).

    Args:
        model: a loaded model, of either kind.
        text: one sentence.

    Returns:
        For each label of the model, every word of the sentence in reading order; ``text[start:end]`` is the word. A
        weight is a difference of calibrated log-odds.

    Raises:
        ClaimsError: the text is no sentence, or has more than MAX_WORDS words.
    """
    return explain_many(model, [text])[0]


def explain_many(model: ClaimModel, texts: Sequence[str]) -> list[dict[str, list[WordWeight]]]:
    """What :func:`explain` says of each of several sentences, computed together."""
    spans = [word_spans(text, i) for i, text in enumerate(texts, 1)]
    whole = _log_odds(model, texts)
    variants = (_without(text, [span]) for text, found in zip(texts, spans, strict=True) for span in found)
    parts = [np.zeros((0, len(model.labels)))]
    while window := list(islice(variants, WINDOW)):
        parts.append(_log_odds(model, window))
    deleted = iter(np.concatenate(parts))
    explained = []
    for text, found, full in zip(texts, spans, whole, strict=True):
        weights = [full - next(deleted) for _ in found]
        explained.append(
            {
                label: [
                    WordWeight(text[start:end], start, end, float(w[k]))
                    for (start, end), w in zip(found, weights, strict=True)
                ]
                for k, label in enumerate(model.labels)
            }
        )
    return explained


def faithfulness(model: ClaimModel, texts: Sequence[str], *, draws: int = 5, seed: int = 0) -> dict[str, float]:
    """How much more a label loses with the words that :func:`explain` names than with as many drawn at random.

    For each label that the model gives to a sentence of at least five words, a fifth of the words is deleted: those
    with the largest weights, and, `draws` times, random ones.

    Returns:
        `cases` (pairs of sentence and label), the mean drop of the label's probability `named` and `random`, and the
        share of cases in which the label is lost, `named_lost` and `random_lost`.
    """
    rng = np.random.default_rng(seed)
    given = model.predict_proba(texts) >= model.thresholds
    columns, variants = [], []
    for text, explained, row in zip(texts, explain_many(model, texts), given, strict=True):
        words = explained[model.labels[0]]
        if len(words) < 5:
            continue
        spans = [(word.start, word.end) for word in words]
        size = max(1, round(SHARE * len(spans)))
        for k in np.flatnonzero(row):
            named = np.argsort([-word.weight for word in explained[model.labels[k]]])[:size]
            drawn = [rng.choice(len(spans), size, replace=False) for _ in range(draws)]
            columns.append(k)
            variants.append([text, *(_without(text, [spans[i] for i in chosen]) for chosen in (named, *drawn))])
    if not columns:
        raise ClaimsError(f"expected sentences to which the model gives labels, found none among {len(texts)}")
    flat = model.predict_proba([variant for case in variants for variant in case])
    p = flat.reshape(len(columns), draws + 2, -1)[np.arange(len(columns)), :, columns]
    threshold = model.thresholds[columns][:, None]
    drops, lost = p[:, :1] - p[:, 1:], p[:, 1:] < threshold
    return {
        "cases": len(columns),
        "named": float(drops[:, 0].mean()),
        "random": float(drops[:, 1:].mean()),
        "named_lost": float(lost[:, 0].mean()),
        "random_lost": float(lost[:, 1:].mean()),
    }


def write_explained(
    model: ClaimModel, texts: Iterable[str], output: Path, *, sentences: bool = False, overwrite: bool = False
) -> int:
    """Write one row per sentence: `row, text, start, end, labels, probabilities` and `words`, by label.

    Args:
        model: a loaded model.
        texts: articles, or sentences.
        output: a .jsonl file; it takes its place only when it is whole.
        sentences: each text is one sentence already.
        overwrite: replace an existing output.

    Returns:
        The number of sentences.
    """
    if output.suffix != ".jsonl":
        raise ClaimsError(f"{output}: expected a name ending in .jsonl, found {output.suffix or 'no ending'}")
    if output.exists() and not overwrite:
        raise ClaimsError(f"{output} exists already; pass --overwrite to replace it, or choose another --output")
    output.parent.mkdir(parents=True, exist_ok=True)
    beside = output.with_name(f".{output.name}.{os.getpid()}.saving")
    total = 0
    try:
        with beside.open("w", encoding="utf-8", errors="replace") as file:
            for row, text in enumerate(texts, 1):
                found = model.predict(text, sentences=sentences)
                for p, words in zip(found, explain_many(model, [p.text for p in found]), strict=True):
                    weights = {label: [asdict(word) for word in named] for label, named in words.items()}
                    file.write(json.dumps({"row": row} | asdict(p) | {"words": weights}, ensure_ascii=False) + "\n")
                    total += 1
        beside.replace(output)
    finally:
        beside.unlink(missing_ok=True)
    return total


def word_spans(text: str, number: int = 1) -> list[tuple[int, int]]:
    """(start, end) of each word of a sentence, the number-th of several; ClaimsError if it has too many."""
    if not isinstance(text, str):
        raise ClaimsError(f"text {number}: expected a string, found {type(text).__name__}")
    spans = [match.span() for match in islice(_WORD.finditer(text), MAX_WORDS + 1)]
    if len(spans) > MAX_WORDS:
        raise ClaimsError(
            f"text {number} has more than {MAX_WORDS} words, too many to explain one sentence; split it into sentences"
        )
    return spans


def _without(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """The text without some words, and without the space before each."""
    kept, last = "", 0
    for start, end in sorted(spans):
        kept += text[last:start].rstrip()
        last = end
    rest = kept + text[last:]
    return rest if normalise(rest) else "."  # the models take no empty text


def _log_odds(model: ClaimModel, texts: Sequence[str]) -> Array:
    p = np.clip(model.predict_proba(texts), _CERTAIN, 1 - _CERTAIN)
    return np.asarray(np.log(p) - np.log1p(-p))
