"""A real MLflow server on loopback, with a store of its own; a real model server on the champion."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from conflict_claims.corpus.records import fingerprint, read_sentences
from conflict_claims.runtime import load
from conflict_claims.train import train

from .conftest import LABELS

NAME = "conflict-claims"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(url, process, seconds=120):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the server for {url} ended"
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"nothing answers at {url}")


def stop(process):
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    process.wait(30)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A real `mlflow server`, and MLFLOW_TRACKING_URI pointing at it."""
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    uri = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/store.db",
        "--artifacts-destination",
        str(folder / "artifacts"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    patch = pytest.MonkeyPatch()
    patch.setenv("MLFLOW_TRACKING_URI", uri)
    mlflow.set_tracking_uri(uri)
    try:
        wait_for(f"{uri}/health", process)
        yield uri
    finally:
        patch.undo()
        mlflow.set_tracking_uri(None)
        stop(process)


@pytest.fixture(scope="module")
def trained(server, splits, config, tmp_path_factory):
    """Three trainings against the server: a weak model, a better one, and the weak one again. Returns what was said."""
    weak = config.model_copy(
        update={"train": config.train.model_copy(update={"tfidf": config.train.tfidf.model_copy(update={"C": [1e-4]})})}
    )
    folder = tmp_path_factory.mktemp("trained")
    said = {}
    for name, kind, settings in (("weak", "tfidf", weak), ("good", "tfidf", config), ("again", "tfidf", weak)):
        said[name] = []
        train(kind, splits, folder / name, settings, say=said[name].append)
    return folder, said


def test_a_training_is_one_run_with_everything_in_it(trained, splits, config):
    client = MlflowClient()
    experiment = client.get_experiment_by_name(config.tracking.experiment)
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {"weak", "good", "again"}
    run = runs["good"]
    assert run.info.status == "FINISHED"
    assert run.data.params["kind"] == "tfidf" and run.data.params["tfidf.C"] == "[3.0]"
    manifest = load(trained[0] / "good").manifest
    assert run.data.metrics["validation.macro_f1"] == pytest.approx(manifest.validation["macro_f1"])
    assert run.data.metrics["validation.labels.eyewitness.f1"] > 0
    assert run.data.metrics["training_seconds"] > 0
    inputs = {entry.dataset.name: entry.dataset.digest for entry in run.inputs.dataset_inputs}
    for name in ("train", "validation"):
        assert inputs[name] == fingerprint(read_sentences(splits / f"{name}.jsonl", LABELS))[:36]
    assert run.data.tags["mlflow.source.git.commit"] == manifest.git_commit != ""
    assert client.get_metric_history(run.info.run_id, "validation_macro_f1")
    artifacts = {a.path for a in client.list_artifacts(run.info.run_id, "evaluation")}
    assert {"evaluation/precision_recall.png", "evaluation/reliability.png", "evaluation/confusion.png"} <= artifacts


def test_a_report_is_added_to_the_run_that_trained_its_model(trained, splits, tmp_path):
    from conflict_claims.cli import main
    from conflict_claims.evaluate import evaluate

    folder = shutil.copytree(trained[0] / "good", tmp_path / "good")
    evaluate(folder, splits / "test.jsonl", tmp_path / "m.json", evidence=tmp_path / "e.json")
    arguments = ["report", str(tmp_path / "m.json"), "--evidence", str(tmp_path / "e.json")]
    assert main([*arguments, "--pages", str(tmp_path / "pages"), "--install", str(folder)]) == 0
    client = MlflowClient()
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
    found = {run.info.run_name: {a.path for a in client.list_artifacts(run.info.run_id, "report")} for run in runs}
    assert found == {"good": {f"report/good.{e}" for e in ("html", "md", "png")}, "weak": set(), "again": set()}


def test_the_champion_changes_hands_only_for_a_better_model(trained):
    said = trained[1]
    assert "version 1; it is the champion (there was none before)" in said["weak"][-1]
    assert "version 2; it is the champion (macro-F1 +" in said["good"][-1]
    assert "version 3; the champion stays (macro-F1 -" in said["again"][-1]
    assert MlflowClient().get_model_version_by_alias(NAME, "champion").version == "2"


def test_the_registered_model_has_signature_example_and_pinned_requirements(trained, tmp_path):
    uri = f"models:/{NAME}@champion"
    info = mlflow.models.get_model_info(uri)
    assert info.saved_input_example_info is not None
    assert info.signature.inputs.input_names() == ["text"]
    assert info.signature.outputs.input_names() == list(LABELS)
    assert {t.name for t in info.signature.outputs.input_types()} == {"double"}
    folder = mlflow.artifacts.download_artifacts(uri, dst_path=str(tmp_path))
    requirements = (tmp_path / folder / "requirements.txt").read_text().splitlines()
    assert all("==" in line for line in requirements)
    assert not any(line.startswith(("torch", "transformers", "dvc")) for line in requirements)
    assert not list(tmp_path.rglob("*.pkl"))


def test_the_champion_answers_over_http(trained, server):
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", f"models:/{NAME}@champion"]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    scripts = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}  # MLflow calls uvicorn by name
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, env=os.environ | scripts
    )
    texts = ["Residents said three people were killed.", "Prices rose."]
    try:
        wait_for(f"http://127.0.0.1:{port}/ping", process)
        body = json.dumps({"dataframe_split": {"columns": ["text"], "data": [[t] for t in texts]}}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/invocations", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.load(response)["predictions"]
    finally:
        stop(process)
    expected = load(trained[0] / "good").predict_proba(texts)
    assert [list(row) for row in answer] == [list(LABELS)] * 2
    assert [list(row.values()) for row in answer] == [pytest.approx(row) for row in expected.tolist()]


def test_the_logged_code_runs_where_the_package_is_not_installed(trained, tmp_path):
    """What MLflow's own environments do: the requirements are there, the package is only the code beside the model."""
    folder = Path(mlflow.artifacts.download_artifacts(f"models:/{NAME}@champion", dst_path=str(tmp_path)))
    code = (
        "import sys; from importlib import metadata\n"
        "real = metadata.distribution\n"
        "def gone(name):\n"
        "    if name.replace('_', '-') == 'conflict-claims': raise metadata.PackageNotFoundError(name)\n"
        "    return real(name)\n"
        "metadata.distribution = gone\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "import conflict_claims\n"
        "print(conflict_claims.__file__, len(conflict_claims.predict('Prices rose.', sys.argv[2])))"
    )
    model = next(p.parent for p in folder.rglob("claims.json"))
    arguments = [sys.executable, "-c", code, str(folder / "code"), str(model)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.stdout.startswith(str(folder / "code")) and done.stdout.split()[-1] == "1", done.stderr


def test_a_champion_that_cannot_be_loaded_stays_and_the_reason_is_said(trained, splits, config, tmp_path):
    from conflict_claims.champion import beats

    broken = shutil.copytree(trained[0] / "good", tmp_path / "champion")
    (broken / "model.skops").write_bytes(b"changed")
    validation = read_sentences(splits / "validation.jsonl", LABELS)
    better, why = beats(trained[0] / "good", broken, validation, config)
    assert not better and "cannot be loaded" in why


def test_a_failure_of_the_record_never_fails_the_training(splits, config, tmp_path, monkeypatch):
    from conflict_claims import train as module

    def broken(*arguments):
        raise RuntimeError("no room for pictures")

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/store.db")
    mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
    monkeypatch.setattr(module, "_record_plots", broken)
    said = []
    train("tfidf", splits, tmp_path / "model", config, say=said.append)
    mlflow.set_tracking_uri(None)
    assert load(tmp_path / "model").predict("Prices rose.")
    assert any("the plots and what follows could not be recorded (no room for pictures)" in s for s in said)


def test_an_answer_that_is_not_http_and_a_password_in_the_address_do_no_harm(tmp_path):
    from conflict_claims.tracking import _unreachable

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        def answer():
            connection, _ = other.accept()
            connection.sendall(b"SSH-2.0-OpenSSH\r\n")
            connection.close()

        threading.Thread(target=answer, daemon=True).start()
        said = _unreachable(f"http://user:secret@127.0.0.1:{port}")
    assert "no server answers at http://127.0.0.1" in said and "secret" not in said


def test_with_the_server_down_the_model_is_saved_and_the_loss_is_said(splits, config, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    said = []
    train("tfidf", splits, tmp_path / "model", config, say=said.append)
    assert load(tmp_path / "model").predict("Prices rose.")
    assert any("no server answers" in s and "are not recorded" in s for s in said)


def test_a_server_that_dies_during_training_costs_nothing_but_the_record(splits, config, tmp_path, monkeypatch):
    from conflict_claims import tracking

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
    monkeypatch.setattr(tracking, "_unreachable", lambda uri: "")  # it answered when training began
    said = []
    train("tfidf", splits, tmp_path / "model", config, say=said.append)
    mlflow.set_tracking_uri(None)
    assert load(tmp_path / "model").predict("Prices rose.")
    assert sum("could not be recorded" in s for s in said) == 1


def test_tracking_can_be_switched_off(splits, config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    said = []
    train("tfidf", splits, tmp_path / "model", config, track=False, say=said.append)
    assert any("tracking is off" in s for s in said)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".model.lock", "model"]
