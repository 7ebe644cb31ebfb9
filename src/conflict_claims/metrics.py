"""Pure functions of arrays: scores, calibration, thresholds.

Everywhere `y_true` and `y_pred` are 0/1 arrays of shape (n, K), `y_prob` probabilities of the same shape, columns in
label order. Scores run over the full label set.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
BINS = 10


def sigmoid(x: Array) -> Array:
    """The logistic function, without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * np.asarray(x, dtype=np.float64))))


def f1_from_counts(tp: Array, fp: Array, fn: Array) -> Array:
    """F1 from counts; where there is nothing to find and nothing was claimed it is 1, so silence costs nothing."""
    denominator = 2 * tp + fp + fn
    return np.where(denominator > 0, 2 * tp / np.maximum(denominator, 1), 1.0)


def counts(y_true: Array, y_pred: Array) -> tuple[Array, Array, Array]:
    """True positives, false positives, false negatives for each label, each of shape (K,)."""
    true, pred = np.asarray(y_true, dtype=bool), np.asarray(y_pred, dtype=bool)
    return (true & pred).sum(axis=0), (~true & pred).sum(axis=0), (true & ~pred).sum(axis=0)


def macro_f1(y_true: Array, y_pred: Array) -> float:
    """The mean of the labels' F1."""
    return float(f1_from_counts(*counts(y_true, y_pred)).mean())


def average_precision(y_true: Array, y_prob: Array) -> float:
    """Area under the precision-recall steps of one label (n,); NaN where the label has no positive example."""
    total = y_true.sum()
    if not total:
        return float("nan")
    order = np.argsort(-y_prob, kind="stable")
    hits = np.asarray(y_true)[order]
    found = hits.cumsum()
    last_of_tie = np.append(np.diff(y_prob[order]) != 0, True)
    precision = (found / np.arange(1, len(hits) + 1))[last_of_tie]
    recall = (found / total)[last_of_tie]
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def expected_calibration_error(y_true: Array, y_prob: Array, bins: int = BINS) -> float:
    """Mean distance of confidence and frequency over bins of equal width (Naeini et al. 2015), one label (n,)."""
    where = np.minimum((y_prob * bins).astype(int), bins - 1)
    size = np.bincount(where, minlength=bins)
    gap = np.abs(np.bincount(where, y_prob, bins) - np.bincount(where, np.asarray(y_true, dtype=float), bins))
    return float(gap.sum() / max(1, size.sum()))


def brier_score(y_true: Array, y_prob: Array) -> float:
    """Mean squared distance of probability and outcome (Brier 1950), one label (n,)."""
    return float(np.mean((y_prob - y_true) ** 2)) if len(y_true) else 0.0


def ece_by_chance(y_prob: Array, draws: int = 200, seed: int = 0) -> float:
    """The calibration error that these probabilities (n,) would show on average if every one of them were right.

    With few sentences no model reaches zero; a measured error near this one says that nothing is wrong.
    """
    rng = np.random.default_rng(seed)
    outcomes = (rng.random(len(y_prob)) < y_prob for _ in range(draws))
    return float(np.mean([expected_calibration_error(y, y_prob) for y in outcomes]))


def confidence(y_prob: Array, thresholds: Array) -> Array:
    """The model's own probability that each decision is right, shape (n, K): p where the label is given, else 1 - p."""
    return np.where(y_prob >= thresholds, y_prob, 1 - y_prob)


def risk_coverage_area(wrong: Array, sureness: Array) -> float:
    """Mean share of wrong rows among the surest rows, over all shares (Geifman et al. 2019); wrong, sureness: (n,)."""
    order = np.argsort(-sureness, kind="stable")
    risk = np.asarray(wrong)[order].cumsum() / np.arange(1, len(order) + 1)
    last_of_tie = np.append(np.diff(sureness[order]) != 0, True)
    size = np.diff(np.flatnonzero(last_of_tie), prepend=-1)
    return float((risk[last_of_tie] * size).sum() / len(order))


