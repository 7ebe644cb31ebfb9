"""Faster forms of the transformer: measured at export, used only when they decide as the full form does."""

import numpy as np
import pytest

from conflict_claims import ClaimsError, engines
from conflict_claims.engines import FILES, Reference, choose, runnable
from conflict_claims.model_folder import read_manifest
from conflict_claims.runtime import load, pad_batch, run_sorted
from conflict_claims.transformer import TransformerClassifier, export

from .conftest import LABELS, corpus_rows

TEXTS = [row["text"] for row in corpus_rows()[:80]]
FASTER = [form for form in FILES if form != "fp32"]
KEPT = {"kept": True}


@pytest.fixture(scope="module")
def classifier(config):
    y = np.random.default_rng(0).integers(0, 2, (len(TEXTS), 4))
    settings = config.train.transformer.model_copy(update={"epochs": 1})
    return TransformerClassifier(LABELS, settings).fit(TEXTS, y, (TEXTS, y))


def reference(classifier, sign=1.0):
    logits = sign * classifier.logits(TEXTS)
    return Reference(TEXTS, logits, logits > 0, lambda values: values > 0)


def test_training_measures_every_faster_form_that_the_machine_runs(models):
    manifest = read_manifest(models / "transformer")
    forms = manifest.export["forms"]
    assert set(forms) == {form for form in FASTER if runnable(form)}
    for form, found in forms.items():
        equal = found["equal_decisions"] >= 0.997 and abs(found["macro_f1_change"]) <= 0.003
        assert found["kept"] == equal and found["largest_logit_difference"] >= 0
        assert not found["kept"] or FILES[form] in manifest.files


def test_a_form_that_agrees_is_kept_and_one_that_decides_otherwise_is_not(classifier, tmp_path):
    for name, sign in (("near", 1.0), ("far", -1.0)):
        (tmp_path / name).mkdir()
        forms = classifier.save_pretrained(tmp_path / name, reference(classifier, sign))["forms"]
        for form in forms:
            if form == "bf16" or sign < 0:  # a model of a few thousand weights does not always survive int8
                assert forms[form]["kept"] == (sign > 0)
        assert (tmp_path / name / FILES["int8"]).exists() == forms.get("int8", {"kept": False})["kept"]
        assert (tmp_path / name / FILES["fp32"]).exists()


@pytest.mark.parametrize("form", FASTER)
def test_a_faster_form_gives_nearly_the_same_logits_and_the_same_alone_and_in_company(classifier, form, tmp_path):
    if not runnable(form):
        pytest.skip(f"this machine does not run {form}")
    path = tmp_path / FILES[form]
    export.to_onnx(classifier.model, tmp_path / "model.onnx")
    ids = classifier._encode(TEXTS)
    if form == "int8":
        export.quantise(tmp_path / "model.onnx", path, [pad_batch([row], 0) for row in ids])
    for runtime in engines.runtimes(form):
        engine = engines.start(path, form, threads=1, runtime=runtime)
        together = run_sorted(engine, ids, 0)
        alone = np.concatenate([run_sorted(engine, [row], 0) for row in ids])
        assert np.abs(together - classifier.logits(TEXTS)).max() < 0.2
        assert np.abs(together - alone).max() < 0.05


def test_of_the_runtimes_that_run_a_form_the_worst_counts(classifier, monkeypatch, tmp_path):
    def start(path, form, runtime):
        return lambda batches: [np.full((len(b["input_ids"]), 4), 0.9 if runtime == "bad" else 1.0) for b in batches]

    monkeypatch.setattr(engines, "start", start)
    ones = Reference(TEXTS, np.ones((len(TEXTS), 4)), np.ones((len(TEXTS), 4)), lambda values: values >= 1)
    for runtimes, kept in ((["good"], True), (["good", "bad"], False), (["bad", "good"], False)):
        monkeypatch.setattr(engines, "runtimes", lambda form, names=runtimes: names)
        found = export.measure(tmp_path / "model", "int8", classifier._encode(TEXTS), 0, ones)
        assert found["kept"] == kept
        assert found["equal_decisions"] == float(kept) and found["macro_f1_change"] == float(kept) - 1
        assert found["largest_logit_difference"] == pytest.approx(0.0 if kept else 0.1)


def test_the_fastest_form_that_is_kept_and_runs_is_chosen(monkeypatch):
    monkeypatch.setattr(engines, "runnable", lambda form: form != "bf16")
    assert choose({"bf16": KEPT, "int8": KEPT}) == "int8"
    assert choose({"bf16": KEPT, "int8": {"kept": False}}) == "fp32"
    assert choose({}) == "fp32"
    assert choose({"int8": KEPT}, "fp32") == "fp32"


@pytest.mark.parametrize("forms, wanted", [({}, "int8"), ({"int8": {"kept": False}}, "int8"), ({}, "fp16")])
def test_a_form_that_the_model_lacks_is_refused(forms, wanted):
    with pytest.raises(ClaimsError, match=f"no form '{wanted}'; expected fp32"):
        choose(forms, wanted)


def test_a_form_that_this_machine_lacks_is_refused(monkeypatch):
    monkeypatch.setattr(engines, "runnable", lambda form: form == "fp32")
    with pytest.raises(ClaimsError, match=r"does not run the form 'bf16' .* take fp32"):
        choose({"bf16": KEPT}, "bf16")


def test_every_form_of_a_saved_model_answers(models):
    full = load(models / "transformer", form="fp32").predict_proba(TEXTS)
    for form, found in read_manifest(models / "transformer").export["forms"].items():
        if found["kept"]:
            assert np.abs(load(models / "transformer", form=form).predict_proba(TEXTS) - full).max() < 0.1


def test_a_processor_that_cannot_be_read_runs_the_full_form_alone(monkeypatch):
    monkeypatch.setattr(engines, "_processor", set)
    runnable.cache_clear()
    assert [form for form in FILES if runnable(form)] == ["fp32"]
    runnable.cache_clear()
