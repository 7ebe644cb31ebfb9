"""What a table of scores does not say: calibration in bins, risk and coverage, confusion, slices, the worst errors.

Everything is made from given probabilities; nothing here asks a model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from conflict_claims.bootstrap import (
    COVERAGES,
    Ranking,
    Resamples,
    interval,
    intervals,
    resampled,
    risk_at,
)
from conflict_claims.corpus.records import Sentence, fingerprint
from conflict_claims.labels import to_names
from conflict_claims.metrics import BINS, Array, confidence, counts, f1_from_counts, scores
from conflict_claims.slices import slices

SMALL = (50, 10)
"""A slice with fewer sentences, or from fewer stories, is marked as small: its figures are near to anecdotes."""
ERRORS = 5
"""So many of the most confident errors are kept of each label and direction."""
WHOLE = "any label"


@dataclass(frozen=True)
class Judged:
    """Labelled sentences with a model's probabilities, columns in label order."""

    sentences: Sequence[Sentence]
    y_true: Array
    y_prob: Array
    labels: Sequence[str]
    thresholds: Array

    @property
    def given(self) -> Array:
        """The model's decisions, shape (n, K)."""
        return np.asarray(self.y_prob >= self.thresholds)

    @cached_property
    def draws(self) -> Resamples:
        """Resamples of the stories."""
        return Resamples(np.array([s.story for s in self.sentences]))


def describe(judged: Judged) -> dict[str, Any]:
    """The metrics of given probabilities, with 95 % intervals and what they were measured on."""
    j = judged
    return scores(j.y_true, j.y_prob, j.labels, j.thresholds) | {
        "intervals": intervals(resampled(j.y_true, j.y_prob, j.labels, j.thresholds, j.draws), j.labels),
        "stories": j.draws.weights.shape[1],
        "data_fingerprint": fingerprint(j.sentences),
    }


def examine(judged: Judged) -> dict[str, Any]:
    """Everything else that can be said of given probabilities.

    Returns:
        `reliability`, `precision_recall`, `risk_coverage`, `co_occurrence`, `confusion`, `slices` (worst first) and
        `errors` (most confident first).
    """
    return {
        "reliability": _reliability(judged),
        "precision_recall": _precision_recall(judged.y_true, judged.y_prob, judged.labels),
        "risk_coverage": _risk_coverage(judged),
        "co_occurrence": _co_occurrence(judged.y_true, judged.given, judged.labels),
        "confusion": _confusion(judged.y_true, judged.given, judged.labels),
        "slices": _slices(judged),
        "errors": _errors(judged),
    }


def _reliability(judged: Judged) -> dict[str, list[dict[str, Any]]]:
    """For each label its filled bins: the mean probability, and the share that carries the label, with its interval."""
    y_true, y_prob = judged.y_true, judged.y_prob
    where = np.minimum((y_prob * BINS).astype(int), BINS - 1)
    inside = (where[:, :, None] == np.arange(BINS)).reshape(len(y_true), -1).astype(float)
    hits = inside * np.repeat(y_true, BINS, axis=1)
    with np.errstate(invalid="ignore"):
        share = judged.draws.sums(hits) / judged.draws.sums(inside)
    result: dict[str, list[dict[str, Any]]] = {}
    for k, name in enumerate(judged.labels):
        rows = []
        for b in range(BINS):
            chosen = where[:, k] == b
            if chosen.any():
                row = {"n": int(chosen.sum()), "said": y_prob[chosen, k].mean(), "happened": y_true[chosen, k].mean()}
                rows.append(_rounded(row) | {"interval": _rounded(interval(share[:, k * BINS + b]))})
        result[name] = rows
    return result


def _precision_recall(y_true: Array, y_prob: Array, labels: Sequence[str], points: int = 100) -> dict[str, Any]:
    """Up to `points` points of each label's curve, even in recall."""
    result = {}
    for k, name in enumerate(labels):
        order = np.argsort(-y_prob[:, k], kind="stable")
        found = y_true[order, k].cumsum()
        at = np.flatnonzero(y_true[order, k])
        chosen = at[np.unique(np.linspace(0, len(at) - 1, min(points, len(at))).astype(int))] if len(at) else at
        curve = {
            "threshold": y_prob[order[chosen], k],
            "precision": found[chosen] / (chosen + 1),
            "recall": found[chosen] / max(1, len(at)),
        }
        result[name] = {key: _rounded(values.tolist()) for key, values in curve.items()}
    return result


def _risk_coverage(judged: Judged) -> dict[str, list[dict[str, Any]]]:
    """How many are wrong among the surest: of the sentences (`any label` wrong), and of each label's decisions."""
    sure, wrong = confidence(judged.y_prob, judged.thresholds), judged.given != judged.y_true.astype(bool)
    ranked = {WHOLE: (sure.prod(axis=1), wrong.any(axis=1))}
    ranked |= {name: (sure[:, k], wrong[:, k]) for k, name in enumerate(judged.labels)}
    result = {}
    for name, (score, event) in ranked.items():
        ranking = Ranking(score, event)
        point = risk_at(ranking.last[None] + 1, np.searchsorted(ranking.event, ranking.last, side="right")[None])[0]
        risk = judged.draws.along(ranking, risk_at)
        result[name] = [
            {"coverage": share, "risk": _rounded(point[c]), "interval": _rounded(interval(risk[:, c]))}
            for c, share in enumerate(COVERAGES)
        ]
    return result


