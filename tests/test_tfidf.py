import numpy as np
import pytest

from conflict_claims.corpus.records import read_sentences
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


def test_a_label_with_no_positive_example_is_survived(arrays, config):
    texts, y = arrays["train"]
    none = np.where(np.arange(4) == 2, 0, y)
    model = TfidfClassifier(LABELS, config.train.tfidf).fit(texts, none, (texts[:50], none[:50]))
    assert (model.logits(texts[:20])[:, 2] <= 0).all()
