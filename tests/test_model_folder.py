import json
import shutil
import subprocess
import sys

import pytest

from conflict_claims.engines import FILES, choose
from conflict_claims.errors import ClaimsError
from conflict_claims.model_folder import Manifest, locked, read_manifest, save_model_folder
from conflict_claims.runtime import load
from conflict_claims.train import train

from .conftest import LABELS, ROOT

MANIFEST = Manifest(
    kind="tfidf",
    labels=("a", "b"),
    thresholds={"a": 0.5, "b": 0.4},
    calibration={"a": (1.0, 0.0), "b": (2.0, -1.0)},
    package_version="0",
    git_commit="",
    corpus_fingerprint="",
)


def write(content):
    return lambda folder: (folder / "weights").write_text(content, encoding="utf-8")


@pytest.fixture(params=["tfidf", "transformer"])
def model(request, models, tmp_path):
    """A copy of a trained model folder, free to be damaged."""
    return shutil.copytree(models / request.param, tmp_path / "model")


def test_a_saved_manifest_is_read_back(tmp_path):
    saved = save_model_folder(tmp_path / "m", MANIFEST, write("x"))
    assert read_manifest(tmp_path / "m") == saved
    assert set(saved.files) == {"weights"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m"]


def test_the_folder_of_each_kind_is_complete(models):
    files = {kind: {p.name for p in (models / kind).iterdir()} for kind in ("tfidf", "transformer")}
    assert files["tfidf"] == {"claims.json", "curves.json", "model.skops", "vocabulary.json", "README.md"}
    assert {"claims.json", "curves.json", "README.md", "config.json", "tokenizer.json"} <= files["transformer"]
    assert {"model.safetensors", "model.onnx"} <= files["transformer"]
    for kind in files:
        manifest = read_manifest(models / kind)
        assert manifest.labels == LABELS and manifest.kind == kind
        assert set(manifest.files) == files[kind] - {"claims.json"}
        assert manifest.training_stories and manifest.corpus_fingerprint and manifest.settings
        assert manifest.training["seconds"] > 0 and manifest.training["cores"] > 0


def test_nothing_of_a_model_is_a_pickle(models):
    for path in models.rglob("*"):
        assert path.suffix not in {".pkl", ".pickle", ".joblib", ".bin", ".pt", ".pth"}


def test_an_existing_model_is_replaced_only_when_told(tmp_path):
    save_model_folder(tmp_path / "m", MANIFEST, write("old"))
    with pytest.raises(ClaimsError, match="exists already; pass --overwrite"):
        save_model_folder(tmp_path / "m", MANIFEST, write("new"))
    assert (tmp_path / "m/weights").read_text() == "old"
    save_model_folder(tmp_path / "m", MANIFEST, write("new"), overwrite=True)
    assert (tmp_path / "m/weights").read_text() == "new"


def test_training_refuses_an_existing_folder_before_it_works(models, splits, config):
    with pytest.raises(ClaimsError, match="exists already"):
        train("transformer", splits, models / "transformer", config, track=False)


def test_a_folder_that_is_no_model_is_never_replaced(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/one.jpg").write_text("x")
    with pytest.raises(ClaimsError, match=r"is no model folder .*; it is not replaced"):
        save_model_folder(tmp_path / "photos", MANIFEST, write("x"), overwrite=True)
    assert (tmp_path / "photos/one.jpg").exists()


def test_when_writing_fails_the_old_model_survives(tmp_path):
    save_model_folder(tmp_path / "m", MANIFEST, write("old"))

    def full(folder):
        (folder / "weights").write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(
        ClaimsError, match=r"could not be saved .No space left on device.; nothing that stood there is lost"
    ):
        save_model_folder(tmp_path / "m", MANIFEST, full, overwrite=True)
    assert (tmp_path / "m/weights").read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m"]


@pytest.mark.parametrize(
    ("kind", "file", "message"),
    [
        ("tfidf", "model.skops", "could not be saved (File too large); nothing that stood there is lost"),
        ("transformer", "model.onnx", "progress could not be saved"),
    ],
)
def test_on_a_disk_that_is_really_full_the_old_model_survives(
    models, splits, params_file, tmp_path, kind, file, message
):
    """A file-size limit of the operating system stands for the full disk: writes fail as they do there."""
    model = shutil.copytree(models / kind, tmp_path / "model")
    before = (model / file).read_bytes()
    limited = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000));"
        "from conflict_claims.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    arguments = ["train", kind, "--data", splits, "--output", model, "--params", params_file, "--overwrite"]
    done = subprocess.run(
        [sys.executable, "-c", limited, *map(str, arguments), "--no-tracking"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert message in done.stderr and "Traceback" not in done.stderr
    assert (model / file).read_bytes() == before
    assert load(model).predict("Prices rose.")


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, OSError(5, "Input/output error")])
def test_interrupted_between_the_two_renames_the_old_model_is_back(tmp_path, monkeypatch, interruption):
    from pathlib import Path

    save_model_folder(tmp_path / "m", MANIFEST, write("old"))
    rename = Path.rename

    def interrupted(path, target):
        if path.name == ".m.saving":
            raise interruption
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises((KeyboardInterrupt, ClaimsError)):
        save_model_folder(tmp_path / "m", MANIFEST, write("new"), overwrite=True)
    assert (tmp_path / "m/weights").read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m"]


