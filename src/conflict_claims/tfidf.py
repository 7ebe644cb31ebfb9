"""The baseline: word and character TF-IDF into one-vs-rest logistic regression."""

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import skops.io
from scipy.sparse import csr_array, diags_array, vstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline, make_pipeline, make_union
from sklearn.preprocessing import LabelBinarizer

from conflict_claims.config import NgramConfig, TfidfConfig
from conflict_claims.engines import Reference
from conflict_claims.fast_tfidf import VOCABULARY, with_vocabulary, without_vocabulary
from conflict_claims.metrics import Array, macro_f1, sigmoid
from conflict_claims.text import normalise

SURE = 0.005
"""A probability so near to 0 or 1 counts as one class alone; also the weight of the empty sentence in each class."""

PRIOR = 0.1
"""Weight that each term has in each class before anything is read."""

TOLERANCE = 1e-5
"""Gradient at which L-BFGS stops; at scikit-learn's 1e-4, rounding moves validation macro-F1 by 0.004."""


class TfidfClassifier:
    """A linear model that trains in a minute; its regularisation is chosen on validation data."""

    kind = "tfidf"

    def __init__(self, labels: Sequence[str], config: TfidfConfig | None = None) -> None:
        self.labels = tuple(labels)
        self.config = config
        self.pipeline: Pipeline | None = None
        self.history: list[dict[str, Any]] = []
        self.seconds = 0.0

    def fit(self, texts: Sequence[str], y: Array, validation: tuple[Sequence[str], Array]) -> Self:
        """Fit on `texts` with labels or probabilities `y` (n, K); the setting best on validation (macro-F1) is kept."""
        assert self.config is not None, "a loaded model has no training settings"
        started = time.perf_counter()
        features = make_union(_vectorizer(self.config.word, "word"), _vectorizer(self.config.char, "char_wb"))
        x = csr_array(features.fit_transform([normalise(text) for text in texts]))
        x.sum_duplicates()  # in place, so before threads share it
        x_validation = features.transform([normalise(text) for text in validation[0]])
        fit = partial(
            _fit_label, x, grid=sorted(self.config.C), power=self.config.log_count_ratio, seed=self.config.seed
        )
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            fitted = list(pool.map(fit, np.asarray(y, dtype=float).T))
        best = -1.0
        for c, lines in zip(sorted(self.config.C), zip(*fitted, strict=True), strict=True):
            classifier = _together(lines)
            score = macro_f1(validation[1], _logits(classifier, x_validation, len(self.labels)) > 0)
            self.history.append({"C": c, "validation_macro_f1": score})
            if score > best:
                best, self.pipeline = score, make_pipeline(features, classifier)
        self.seconds = time.perf_counter() - started
        return self

    def logits(self, texts: Sequence[str]) -> Array:
        """Decision values of shape (n, K)."""
        assert self.pipeline is not None, "fit or load first"
        return _logits(self.pipeline, [normalise(text) for text in texts], len(self.labels))

    def predict_proba(self, texts: Sequence[str]) -> Array:
        """Uncalibrated probabilities of shape (n, K)."""
        return sigmoid(self.logits(texts))

    def save_pretrained(self, folder: Path, reference: Reference | None = None) -> None:
        """Write `model.skops`, which loads without running code of the file's choosing, and its vocabulary.

        There is no faster form.
        """
        assert self.pipeline is not None, "fit or load first"
        with without_vocabulary(self.pipeline, folder / VOCABULARY):
            skops.io.dump(self.pipeline, folder / "model.skops")

    @classmethod
    def from_pretrained(cls, folder: Path, labels: Sequence[str]) -> Self:
        """Read what `save_pretrained` wrote."""
        model = cls(labels)
        model.pipeline = with_vocabulary(skops.io.load(folder / "model.skops", trusted=[]), folder / VOCABULARY)
        return model


def _fit_label(x: csr_array, target: Array, grid: Sequence[float], power: float, seed: int) -> list[LogisticRegression]:
    """One label's logistic regression for each C of a rising grid, each begun where the last one ended.

    It learns probabilities: a row counts as both classes, each by its probability. Terms are scaled by how much they
    tell, and the scale then moves into the coefficients: a fitted model reads plain features.
    """
    scale = _weight_of_terms(x, target, power)
    scaled = x @ diags_array(scale)
    yes, no = target > SURE, target < 1 - SURE
    nothing = csr_array(
        (2, x.shape[1]), dtype=x.dtype
    )  # one of each class: so a label that all rows have is fitted too
    rows = vstack([scaled[yes], scaled[no], nothing], format="csr")
    classes = np.concatenate([np.ones(yes.sum()), np.zeros(no.sum()), [1, 0]])
    weights = np.concatenate([target[yes], 1 - target[no], [SURE, SURE]])
    model = LogisticRegression(max_iter=2000, tol=TOLERANCE, warm_start=True, random_state=seed)
    fitted = []
    for c in grid:
        model.set_params(C=c).fit(rows, classes, weights)
        fitted.append(copy(model))
        fitted[-1].coef_ = model.coef_ * scale
    return fitted


def _weight_of_terms(x: csr_array, target: Array, power: float) -> Array:
    """|log(p / q)| ** power of each term, with p and q its shares of all weight in the two classes; mean square one.

    The log-count ratio of NB-SVM (Wang and Manning 2012): the penalty on coefficients then falls on terms that are as
    common in one class as in the other. Its square root did better than all of it (experiments/LOG.md).
    """
    counts = [PRIOR + x.T @ part for part in (target, 1 - target)]
    p, q = (count / count.sum() for count in counts)
    ratio = np.abs(np.log(p / q)) ** power
    energy = x.power(2).sum(axis=0)
    mean_square = energy @ ratio**2 / energy.sum()
    scale = ratio / np.sqrt(mean_square) if mean_square > 0 else np.ones_like(ratio)
    return np.asarray(scale, dtype=x.dtype)


def _together(lines: Sequence[LogisticRegression]) -> OneVsRestClassifier:
    """Fitted labels as scikit-learn's own multi-label classifier, whose `fit` takes no probabilities."""
    classifier = OneVsRestClassifier(LogisticRegression())
    classifier.estimators_ = list(lines)
    classifier.label_binarizer_ = LabelBinarizer(sparse_output=True).fit(np.eye(len(lines), dtype=int))
    classifier.classes_ = classifier.label_binarizer_.classes_
    return classifier


def _logits(model: Any, x: Any, n_labels: int) -> Array:  # noqa: ANN401 - any scikit-learn classifier
    return np.asarray(model.decision_function(x), dtype=float).reshape(-1, n_labels)


def _vectorizer(config: NgramConfig, analyzer: str) -> TfidfVectorizer:
    return TfidfVectorizer(
        analyzer=analyzer,
        ngram_range=config.ngram_range,
        min_df=config.min_df,
        max_features=config.max_features,
        sublinear_tf=True,
        strip_accents="unicode",
        dtype=np.float32,
    )
