"""Which calibration holds best on stories that it was not fitted on? Five folds of the validation split, no other data.

    python benchmarks/calibration.py models/tfidf models/transformer

Prints, for each model and method, the ECE of each label (mean of out-of-fold predictions) and the mean Brier score.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from conflict_claims.corpus.records import read_sentences
from conflict_claims.labels import to_indicator
from conflict_claims.metrics import Array, brier_score, calibrate, expected_calibration_error, fit_calibration
from conflict_claims.runtime import load

Fitted = Callable[[Array], Array]


def nothing(x: Array, y: Array) -> Fitted:
    """The model's own probabilities."""
    return expit


def temperature(x: Array, y: Array) -> Fitted:
    """One number a label (Guo et al. 2017)."""
    slope = LogisticRegression(C=np.inf, fit_intercept=False).fit(x[:, None], y).coef_[0, 0]
    return lambda z: expit(slope * z)


def platt(x: Array, y: Array) -> Fitted:
    """What training stores: slope and intercept (Platt 1999)."""
    fitted = fit_calibration(y[:, None], x[:, None])
    return lambda z: calibrate(z[:, None], fitted)[:, 0]


def beta(x: Array, y: Array) -> Fitted:
    """Three numbers (Kull, Silva Filho, Flach 2017)."""

    def features(z: Array) -> Array:
        return np.stack([-np.logaddexp(0, -z), np.logaddexp(0, z)], axis=1)

    fitted = LogisticRegression(C=np.inf, max_iter=1000).fit(features(x), y)
    return lambda z: fitted.predict_proba(features(z))[:, 1]


def isotonic(x: Array, y: Array) -> Fitted:
    """Any rising steps (Zadrozny, Elkan 2002)."""
    return IsotonicRegression(out_of_bounds="clip", y_min=0, y_max=1).fit(x, y).predict


def main() -> None:
    """Fit on four folds, predict the fifth, score all together."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--data", type=Path, default=Path("data/splits/validation.jsonl"))
    given = parser.parse_args()
    for folder in given.models:
        model = load(folder)
        sentences = read_sentences(given.data, model.labels)
        y = to_indicator((s.labels for s in sentences), model.labels)
        slopes = model.manifest.calibration_array
        p = np.clip(model.predict_proba([s.text for s in sentences]), 1e-9, 1 - 1e-9)
        logits = (logit(p) - slopes[:, 1]) / slopes[:, 0]  # as they were before the calibration that is in the folder
        folds = list(GroupKFold(5).split(logits, groups=[s.story for s in sentences]))
        sys.stdout.write(f"{folder.name}: {', '.join(model.labels)}; Brier\n")
        for method in (nothing, temperature, platt, beta, isotonic):
            found = np.zeros(y.shape)
            for fit, rest in folds:
                for k in range(y.shape[1]):
                    found[rest, k] = method(logits[fit, k], y[fit, k])(logits[rest, k])
            ece = [expected_calibration_error(y[:, k], found[:, k]) for k in range(y.shape[1])]
            brier = np.mean([brier_score(y[:, k], found[:, k]) for k in range(y.shape[1])])
            sys.stdout.write(f"  {method.__name__:12} {' '.join(f'{v:.4f}' for v in ece)}  {brier:.5f}\n")


if __name__ == "__main__":
    main()
