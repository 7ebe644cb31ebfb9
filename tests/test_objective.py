"""Thresholds for a purpose: what is asked is reached where it can be, with as much of the other as there is."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conflict_claims.cli import main
from conflict_claims.errors import ClaimsError
from conflict_claims.evaluate import evaluate
from conflict_claims.metrics import scores
from conflict_claims.objective import Objective, curve, cuts_for, shortfalls, to_json
from conflict_claims.runtime import load
from conflict_claims.train import train

from .conftest import LABELS


def drawn(seed, n=80, digits=2):
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.4).astype(int)
    y[0] = 1
    return y, np.round(np.clip(y * 0.3 + rng.random(n) * 0.7, 0, 1), digits)


def at(y, prob, threshold):
    given = prob >= threshold
    hits = (given & (y > 0)).sum()
    return hits / max(1, given.sum()), hits / y.sum()


@given(st.integers(0, 10_000), st.sampled_from(["recall", "precision"]), st.sampled_from([0.5, 0.8, 0.95, 1.0]))
def test_no_threshold_at_all_serves_an_objective_better(seed, metric, target):
    y, prob = drawn(seed)
    cut = Objective(metric, target).choose(curve(y, prob))
    precision, recall = at(y, prob, cut.threshold)
    assert (precision, recall) == pytest.approx((cut.precision, cut.recall))
    every = [at(y, prob, t) for t in np.unique(prob)]
    mine, other = (0, 1) if metric == "precision" else (1, 0)
    enough = [pair[other] for pair in every if pair[mine] >= target]
    assert cut.reached == bool(enough)
    if enough:
        assert (precision, recall)[mine] >= target and (precision, recall)[other] == pytest.approx(max(enough))
    else:
        assert (precision, recall)[mine] == pytest.approx(max(pair[mine] for pair in every))


def test_a_curve_keeps_only_what_is_worth_choosing():
    y, prob = drawn(1, n=2000, digits=6)
    cuts = curve(y, prob)
    assert len(cuts) < 400
    for higher, lower in pairwise(cuts):
        assert higher.threshold > lower.threshold
        assert higher.precision > lower.precision and higher.recall < lower.recall
    assert cuts[-1].recall == 1


@pytest.mark.parametrize("text", ["", "F1", "recall", "recall>0.9", "recall>=1.1", "recall>=0", "accuracy>=0.9", "0.9"])
def test_what_is_no_objective_is_refused(text):
    with pytest.raises(ClaimsError, match=r"unknown objective .*; expected f1, recall>=X or precision>=X"):
        Objective.parse(text)


def test_objectives_are_read_with_and_without_spaces():
    assert str(Objective.parse("recall >= .95")) == str(Objective.parse("recall>=0.950")) == "recall>=0.95"
    assert str(Objective.parse(" f1 ")) == "f1"


def test_a_target_out_of_reach_is_said_with_what_was_reached():
    y, prob = np.array([1, 0, 1, 0]), np.array([0.6, 0.9, 0.8, 0.1])
    values = to_json(y[:, None], prob[:, None], ("a",), np.array([0.5]))
    objective = Objective("precision", 0.99)
    (said,) = shortfalls(cuts_for(values, objective), objective)
    assert said == (
        "a: no threshold reaches precision>=0.99 on the validation split; taken is the one with precision 0.67 at "
        "recall 1.00"
    )
    assert shortfalls(cuts_for(values, Objective("recall", 1)), objective) == []


@pytest.mark.parametrize("kind", ["tfidf", "transformer"])
def test_a_model_is_loaded_for_a_purpose_and_nothing_else_changes(models, splits, kind):
    texts = [json.loads(line)["text"] for line in (splits / "validation.jsonl").open(encoding="utf-8")]
    y = np.array([[n in json.loads(line)["labels"] for n in LABELS] for line in (splits / "validation.jsonl").open()])
    plain = load(models / kind, form="fp32")  # the form in which thresholds were chosen
    prob = plain.predict_proba(texts)
    for objective, metric, target in (("recall>=0.9", "recall", 0.9), ("precision>=0.9", "precision", 0.9)):
        model = load(models / kind, form="fp32", objective=objective)
        assert np.array_equal(model.predict_proba(texts), prob) and model.manifest.objective == objective
        found = scores(y.astype(int), prob, LABELS, model.thresholds)["labels"]
        for name in LABELS:
            assert found[name][metric] >= target or not model.cuts[name].reached
            assert found[name][metric] == pytest.approx(getattr(model.cuts[name], metric), abs=1e-3)
    assert np.array_equal(load(models / kind, objective="f1").thresholds, plain.thresholds)
    assert plain.shortfalls == []


def test_training_for_a_purpose_gives_what_loading_for_it_gives_and_f1_is_still_there(models, splits, config, tmp_path):
    train("tfidf", splits, tmp_path / "m", config, objective="recall>=0.8", track=False)
    plain = load(models / "tfidf")
    trained = load(tmp_path / "m")
    assert trained.manifest.objective == "recall>=0.8"
    assert trained.thresholds == pytest.approx(load(models / "tfidf", objective="recall>=0.8").thresholds)
    assert load(tmp_path / "m", objective="f1").thresholds == pytest.approx(plain.thresholds)


def test_the_commands_pass_the_purpose_on(models, splits, tmp_path, capsys):
    data, folder = splits / "test.jsonl", str(models / "tfidf")
    figures = evaluate(models / "tfidf", data, objective="recall>=0.95")
    assert figures["objective"] == "recall>=0.95"
    usual = evaluate(models / "tfidf", data)["labels"]
    assert sum(f["recall"] for f in figures["labels"].values()) > sum(f["recall"] for f in usual.values())
    counts = []
    for objective in ("recall>=0.99", "precision>=0.99"):
        output = tmp_path / f"{objective[:3]}.jsonl"
        command = ["predict", str(data), "--sentences", "--output", str(output), "--model", folder]
        assert main([*command, "--objective", objective]) == 0
        counts.append(sum(len(json.loads(line)["labels"]) for line in output.open(encoding="utf-8")))
    assert counts[0] > 1.5 * counts[1]
    assert main(["evaluate", folder, "--data", str(data), "--objective", "perfect"]) == 2
    assert "unknown objective 'perfect'" in capsys.readouterr().err


def test_broken_curves_are_refused(models, tmp_path):
    import hashlib
    import shutil

    folder = shutil.copytree(models / "tfidf", tmp_path / "m")
    for content in (b"{}", b"[", b'{"n": 1, "f1": {}, "labels": {"casualty": {}}}'):
        (folder / "curves.json").write_bytes(content)
        values = json.loads((folder / "claims.json").read_text(encoding="utf-8"))
        with pytest.raises(ClaimsError, match="does not match its sha256"):
            load(folder, objective="recall>=0.9")
        values["files"]["curves.json"] = hashlib.sha256(content).hexdigest()
        (folder / "claims.json").write_text(json.dumps(values), encoding="utf-8")
        with pytest.raises(ClaimsError, match=r"curves.json is corrupted"):
            load(folder, objective="recall>=0.9")
