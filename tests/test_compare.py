"""Two models in pairs: better is told from equal, and the tests are those of the books."""

import json

import numpy as np
import pytest

from conflict_claims import metrics
from conflict_claims.bootstrap import Resamples
from conflict_claims.cli import main
from conflict_claims.compare import compare, paired
from conflict_claims.errors import ClaimsError

from .conftest import LABELS, write_jsonl
from .test_metrics import drawn

HALF = np.full(3, 0.5)
NAMES = ("a", "b", "c")


def predicted(logits):
    return metrics.sigmoid(logits), HALF


def test_the_paired_bootstrap_knows_better_from_equal():
    y, logits = drawn(7, n=1000)
    draws = Resamples(np.arange(1000) // 10)
    worse = logits + np.random.default_rng(1).normal(0, 2, logits.shape)
    found = paired(y, predicted(worse), predicted(logits), NAMES, draws)["metrics"]
    for name in ("macro_f1", "micro_f1", "exact_match", "mean_average_precision", "labels.a.f1"):
        assert found[name]["difference"] > 0 and found[name]["second_higher"] > 0.99, name
        assert found[name]["interval"][0] > 0, name
        assert found[name]["difference"] == pytest.approx(found[name]["second"] - found[name]["first"])
    same = paired(y, predicted(logits), predicted(logits), NAMES, draws)
    assert all(row["difference"] == 0 and row["second_higher"] == 0 for row in same["metrics"].values())
    assert all(test["p"] == 1 for test in same["mcnemar"].values())


def test_pairs_are_surer_than_two_intervals():
    """What both models share in luck falls away: the interval of the difference is narrower than either one's own."""
    y, logits = drawn(8, n=600)
    draws = Resamples(np.arange(600) // 10)
    near = logits + np.random.default_rng(1).normal(0, 0.2, logits.shape)
    found = paired(y, predicted(near), predicted(logits), NAMES, draws)["metrics"]["macro_f1"]
    alone = paired(y, (np.zeros_like(logits), HALF), predicted(logits), NAMES, draws)["metrics"]["macro_f1"]
    assert np.ptp(found["interval"]) < np.ptp(alone["interval"]) / 2


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 6), (5, 12), (7, 7), (30, 10)])
def test_mcnemar_is_the_mid_p_test(only_first, only_second):
    from math import comb

    n, least = only_first + only_second, min(only_first, only_second)
    tail = [comb(n, k) / 2**n for k in range(least + 1)]
    y = np.ones((n, 1), dtype=int)
    first = np.array([[0.9]] * only_first + [[0.1]] * only_second)
    found = paired(y, (first, HALF[:1]), (1 - first, HALF[:1]), ("a",), Resamples(np.arange(n), 10))["mcnemar"]["a"]
    assert (found["only_first"], found["only_second"]) == (only_first, only_second)
    assert found["p"] == pytest.approx(min(1, 2 * sum(tail) - tail[-1]))


def test_the_command_shows_writes_and_lists_what_differs(models, splits, tmp_path, capsys):
    folders = [str(models / kind) for kind in ("transformer", "tfidf")]
    data = ["--data", str(splits / "test.jsonl")]
    written = ["--output", str(tmp_path / "d.jsonl"), "--metrics", str(tmp_path / "c.json")]
    assert main(["compare", *folders, *data, *written]) == 0
    assert "tfidf less transformer" in capsys.readouterr().out
    found = json.loads((tmp_path / "c.json").read_text(encoding="utf-8"))
    rows = [json.loads(line) for line in (tmp_path / "d.jsonl").open(encoding="utf-8")]
    assert len(rows) == found["differing"] > 0 and all(row["first"] != row["second"] for row in rows)
    for row in rows:
        right = [name for name in ("first", "second") if row[name] == row["labels"]]
        assert row["right"] == (right[0] if right else "neither")
    assert compare(models / "transformer", models / "tfidf", splits / "test.jsonl") == found


def test_models_of_different_labels_are_not_compared(models, splits, tmp_path):
    import shutil

    other = shutil.copytree(models / "tfidf", tmp_path / "other")
    text = (other / "claims.json").read_text(encoding="utf-8").replace("eyewitness", "weather")
    (other / "claims.json").write_text(text, encoding="utf-8")
    with pytest.raises(ClaimsError, match="expected two models of one label set"):
        compare(models / "tfidf", other, splits / "test.jsonl")


def test_the_order_of_a_models_labels_does_not_matter(models, splits, tmp_path):
    rows = [json.loads(line) for line in (splits / "test.jsonl").open(encoding="utf-8")][:60]
    data = write_jsonl(tmp_path / "a.jsonl", rows)
    found = compare(models / "tfidf", models / "tfidf", data)
    assert found["differing"] == 0 and set(found["mcnemar"]) == set(LABELS)
