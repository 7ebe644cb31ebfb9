"""What a small model learns from large ones."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from conflict_claims.cli import main
from conflict_claims.config import TeacherConfig
from conflict_claims.corpus.records import read_sentences
from conflict_claims.distillation import Teacher, distil, teach
from conflict_claims.errors import ClaimsError
from conflict_claims.labels import to_indicator
from conflict_claims.runtime import load
from conflict_claims.train import train

from .conftest import LABELS, corpus_rows, write_jsonl


@pytest.fixture
def taught(models, splits, tmp_path):
    """A teacher's file about the train split and some unlabelled sentences; its TeacherConfig."""
    more = [{"text": row["text"]} for row in corpus_rows(("batch2.jsonl",))[:60]]
    write_jsonl(tmp_path / "unlabelled/a.jsonl", more)
    output = tmp_path / "teacher.json"
    command = ["teach", str(models / "tfidf"), str(models / "transformer"), "--data", str(splits / "train.jsonl")]
    assert main([*command, "--unlabelled", str(tmp_path / "unlabelled"), "--output", str(output)]) == 0
    return TeacherConfig(probabilities=str(output), unlabelled=str(tmp_path / "unlabelled"), weight=0.25)


def test_the_file_holds_the_mean_of_what_the_teachers_say(models, taught):
    texts = [row["text"] for row in corpus_rows(("batch2.jsonl",))[:60]]
    soft = Teacher.read(Path(taught.probabilities), LABELS).soft([*texts, "Never seen."])
    expected = np.mean([load(models / kind).predict_proba(texts) for kind in ("tfidf", "transformer")], axis=0)
    assert np.allclose(soft[:-1], expected, atol=6e-4) and np.isnan(soft[-1]).all()


def test_targets_mix_labels_with_the_teacher_and_unlabelled_text_is_added(splits, taught):
    sentences = read_sentences(splits / "train.jsonl", LABELS)[:20]
    y = to_indicator((s.labels for s in sentences), LABELS)
    own = [*(s.text for s in sentences[:-1]), "A sentence that the teacher never read."]
    texts, targets = distil(own, y, frozenset(), LABELS, taught)
    assert texts[:20] == own and len(texts) == len(targets) == 80
    soft = Teacher.read(Path(taught.probabilities), LABELS).soft(own)
    assert np.allclose(targets[:19], 0.75 * y[:19] + 0.25 * soft[:19])
    assert (targets[19] == y[19]).all() and ((targets >= 0) & (targets <= 1)).all()


def test_both_kinds_of_model_are_trained_with_it(splits, config, taught, tmp_path):
    for kind in ("tfidf", "transformer"):
        section = getattr(config.train, kind).model_copy(update={"teacher": taught})
        said = []
        settings = config.model_copy(update={"train": config.train.model_copy(update={kind: section})})
        manifest = train(kind, splits, tmp_path / kind, settings, track=False, say=said.append)
        assert any("60 unlabelled sentences" in message for message in said)
        assert manifest.settings["teacher"]["weight"] == 0.25 and manifest.validation["macro_f1"] > 0.3


def test_a_teacher_that_was_trained_on_held_out_stories_is_refused(splits, config, taught, tmp_path):
    values = json.loads(Path(taught.probabilities).read_text(encoding="utf-8"))
    values["training_stories"].append(read_sentences(splits / "test.jsonl", LABELS)[0].story)
    (tmp_path / "leak.json").write_text(json.dumps(values), encoding="utf-8")
    leaking = taught.model_copy(update={"probabilities": str(tmp_path / "leak.json")})
    section = config.train.tfidf.model_copy(update={"teacher": leaking})
    settings = config.model_copy(update={"train": config.train.model_copy(update={"tfidf": section})})
    with pytest.raises(ClaimsError, match=r"its teacher was trained on the story .* held out here"):
        train("tfidf", splits, tmp_path / "model", settings, track=False)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file of a teacher's probabilities"),
        ('{"labels": ["a"], "training_stories": [], "probabilities": {"x": [0.1, 0.2]}}', "one probability a label"),
        ('{"labels": ["a"], "training_stories": [], "probabilities": []}', "is not a file of a teacher"),
        ("{", "is not a file of a teacher's probabilities"),
        ('{"labels": ["storm"], "training_stories": [], "probabilities": {}}', "was made for the labels storm"),
    ],
)
def test_a_missing_broken_or_foreign_file_is_one_clear_sentence(content, message, tmp_path):
    path = tmp_path / "teacher.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(ClaimsError, match=message) as error:
        Teacher.read(path, LABELS)
    assert "teach" in str(error.value)


def test_teachers_must_agree_on_the_labels(models, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(models / "tfidf", other)
    claims = json.loads((other / "claims.json").read_text(encoding="utf-8"))
    claims["labels"] = list(reversed(claims["labels"]))
    (other / "claims.json").write_text(json.dumps(claims), encoding="utf-8")
    with pytest.raises(ClaimsError, match="other labels than"):
        teach([models / "tfidf", other], ["One."], tmp_path / "out.json")


def test_word_embeddings_that_are_frozen_do_not_move(splits, config, tmp_path, tiny_encoder):
    from safetensors.numpy import load_file

    section = config.train.transformer.model_copy(update={"freeze_embeddings": True, "epochs": 1})
    settings = config.model_copy(update={"train": config.train.model_copy(update={"transformer": section})})
    train("transformer", splits, tmp_path / "model", settings, track=False)
    after, before = load_file(tmp_path / "model/model.safetensors"), load_file(tiny_encoder / "model.safetensors")
    name = "embeddings.word_embeddings.weight"
    assert (after[f"bert.{name}"] == before[name]).all()
    assert (after["bert.encoder.layer.0.output.dense.weight"] != before["encoder.layer.0.output.dense.weight"]).any()


def test_texts_of_an_older_file_are_not_read_again_unless_the_teacher_is_another(models, tmp_path, monkeypatch):
    from conflict_claims.runtime import ClaimModel

    output, read = tmp_path / "teacher.json", []
    whole = ClaimModel.predict_proba
    monkeypatch.setattr(ClaimModel, "predict_proba", lambda self, texts: read.extend(texts) or whole(self, texts))
    assert teach([models / "tfidf"], ["One.", "Two.", "One."], output) == 2
    assert teach([models / "tfidf"], ["Two.", "Three."], output) == 2 and read == ["One.", "Two.", "Three."]
    held = json.loads(output.read_text(encoding="utf-8"))["probabilities"]
    assert len(held) == 2
    teach([models / "transformer"], ["Two."], output)
    assert read[-1] == "Two." and json.loads(output.read_text(encoding="utf-8"))["probabilities"] != held


def test_texts_to_read_need_a_text_column(models, tmp_path, capsys):
    data = write_jsonl(tmp_path / "data.jsonl", [{"words": "none"}])
    assert main(["teach", str(models / "tfidf"), "--data", str(data), "--output", str(tmp_path / "t.json")]) == 2
    assert "data.jsonl:1: expected a column 'text'" in capsys.readouterr().err
