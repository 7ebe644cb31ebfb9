"""How sure a figure is: every metric on resamples of whole stories, one model alone or two in pairs.

Sentences of one story are not independent, so stories are drawn, with replacement. Nothing is computed sentence by
sentence for each resample: what a story adds to a count is added up once, and a resample is a row of numbers that say
how often each story was drawn. Metrics that follow an order (average precision, risk and coverage) take running sums
of those numbers along the order.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from conflict_claims.metrics import BINS, Array, confidence, f1_from_counts

RESAMPLES = 2000
COVERAGES = tuple(round(0.1 * k, 1) for k in range(1, 11))
CELLS = 2_000_000
"""Resamples are worked through in pieces: no array of a number for each sentence and resample has more cells."""


class Resamples:
    """Stories drawn with replacement, again and again: how often each one was drawn.

    The same stories and seed give the same draws, so that what two models get on them can be subtracted in pairs.
    """

    def __init__(self, story: Array, resamples: int = RESAMPLES, seed: int = 0) -> None:
        """Draw.

        Args:
            story: the group of each row, shape (n,).
            resamples: how many times as many stories are drawn as there are.
            seed: of the draws.
        """
        names, self.story = np.unique(story, return_inverse=True)
        share, rng = np.full(len(names), 1 / len(names)), np.random.default_rng(seed)
        self.weights = np.empty((resamples, len(names)), dtype=np.uint8)  # nothing is drawn 256 times in our lives
        self._piece = max(1, CELLS // len(story))
        for rows in self._pieces():
            self.weights[rows] = rng.multinomial(len(names), share, size=len(self.weights[rows]))

    def _pieces(self) -> Iterator[slice]:
        yield from (slice(k, k + self._piece) for k in range(0, len(self.weights), self._piece))

    def sums(self, values: Array) -> Array:
        """Sums of rows (n, M) on each resample, shape (resamples, M)."""
        by_story = np.zeros((self.weights.shape[1], values.shape[1]))
        np.add.at(by_story, self.story, values)
        return np.concatenate([self.weights[rows].astype(float) @ by_story for rows in self._pieces()])

    def along(self, ranking: "Ranking", measure: Callable[[Array, Array], Array]) -> Array:
        """What `measure` makes of the running sums along an order, for each resample.

        `measure` is given rows, and rows with the event, down to each group of ties: each (resamples, groups).
        """
        return np.concatenate([measure(*self._running(ranking, self.weights[rows])) for rows in self._pieces()])

    def _running(self, ranking: "Ranking", weights: Array) -> tuple[Array, Array]:
        drawn = np.take(weights, self.story[ranking.order], axis=1)
        events = np.zeros((len(weights), len(ranking.event) + 1), dtype=np.int32)
        np.cumsum(drawn[:, ranking.event], axis=1, dtype=np.int32, out=events[:, 1:])
        rows = np.cumsum(drawn, axis=1, dtype=np.int32)[:, ranking.last]
        return rows, events[:, np.searchsorted(ranking.event, ranking.last, side="right")]


class Ranking:
    """Rows (n,) in falling order of a score, ties together, and which of them carry an event."""

    def __init__(self, score: Array, event: Array) -> None:
        self.order = np.argsort(-score, kind="stable")
        self.event = np.flatnonzero(np.asarray(event, dtype=bool)[self.order])
        self.last = np.flatnonzero(np.append(np.diff(score[self.order]) != 0, True))


def _average_precision(rows: Array, hits: Array) -> Array:
    """NaN where a resample holds no positive example."""
    gained = np.diff(hits, axis=1, prepend=0)
    with np.errstate(invalid="ignore"):
        return np.asarray((gained * (hits / np.maximum(rows, 1))).sum(axis=1) / hits[:, -1])


def _risk_area(rows: Array, wrong: Array) -> Array:
    taken = np.diff(rows, axis=1, prepend=0)
    return np.asarray((taken * (wrong / np.maximum(rows, 1))).sum(axis=1) / rows[:, -1])


def risk_at(rows: Array, wrong: Array, coverages: Sequence[float] = COVERAGES) -> Array:
    """Share of wrong rows among the surest share of all rows, shape (resamples, coverages)."""
    columns = [(rows >= share * rows[:, -1:]).argmax(axis=1) for share in coverages]
    every = np.arange(len(rows))
    return np.stack([wrong[every, c] / np.maximum(rows[every, c], 1) for c in columns], axis=1)


def resampled(
    y_true: Array, y_prob: Array, labels: Sequence[str], thresholds: Array, draws: Resamples
) -> dict[str, Array]:
    """Every metric of `conflict_claims.metrics.scores` on resamples of whole stories.

    Returns:
        An array of shape (resamples,) for each metric; those of a label are named `labels.NAME.METRIC`. NaN where a
        resample leaves a metric undefined.
    """
    pred = np.asarray(y_prob >= thresholds)
    wrong = (np.asarray(y_true, dtype=bool) != pred).any(axis=1)
    totals = draws.sums(_cells(np.asarray(y_true, dtype=float), y_prob, pred, wrong))
    precision = [draws.along(Ranking(y_prob[:, k], y_true[:, k]), _average_precision) for k in range(len(labels))]
    area = draws.along(Ranking(confidence(y_prob, thresholds).prod(axis=1), wrong), _risk_area)
    return _named(totals, np.stack(precision, axis=1), area, labels)


def _cells(true: Array, y_prob: Array, pred: Array, wrong: Array) -> Array:
    """What a sentence adds to the sums: counts, squared errors, gaps in the bins of calibration, errors, itself."""
    n, k = true.shape
    counts = [true * pred, (1 - true) * pred, true * (1 - pred)]
    gaps = np.zeros((n, k, BINS))
    where = np.minimum((y_prob * BINS).astype(int), BINS - 1)
    np.put_along_axis(gaps, where[:, :, None], (y_prob - true)[:, :, None], axis=2)
    return np.hstack([*counts, (y_prob - true) ** 2, gaps.reshape(n, -1), wrong[:, None], np.ones((n, 1))])


def _named(totals: Array, average_precision: Array, area: Array, labels: Sequence[str]) -> dict[str, Array]:
    k = len(labels)
    tp, fp, fn, squared = (totals[:, j * k : (j + 1) * k] for j in range(4))
    wrong, n = totals[:, -2], totals[:, -1]
    gaps = totals[:, 4 * k : -2].reshape(-1, k, BINS)
    f1 = f1_from_counts(tp, fp, fn)
    with np.errstate(invalid="ignore"):
        of_label = {
            "precision": tp / (tp + fp),
            "recall": tp / (tp + fn),
            "f1": f1,
            "average_precision": average_precision,
            "ece": np.abs(gaps).sum(axis=2) / n[:, None],
            "brier": squared / n[:, None],
        }
    known = ~np.isnan(average_precision)
    labels_known = np.where(known.any(axis=1), known.sum(axis=1), np.nan)
    return {
        "macro_f1": f1.mean(axis=1),
        "micro_f1": f1_from_counts(tp.sum(axis=1), fp.sum(axis=1), fn.sum(axis=1)),
        "exact_match": 1 - wrong / n,
        "mean_average_precision": np.where(known, average_precision, 0).sum(axis=1) / labels_known,
        "ece": of_label["ece"].mean(axis=1),
        "brier": of_label["brier"].mean(axis=1),
        "risk_coverage_area": area,
        **{f"labels.{name}.{metric}": v[:, j] for j, name in enumerate(labels) for metric, v in of_label.items()},
    }


def interval(values: Array) -> list[float] | None:
    """The 95 % percentile interval of resampled values; None where nine in ten or more are undefined."""
    known = values[~np.isnan(values)]
    return [float(v) for v in np.quantile(known, [0.025, 0.975])] if len(known) > 0.1 * len(values) else None


def intervals(draws: dict[str, Array], labels: Sequence[str]) -> dict[str, Any]:
    """Intervals of every metric; those of F1 stand under the label's own name, all of a label's under `labels`."""
    whole = {name: interval(values) for name, values in draws.items() if not name.startswith("labels.")}
    of_labels: dict[str, dict[str, Any]] = {name: {} for name in labels}
    for key, values in draws.items():
        if key.startswith("labels."):
            name, _, metric = key.removeprefix("labels.").rpartition(".")
            of_labels[name][metric] = interval(values)
    return whole | {name: found["f1"] for name, found in of_labels.items()} | {"labels": of_labels}
