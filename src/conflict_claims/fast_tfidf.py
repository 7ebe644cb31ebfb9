"""A fitted TF-IDF pipeline of scikit-learn, computed faster.

News repeats its words. What scikit-learn's own analyser makes of a word inside its boundaries (`char_wb`) depends on
that word alone, so it is worked out once a word and kept; the rest is arithmetic on sparse arrays. Same features, same
numbers up to rounding.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import Pipeline

from conflict_claims.metrics import Array

KEPT_WORDS = 200_000
"""So many words are remembered; then the memory starts anew."""


VOCABULARY = "vocabulary.json"
"""The terms of each vectorizer, in the order of their columns. Inside the .skops file they cost 140 MB and seconds."""


@contextmanager
def without_vocabulary(pipeline: Pipeline, path: Path) -> Iterator[None]:
    """Write the pipeline's terms to a file, and take them out of it for the while."""
    parts = [(name, vectorizer, vectorizer.vocabulary_) for name, vectorizer in pipeline[0].transformer_list]
    terms = {name: sorted(vocabulary, key=vocabulary.__getitem__) for name, _, vocabulary in parts}
    path.write_text(json.dumps(terms, ensure_ascii=False), encoding="utf-8")
    try:
        for _, vectorizer, _ in parts:
            vectorizer.vocabulary_ = {}
        yield
    finally:
        for _, vectorizer, vocabulary in parts:
            vectorizer.vocabulary_ = vocabulary


def with_vocabulary(pipeline: Pipeline, path: Path) -> Pipeline:
    """Put the terms of a file back into their pipeline."""
    terms = json.loads(path.read_text(encoding="utf-8"))
    for name, vectorizer in pipeline[0].transformer_list:
        vectorizer.vocabulary_ = {term: column for column, term in enumerate(terms[name])}
    return pipeline


class FastTfidf:
    """Decision values of `make_pipeline(make_union(TfidfVectorizer, ...), OneVsRestClassifier(linear))`."""

    def __init__(self, pipeline: Pipeline) -> None:
        union, classifier = pipeline[0], pipeline[-1]
        weights = np.vstack([estimator.coef_ for estimator in classifier.estimators_]).astype(np.float32)
        self._bias = np.array([float(estimator.intercept_[0]) for estimator in classifier.estimators_])
        self._parts = []
        first = 0
        for _, vectorizer in union.transformer_list:
            last = first + len(vectorizer.vocabulary_)
            self._parts.append(
                (_Counter(vectorizer), vectorizer.idf_.astype(np.float32), weights[:, first:last].T.copy())
            )
            first = last

    def __call__(self, texts: Sequence[str]) -> Array:
        """Decision values of shape (n, K)."""
        return np.asarray(self._bias + sum(_weigh(count(texts), idf) @ weights for count, idf, weights in self._parts))


def _weigh(counts: "csr_array[Any, Any]", idf: Array) -> "csr_array[Any, Any]":
    """Sublinear term frequency times inverse document frequency, rows of length one: in place."""
    counts.data = (np.log(counts.data) + 1) * idf[counts.indices]
    rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    norms = np.sqrt(np.bincount(rows, counts.data**2, minlength=counts.shape[0])).astype(np.float32)
    counts.data /= np.where(norms > 0, norms, 1)[rows]
    return counts


class _Counter:
    """Terms of each text, counted."""

    def __init__(self, vectorizer: TfidfVectorizer) -> None:
        self._analyze = vectorizer.build_analyzer()
        self._vocabulary: dict[str, int] = vectorizer.vocabulary_
        self._by_word = vectorizer.analyzer == "char_wb"
        self._known: dict[str, Array] = {}

    def __call__(self, texts: Sequence[str]) -> "csr_array[Any, Any]":
        parts = [self._ids(text) for text in texts]
        sizes = np.fromiter(map(len, parts), dtype=np.int64, count=len(parts))
        ids = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int32)
        starts = np.concatenate([[0], np.cumsum(sizes)])
        ones = np.ones(len(ids), dtype=np.float32)
        counts = csr_array((ones, ids, starts), shape=(len(texts), len(self._vocabulary)))
        counts.sum_duplicates()
        return counts

    def _ids(self, text: str) -> Array:
        if not self._by_word:
            return self._look_up(text)
        known, parts = self._known, []
        for word in text.split():
            ids = known.get(word)
            if ids is None:
                if len(known) >= KEPT_WORDS:
                    known.clear()
                ids = known[word] = self._look_up(word)
            parts.append(ids)
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int32)

    def _look_up(self, text: str) -> Array:
        found = map(self._vocabulary.get, self._analyze(text))
        return np.array([k for k in found if k is not None], dtype=np.int32)