def test_killed_between_the_two_renames_the_next_training_puts_the_old_model_back(tmp_path):
    save_model_folder(tmp_path / ".m.old", MANIFEST, write("old"))
    with locked(tmp_path / "m"):
        assert (tmp_path / "m/weights").read_text() == "old"


def test_two_trainings_cannot_write_one_folder(splits, config, tmp_path):
    with locked(tmp_path / "m"), pytest.raises(ClaimsError, match=r"another process is training .*; wait for it"):
        train("tfidf", splits, tmp_path / "m", config, track=False)


def test_the_export_is_measured_and_the_measure_kept(models):
    assert 0 <= read_manifest(models / "transformer").export["onnx_largest_logit_difference"] < 1e-3


def what_load_reads(model):
    manifest = read_manifest(model)
    return model / ("model.skops" if manifest.kind == "tfidf" else FILES[choose(manifest.export["forms"])])


def test_a_changed_file_is_refused(model):
    victim = what_load_reads(model)
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    with pytest.raises(ClaimsError, match=r"does not match its sha256 in claims.json"):
        load(model)


def test_a_missing_file_is_named(model):
    victim = what_load_reads(model)
    victim.unlink()
    with pytest.raises(ClaimsError, match=f"{victim.name} is missing from the model folder"):
        load(model)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.update(format_version=99), r"model format 99, this version reads up to 2; update conflict-claims"),
        (lambda v: v.update(kind="forest"), r"kind 'forest'; expected tfidf or transformer"),
        (lambda v: v.pop("labels"), r"claims.json is corrupted"),
        (lambda v: v["thresholds"].pop("casualty"), r"claims.json is corrupted .*thresholds"),
        (lambda v: v["thresholds"].update(casualty="high"), r"claims.json is corrupted .*numbers"),
        (lambda v: v.update(files=["model.onnx"]), r"claims.json is corrupted"),
        (lambda v: v["files"].update({"../../etc/passwd": "0"}), r"claims.json is corrupted .*plain names"),
        (lambda v: v.update(text_normalisation="nfc-visible-9"), r"needs the text normalisation 'nfc-visible-9'"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(model, change, message):
    values = json.loads((model / "claims.json").read_text(encoding="utf-8"))
    change(values)
    (model / "claims.json").write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(ClaimsError, match=message):
        load(model)


def test_a_folder_of_format_1_loads_and_says_what_it_lacks(model):
    """As the versions before curves.json wrote it."""
    values = json.loads((model / "claims.json").read_text(encoding="utf-8"))
    values["format_version"] = 1
    del values["training"], values["objective"], values["files"]["curves.json"]
    (model / "claims.json").write_text(json.dumps(values), encoding="utf-8")
    (model / "curves.json").unlink()
    assert load(model).predict("Prices rose.") and load(model, objective="f1").predict("Prices rose.")
    with pytest.raises(
        ClaimsError, match=r"has no curves.json, from which thresholds for recall>=0.9 .* train the model"
    ):
        load(model, objective="recall>=0.9")


def test_a_broken_manifest_and_a_missing_one_are_told_apart(model, tmp_path):
    (model / "claims.json").write_text("{", encoding="utf-8")
    with pytest.raises(ClaimsError, match="is corrupted"):
        load(model)
    for nothing in (tmp_path / "nowhere", ROOT / "README.md"):
        with pytest.raises(ClaimsError, match=r"is no model folder .*train one with"):
            load(nothing)


def test_a_tfidf_file_with_foreign_code_is_not_loaded(models, tmp_path):
    import hashlib

    import skops.io
    from sklearn.preprocessing import FunctionTransformer

    from conflict_claims import metrics

    folder = shutil.copytree(models / "tfidf", tmp_path / "model")
    skops.io.dump(FunctionTransformer(metrics.sigmoid), folder / "model.skops")
    values = json.loads((folder / "claims.json").read_text(encoding="utf-8"))
    values["files"]["model.skops"] = hashlib.sha256((folder / "model.skops").read_bytes()).hexdigest()
    (folder / "claims.json").write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(ClaimsError, match=r"holds types that a TF-IDF model has no use for .*sigmoid.*; not loaded"):
        load(folder)
