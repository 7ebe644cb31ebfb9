import json
import re
from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conflict_claims import ClaimsError
from conflict_claims.cli import main
from conflict_claims.explain import MAX_WORDS, explain, explain_many, faithfulness
from conflict_claims.runtime import load

from .conftest import LABELS, ROOT, corpus_rows

SENTENCE = "Residents of Qasr-Halil said 1,200 soldiers had retaken the town; nobody's been killed, they said."


@pytest.fixture(scope="module", params=["tfidf", "transformer"])
def model(request, models):
    return load(models / request.param)


def test_every_label_has_every_word_in_reading_order(model):
    explained = explain(model, SENTENCE)
    assert tuple(explained) == LABELS
    for words in explained.values():
        assert all(SENTENCE[word.start : word.end] == word.word for word in words)
        assert [word.word for word in words][:5] == ["Residents", "of", "Qasr-Halil", "said", "1,200"]
        assert "nobody's" in [word.word for word in words] and len(words) == 15


def test_the_weight_is_what_the_log_odds_lose_without_the_word(model):
    import numpy as np

    text, without = "Three people were killed, officials said.", "Three people were, officials said."
    p, q = model.predict_proba([text, without])
    lost = np.log(p / (1 - p)) - np.log(q / (1 - q))
    found = [explain(model, text)[label][3] for label in LABELS]
    assert {word.word for word in found} == {"killed"}
    assert [word.weight for word in found] == pytest.approx(lost, abs=1e-3)


def test_several_sentences_together_are_explained_as_each_alone(model):
    texts = [row["text"] for row in corpus_rows()[:6]]
    together, backwards = explain_many(model, texts), explain_many(model, texts[::-1])[::-1]
    for text, one, other in zip(texts, together, backwards, strict=True):
        for label, words in explain(model, text).items():
            for found in (one, other):
                assert [word.word for word in words] == [word.word for word in found[label]]
                weights = [word.weight for word in found[label]]
                assert [word.weight for word in words] == pytest.approx(weights, abs=0.01)
    assert explain_many(model, []) == []


def test_the_words_it_names_matter_more_than_words_drawn_at_random(model):
    """Faithfulness: the tiny models are poor, but what they go by is found all the same."""
    figures = faithfulness(model, [row["text"] for row in corpus_rows()[:300]])
    assert figures["cases"] > 50
    assert figures["named"] > 2 * figures["random"] > 0
    assert figures["named_lost"] > 2 * figures["random_lost"]


@settings(max_examples=60, deadline=None)
@given(
    text=st.text(alphabet=st.sampled_from("ab.,'-\u2019 \u00e9\u0301\U0001f600\u200b") | st.characters(), max_size=30)
)
def test_whatever_the_text_offsets_fit_and_weights_are_numbers(models, text):
    model = _tfidf(models)
    try:
        explained = explain(model, text)
    except ClaimsError as error:
        assert "is empty" in str(error)
        return
    for words in explained.values():
        assert all(text[word.start : word.end] == word.word and abs(word.weight) < 50 for word in words)
        assert [word.start for word in words] == sorted(word.start for word in words)


@lru_cache
def _tfidf(models):
    return load(models / "tfidf")


def test_what_cannot_be_explained_is_refused_in_a_sentence(model):
    for text, message in (("", "is empty"), ("word " * (MAX_WORDS + 1), "split it into sentences"), (7, "a string")):
        with pytest.raises(ClaimsError, match=message):
            explain(model, text)
    with pytest.raises(ClaimsError, match="found none among 1"):
        faithfulness(model, ["Yes."])


def test_the_command_shows_words_and_writes_them(models, tmp_path, capsys):
    common = ["--model", str(models / "tfidf")]
    assert main(["explain", SENTENCE, "--label", "casualty", *common]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"casualty (0\.\d\d|1\.00): .*killed \+", shown)
    output = tmp_path / "new/words.jsonl"
    article = str(ROOT / "examples/article.txt")
    assert main(["explain", article, "--output", str(output), *common]) == 0
    rows = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 11 and set(rows[0]["words"]) == set(LABELS)
    word = rows[0]["words"]["casualty"][0]
    assert rows[0]["text"][word["start"] : word["end"]] == word["word"] == "At"
    before = output.read_bytes()
    for wrong, message in (
        ([article, "--output", str(output)], "exists already"),
        ([article, "--output", str(tmp_path / "w.csv")], "ending in .jsonl"),
        (["none.txt"], "none.txt"),
        ([SENTENCE, "--label", "weather"], "unknown label 'weather'"),
        (["word " * 600, "--sentences", "--output", str(output), "--overwrite"], "split it"),
    ):
        assert main(["explain", *wrong, *common]) == 2
        assert message in capsys.readouterr().err
    assert output.read_bytes() == before and [p.name for p in output.parent.iterdir()] == ["words.jsonl"]
