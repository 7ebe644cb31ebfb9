import numpy as np
import pytest

from conflict_claims.corpus.records import read_sentences
from conflict_claims.fast_tfidf import FastTfidf
from conflict_claims.labels import to_indicator
from conflict_claims.metrics import macro_f1
from conflict_claims.tfidf import TfidfClassifier

from .conftest import LABELS


@pytest.fixture(scope="module")
def arrays(splits):
    parts = {}
    for name in ("train", "validation"):
        sentences = read_sentences(splits / f"{name}.jsonl", LABELS)
        parts[name] = [s.text for s in sentences], to_indicator((s.labels for s in sentences), LABELS)
    return parts


def test_the_setting_with_the_best_validation_score_is_kept(arrays, config):
    settings = config.train.tfidf.model_copy(update={"C": [0.001, 5]})
    model = TfidfClassifier(LABELS, settings).fit(*arrays["train"], arrays["validation"])
    found = [entry["validation_macro_f1"] for entry in model.history]
    assert len(found) == 2 and max(found) > min(found) + 0.1
    assert macro_f1(arrays["validation"][1], model.predict_proba(arrays["validation"][0]) > 0.5) == max(found)


def test_a_model_survives_saving(arrays, config, tmp_path):
    model = TfidfClassifier(LABELS, config.train.tfidf).fit(*arrays["train"], arrays["validation"])
    model.save_pretrained(tmp_path)
    again = TfidfClassifier.from_pretrained(tmp_path, LABELS)
    assert again.logits(arrays["validation"][0]) == pytest.approx(model.logits(arrays["validation"][0]))


def test_probabilities_teach_more_than_their_decisions(arrays, config):
    """A sentence that is half of a class pulls half as much: rounding it to a whole one is another model."""
    texts, y = (part[:300] for part in arrays["train"])
    doubt = np.where(np.arange(len(y))[:, None] % 2, y, 0.25 + 0.5 * y)
    learned = [TfidfClassifier(LABELS, config.train.tfidf).fit(texts, t, arrays["validation"]) for t in (y, doubt)]
    sure, unsure = (np.abs(model.logits(arrays["validation"][0])).mean() for model in learned)
    assert unsure < 0.7 * sure


def test_the_scale_of_terms_is_no_part_of_the_saved_model(arrays, config):
    """Weighed terms give other models, which plain features of the same pipeline explain in full."""
    settings = [config.train.tfidf.model_copy(update={"log_count_ratio": power}) for power in (0.0, 0.5)]
    train, texts, validation = [part[:300] for part in arrays["train"]], arrays["validation"][0], arrays["validation"]
    plain, weighed = (TfidfClassifier(LABELS, s).fit(*train, validation) for s in settings)
    assert np.abs(plain.logits(texts) - weighed.logits(texts)).max() > 0.1
    assert FastTfidf(weighed.pipeline)(texts) == pytest.approx(weighed.logits(texts), abs=1e-3)


@pytest.mark.parametrize("value", [0, 1])
def test_a_label_that_no_sentence_has_or_every_one_is_learned_as_such(arrays, config, value):
    texts, y = (part[:300] for part in arrays["train"])
    same = np.where(np.arange(4) == 2, value, y)
    model = TfidfClassifier(LABELS, config.train.tfidf).fit(texts, same, (texts[:50], same[:50]))
    assert (model.predict_proba(texts[:20])[:, 2].round() == value).all()
