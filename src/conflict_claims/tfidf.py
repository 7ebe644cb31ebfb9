"""The baseline: word and character TF-IDF into one-vs-rest logistic regression."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import skops.io
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline, make_pipeline, make_union

from conflict_claims.config import NgramConfig, TfidfConfig
from conflict_claims.engines import Reference
from conflict_claims.fast_tfidf import VOCABULARY, with_vocabulary, without_vocabulary
from conflict_claims.metrics import Array, macro_f1, sigmoid
from conflict_claims.text import normalise


class TfidfClassifier:
    """A linear model that trains in seconds; regularisation and class weights are chosen on validation data."""

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
        y = y > 0.5  # logistic regression here learns classes, not probabilities
        started = time.perf_counter()
        features = make_union(_vectorizer(self.config.word, "word"), _vectorizer(self.config.char, "char_wb"))
        x = features.fit_transform([normalise(text) for text in texts])
        x_validation = features.transform([normalise(text) for text in validation[0]])
        best = -1.0
        for class_weight in self.config.class_weight:
            for c in self.config.C:
                classifier = OneVsRestClassifier(
                    LogisticRegression(C=c, class_weight=class_weight, max_iter=2000, random_state=self.config.seed)
                )
                classifier.fit(x, y)
                logits = _logits(classifier, x_validation, len(self.labels))
                score = macro_f1(validation[1], logits > 0)
                self.history.append({"C": c, "class_weight": class_weight or "none", "validation_macro_f1": score})
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
