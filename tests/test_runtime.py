import unicodedata
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import conflict_claims
from conflict_claims import ClaimsError
from conflict_claims.runtime import load
from conflict_claims.text import MAX_SENTENCE, normalise, split_sentences

from .conftest import LABELS, ROOT, corpus_rows

ARTICLE = (ROOT / "examples/article.txt").read_text(encoding="utf-8")
TEXTS = [row["text"] for row in corpus_rows()[:40]]


@pytest.fixture(scope="module", params=["tfidf", "transformer"])
def model(request, models):
    return load(models / request.param)


# text


@settings(max_examples=300)
@given(st.text())
def test_normalising_twice_changes_nothing_and_leaves_nothing_invisible(text):
    once = normalise(text)
    assert normalise(once) == once
    assert not any(unicodedata.category(c).startswith("C") for c in once)
    assert once == " ".join(once.split())


@settings(max_examples=300)
@given(st.text(alphabet=st.sampled_from("ab.?!\"' \n\t\u200b\u00e9\U0001f600") | st.characters()))
def test_sentences_are_in_order_disjoint_and_miss_no_visible_character(text):
    spans = list(split_sentences(text))
    assert all(start < end for start, end in spans)
    assert all(a[1] <= b[0] for a, b in pairwise(spans))
    gaps = [*zip([0, *(end for _, end in spans)], [*(start for start, _ in spans), len(text)], strict=True)]
    assert all(not normalise(text[a:b]) for a, b in gaps)
    assert all(text[start:end] == text[start:end].strip() for start, end in spans)


def test_the_sample_article_is_split_where_a_reader_would():
    sentences = [ARTICLE[start:end] for start, end in split_sentences(ARTICLE)]
    assert len(sentences) == 11
    assert sentences[1].startswith("The town, some 40 km west")
    assert sentences[2].startswith('"I heard a very loud blast') and sentences[2].endswith("the checkpoint.")


def test_an_article_of_a_million_characters_is_split():
    times = 1_000_000 // len(ARTICLE) + 1
    assert sum(1 for _ in split_sentences(f"{ARTICLE}\n" * times)) == 11 * times


@pytest.mark.parametrize("text", ["a" * 1_000_000, "word " * 200_000])
def test_a_million_characters_without_a_sentence_end_are_cut_and_none_is_lost(text):
    spans = list(split_sentences(text))
    assert max(end - start for start, end in spans) <= MAX_SENTENCE
    assert "".join(text[start:end] for start, end in spans).replace(" ", "") == text.replace(" ", "")
    assert all(text[start:end].strip() == text[start:end] for start, end in spans)


# models


def test_probabilities_have_their_shape_and_range(model):
    found = model.predict_proba(TEXTS)
    assert found.shape == (40, 4) and model.labels == LABELS
    assert ((found >= 0) & (found <= 1)).all()
    assert model.predict_proba([]).shape == (0, 4)


def test_a_sentence_gets_the_same_answer_alone_and_in_company(model):
    together = model.predict_proba(TEXTS)
    alone = np.concatenate([model.predict_proba([t]) for t in TEXTS])
    assert together == pytest.approx(alone, abs=1e-4)
    backwards = model.predict_proba(TEXTS[::-1])[::-1]
    assert together == pytest.approx(backwards, abs=1e-4)


def test_labels_are_given_from_the_threshold_on(model):
    for prediction in model.predict(ARTICLE):
        expected = [n for n, t in zip(LABELS, model.thresholds, strict=True) if prediction.probabilities[n] >= t]
        assert list(prediction.labels) == expected
        assert ARTICLE[prediction.start : prediction.end] == prediction.text


def test_one_text_gives_a_list_and_several_give_lists_in_order(model):
    one = model.predict(ARTICLE)
    several = model.predict([ARTICLE, "Prices rose.", ""])
    assert [p.text for p in several[0]] == [p.text for p in one]
    assert [len(found) for found in several] == [11, 1, 0]
    whole = model.predict("Prices rose. Nobody spoke.", sentences=True)
    assert [(p.start, p.end) for p in whole] == [(0, 26)]


def test_invisible_characters_do_not_change_the_answer(model):
    clean = "The army captured the town on Monday."
    dirty = "The\u00a0army \u200bcaptured the\ttown\ufeff on  Monday."
    assert model.predict_proba([clean]) == pytest.approx(model.predict_proba([dirty]))


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([""], "text 1 is empty"),
        (["fine", " \u200b"], "text 2 is empty"),
        ([None], "text 1: expected a string, found NoneType"),
        (["a" * 1_000_000], "text 1 has 1,000,000 characters; a sentence has at most"),
    ],
)
def test_what_is_no_sentence_is_refused(model, texts, message):
    with pytest.raises(ClaimsError, match=message):
        model.predict_proba(texts)


@pytest.mark.parametrize("texts", [None, 7, [None], ["fine", float("nan")]])
def test_predict_says_what_is_no_text(model, texts):
    with pytest.raises(ClaimsError, match="expected a"):
        model.predict(texts)


def test_the_short_form_finds_the_model_that_is_named(models, monkeypatch, tmp_path):
    text = "Residents said the army had retaken the town."
    expected = load(models / "tfidf").predict(text)
    assert conflict_claims.predict(text, models / "tfidf") == expected
    assert conflict_claims.predict([text], load(models / "tfidf")) == [expected]
    monkeypatch.setenv("CONFLICT_CLAIMS_MODEL", str(models / "tfidf"))
    assert conflict_claims.predict(text) == expected
    monkeypatch.delenv("CONFLICT_CLAIMS_MODEL")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ClaimsError, match=r"no model found \(models/transformer, models/tfidf\); .*make run"):
        conflict_claims.predict(text)