def scores(y_true: Array, y_prob: Array, labels: Sequence[str], thresholds: Array) -> dict[str, Any]:
    """Every metric of a labelled file, by the names of the design.

    Returns:
        `macro_f1`, `micro_f1`, `exact_match`, `mean_average_precision`, `ece` and `brier` (means over labels),
        `risk_coverage_area` (of sentences with any wrong decision), `n`, and for each label under `labels`:
        `precision, recall, f1, average_precision, support, threshold, ece, ece_by_chance, brier`. Undefined values
        are None.
    """
    y_pred = y_prob >= thresholds
    right = (np.asarray(y_true, dtype=bool) == y_pred).all(axis=1)
    tp, fp, fn = counts(y_true, y_pred)
    f1 = f1_from_counts(tp, fp, fn)
    ap = [average_precision(y_true[:, k], y_prob[:, k]) for k in range(len(labels))]
    known = [value for value in ap if not np.isnan(value)]
    per_label = {
        name: {
            "precision": float(tp[k] / (tp[k] + fp[k])) if tp[k] + fp[k] else None,
            "recall": float(tp[k] / (tp[k] + fn[k])) if tp[k] + fn[k] else None,
            "f1": float(f1[k]),
            "average_precision": None if np.isnan(ap[k]) else ap[k],
            "support": int(y_true[:, k].sum()),
            "threshold": float(thresholds[k]),
            "ece": expected_calibration_error(y_true[:, k], y_prob[:, k]),
            "ece_by_chance": ece_by_chance(y_prob[:, k]),
            "brier": brier_score(y_true[:, k], y_prob[:, k]),
        }
        for k, name in enumerate(labels)
    }
    return {
        "n": len(y_true),
        "macro_f1": float(f1.mean()),
        "micro_f1": float(f1_from_counts(tp.sum(), fp.sum(), fn.sum())),
        "exact_match": float(right.mean()),
        "mean_average_precision": float(np.mean(known)) if known else None,
        "ece": float(np.mean([values["ece"] for values in per_label.values()])),
        "brier": float(np.mean([values["brier"] for values in per_label.values()])),
        "risk_coverage_area": risk_coverage_area(~right, confidence(y_prob, thresholds).prod(axis=1)),
        "labels": per_label,
    }


def fit_calibration(y_true: Array, logits: Array) -> Array:
    """Platt scaling (Platt 1999) of each label on validation data.

    Returns:
        Shape (K, 2), slope and intercept: the probability is ``sigmoid(slope * logit + intercept)``. A slope that
        would turn the order around (possible on tiny data) is refused and left at identity.
    """
    from scipy.optimize import minimize

    result = np.tile([1.0, 0.0], (logits.shape[1], 1))
    for k in range(logits.shape[1]):
        x, positives = logits[:, k].astype(float), int(y_true[:, k].sum())
        high, low = (positives + 1) / (positives + 2), 1 / (len(x) - positives + 2)  # Platt's prior against overfitting
        target = np.where(y_true[:, k] > 0, high, low)

        def loss(ab: Array, x: Array = x, target: Array = target) -> float:
            z = ab[0] * x + ab[1]
            return float((np.logaddexp(0, z) - target * z).sum())

        fitted = minimize(loss, [1.0, 0.0], method="BFGS")
        if np.isfinite(fitted.x).all() and fitted.x[0] > 0:
            result[k] = fitted.x
    return result


def calibrate(logits: Array, calibration: Array) -> Array:
    """Probabilities of shape (n, K) from logits and the (K, 2) slopes and intercepts."""
    return sigmoid(logits * calibration[:, 0] + calibration[:, 1])


def choose_thresholds(y_true: Array, y_prob: Array, rounds: int = 50, seed: int = 0) -> Array:
    """Thresholds of shape (K,) for F1: the strictest of those that are about as good as the best on validation data.

    One best cut on a few hundred rows follows single sentences; the mean of the best cuts of bootstrap rounds does not.
    From there all labels move up together, in log-odds, until macro-F1 has lost one standard error, or by 1 (0.4
    becomes 0.64): the one-standard-error rule (Breiman et al. 1984). A corpus for training is rich in claims on
    purpose, news is not, and the rarer the claims, the higher the best cuts.
    """
    rng = np.random.default_rng(seed)
    drawn = [rng.integers(0, len(y_true), len(y_true)) for _ in range(rounds)]
    cuts = [[_best_cut(y_true[rows, k], y_prob[rows, k]) for rows in drawn] for k in range(y_prob.shape[1])]
    best = np.clip(np.mean(cuts, axis=1), 0.05, 0.95)
    given = y_prob >= best
    error = np.std([macro_f1(y_true[rows], given[rows]) for rows in drawn])
    enough = macro_f1(y_true, given) - error
    stricter = sigmoid(np.log(best / (1 - best)) + np.arange(0.02, 1.01, 0.02)[:, None])
    return np.asarray([t for t in (best, *stricter) if macro_f1(y_true, y_prob >= t) >= enough][-1])


def _best_cut(y_true: Array, y_prob: Array) -> float:
    order = np.argsort(-y_prob, kind="stable")
    prob, found = y_prob[order], y_true[order].cumsum()
    f1 = 2 * found / (np.arange(1, len(prob) + 1) + max(1, y_true.sum()))
    f1[:-1][prob[:-1] == prob[1:]] = -1.0  # no cut lies between equal probabilities
    k = int(np.argmax(f1))
    return float((prob[k] + prob[k + 1]) / 2) if k + 1 < len(prob) else float(prob[k]) / 2
