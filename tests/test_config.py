import pytest
import yaml

from conflict_claims.config import load_config
from conflict_claims.errors import ClaimsError

from .conftest import ROOT


def changed(tmp_path, change):
    values = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    change(values)
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def test_the_repositorys_own_parameters_are_valid_and_frozen():
    config = load_config(ROOT / "params.yaml")
    assert config.labels == ("casualty", "territorial_control", "official_statement", "eyewitness")
    with pytest.raises(ValueError, match="frozen"):
        config.train.transformer.epochs = 1


def test_a_preset_replaces_only_what_it_names_and_only_for_another_encoder():
    transformer = load_config(ROOT / "params.yaml").train.transformer
    mpnet = transformer.for_encoder("mpnet")
    assert mpnet.encoder == "mpnet"
    assert mpnet.learning_rate == transformer.presets["mpnet"]["learning_rate"] != transformer.learning_rate
    assert mpnet.batch_size == transformer.batch_size
    named = transformer.model_copy(update={"encoder": "mpnet", "learning_rate": 1e-5})
    assert named.for_encoder().learning_rate == 1e-5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda v: v["train"]["transformer"].update(lerning_rate=1),
            "train.transformer.lerning_rate: is not a known key",
        ),
        (lambda v: v["train"]["transformer"].update(epochs=0), "train.transformer.epochs: .*found 0"),
        (lambda v: v["train"]["transformer"]["presets"].update(x={"epoch": 1}), "epoch: is not a known key"),
        (lambda v: v["splits"].update(test=0.5, validation=0.5), "splits: .*at least a tenth to train on"),
        (lambda v: v["corpus"]["positives"].update(weather=1), "corpus.positives names 'weather'"),
        (lambda v: v["splits"].pop("seed"), "splits.seed: field required"),
        (lambda v: v.update(labels=["a", "a"]), "labels: .*distinct"),
        (lambda v: v.update(labels=[]), "labels: "),
    ],
)
def test_a_wrong_value_is_named_by_its_key(tmp_path, change, message):
    with pytest.raises(ClaimsError, match=message):
        load_config(changed(tmp_path, change))


def test_a_missing_or_broken_file_is_said(tmp_path):
    with pytest.raises(ClaimsError, match="no such file"):
        load_config(tmp_path / "none.yaml")
    (tmp_path / "broken.yaml").write_text("labels: [a", encoding="utf-8")
    with pytest.raises(ClaimsError, match="not valid YAML"):
        load_config(tmp_path / "broken.yaml")


def test_from_labels_alone_a_model_has_no_teacher_and_the_plain_loss():
    config = load_config(ROOT / "params.yaml")
    assert config.train.transformer.teacher and config.train.transformer.negative_focus > 0
    for kind in ("tfidf", "transformer"):
        alone = getattr(config.from_labels_alone(kind, seed=7).train, kind)
        assert alone.teacher is None and alone.seed == 7 and getattr(alone, "negative_focus", 0) == 0
