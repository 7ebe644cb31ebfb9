"""The same numbers as scikit-learn's own pipeline, whatever the text."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conflict_claims import fast_tfidf
from conflict_claims.fast_tfidf import FastTfidf
from conflict_claims.tfidf import TfidfClassifier

from .conftest import LABELS, corpus_rows


@pytest.fixture(scope="module")
def pair(models):
    pipeline = TfidfClassifier.from_pretrained(models / "tfidf", LABELS).pipeline
    return pipeline, FastTfidf(pipeline)


def test_the_same_numbers_as_scikit_learn_on_the_corpus(pair):
    pipeline, fast = pair
    texts = [row["text"] for row in corpus_rows(("batch1.jsonl",))[:400]]
    assert np.allclose(pipeline.decision_function(texts), fast(texts), atol=1e-3)
    assert np.allclose(fast(texts), fast(texts[::-1])[::-1], atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=60), min_size=1, max_size=5))
def test_the_same_numbers_on_any_text(pair, texts):
    pipeline, fast = pair
    assert np.allclose(pipeline.decision_function(texts), fast(texts), atol=1e-3)


def test_a_memory_that_is_full_changes_nothing(pair, monkeypatch):
    pipeline, _ = pair
    monkeypatch.setattr(fast_tfidf, "KEPT_WORDS", 5)
    texts = [row["text"] for row in corpus_rows()[:20]]
    assert np.allclose(pipeline.decision_function(texts), FastTfidf(pipeline)(texts), atol=1e-3)


def test_no_text_gives_no_row(pair):
    assert pair[1]([]).shape == (0, 4)


def test_saving_takes_the_vocabulary_out_and_puts_it_back(pair, tmp_path):
    pipeline, _ = pair
    before = [dict(vectorizer.vocabulary_) for _, vectorizer in pipeline[0].transformer_list]
    with pytest.raises(OSError), fast_tfidf.without_vocabulary(pipeline, tmp_path / "v.json"):
        assert not any(vectorizer.vocabulary_ for _, vectorizer in pipeline[0].transformer_list)
        raise OSError("a full disk")
    assert [vectorizer.vocabulary_ for _, vectorizer in pipeline[0].transformer_list] == before
    fast_tfidf.with_vocabulary(pipeline, tmp_path / "v.json")
    assert [vectorizer.vocabulary_ for _, vectorizer in pipeline[0].transformer_list] == before