def _co_occurrence(y_true: Array, given: Array, labels: Sequence[str]) -> dict[str, dict[str, dict[str, int]]]:
    """Sentences that carry both labels of each pair, by the annotators (`true`) and by the model (`given`)."""
    return {
        which: {a: {b: int(table[i, j]) for j, b in enumerate(labels)} for i, a in enumerate(labels)}
        for which, table in (("true", _together(y_true)), ("given", _together(given)))
    }


def _together(y: Array) -> Array:
    y = y.astype(int)
    return np.asarray(y.T @ y)


def _confusion(y_true: Array, given: Array, labels: Sequence[str]) -> dict[str, dict[str, dict[str, int]]]:
    """Where a label was given wrongly, what was there; where it was missed, what was given: counts, and `nothing`."""
    true = y_true.astype(bool)

    def beside(chosen: Array, other: Array) -> dict[str, int]:
        rows = other[chosen]
        named = {name: int(rows[:, j].sum()) for j, name in enumerate(labels)}
        return {"sentences": int(chosen.sum()), **named, "nothing": int((~rows.any(axis=1)).sum())}

    return {
        name: {
            "given_wrongly": beside(given[:, k] & ~true[:, k], true),
            "missed": beside(~given[:, k] & true[:, k], given),
        }
        for k, name in enumerate(labels)
    }


def _slices(judged: Judged) -> list[dict[str, Any]]:
    """Each slice: support, share of sentences without an error and micro-F1, with intervals; the worst first.

    Where no sentence of a slice carries a label, its F1 would say nothing and is None.
    """
    found = slices(judged.sentences)
    if not found:
        return []
    true, given, story = judged.y_true.astype(bool), judged.given, judged.draws.story
    cells = [(true & given).sum(1), (~true & given).sum(1), (true & ~given).sum(1), (true == given).all(1)]
    rows = np.stack([*cells, np.ones(len(true))], axis=1).astype(float)
    draws = judged.draws.sums(np.hstack([rows * mask[:, None] for _, _, mask in found])).reshape(-1, len(found), 5)
    with np.errstate(invalid="ignore"):
        exact = draws[:, :, 3] / draws[:, :, 4]
    f1 = np.where(draws[:, :, 4] > 0, f1_from_counts(*draws[:, :, :3].transpose(2, 0, 1)), np.nan)
    result = []
    for k, (kind, value, mask) in enumerate(found):
        tp, fp, fn = (c.sum() for c in counts(true[mask], given[mask]))
        stories = len(set(story[mask]))
        result.append(
            {
                "kind": kind,
                "value": value,
                "n": int(mask.sum()),
                "stories": stories,
                "small": bool(mask.sum() < SMALL[0] or stories < SMALL[1]),
                "exact_match": _rounded((true == given).all(axis=1)[mask].mean()),
                "exact_match_interval": _rounded(interval(exact[:, k])),
                "micro_f1": _rounded(f1_from_counts(tp, fp, fn)) if tp + fn else None,
                "micro_f1_interval": _rounded(interval(f1[:, k])) if tp + fn else None,
            }
        )
    return sorted(result, key=lambda row: (row["small"], row["exact_match"], -row["n"]))


def _errors(judged: Judged) -> list[dict[str, Any]]:
    """The decisions that the model was surest of and that are wrong, some of each label and direction."""
    sentences, labels, y_prob, given = judged.sentences, judged.labels, judged.y_prob, judged.given
    sure, true = confidence(y_prob, judged.thresholds), judged.y_true.astype(bool)
    result = []
    for k, name in enumerate(labels):
        for error, chosen in (("given wrongly", given[:, k] & ~true[:, k]), ("missed", ~given[:, k] & true[:, k])):
            rows = np.flatnonzero(chosen)
            for i in rows[np.argsort(-sure[rows, k], kind="stable")][:ERRORS]:
                result.append(
                    {
                        "id": sentences[i].id,
                        "label": name,
                        "error": error,
                        "probability": _rounded(y_prob[i, k]),
                        "confidence": _rounded(sure[i, k]),
                        "true": list(sentences[i].labels),
                        "given": to_names(given[i : i + 1], labels)[0],
                        "text": sentences[i].text,
                    }
                )
    return sorted(result, key=lambda row: -row["confidence"])


def _rounded(value: Any) -> Any:  # noqa: ANN401 - a number, or numbers in lists and dicts
    """Four decimals: more than any figure here is worth, and a file that can be read."""
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_rounded(inner) for inner in value]
    if value is None or isinstance(value, bool | str | int):
        return value
    return round(float(value), 4)
