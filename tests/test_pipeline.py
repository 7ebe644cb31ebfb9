"""A real DVC run of the repository's own dvc.yaml, on a piece of the corpus with the tiny encoder."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from .conftest import ROOT


class Project:
    """A Git and DVC repository with the real pipeline file and the real code."""

    def __init__(self, folder: Path):
        self.folder = folder
        scripts = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        quiet = {"DVC_NO_ANALYTICS": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "DVC_TEST": "false"}
        self.environment = os.environ | quiet | {"PATH": scripts}
        self.environment.pop("MLFLOW_TRACKING_URI", None)

    def run(self, *command: str) -> str:
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-3000:]}"
        return done.stdout + done.stderr

    def commit(self) -> None:
        self.run("git", "add", "-A")
        self.run("git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "x")


@pytest.fixture(scope="module")
def project(tmp_path_factory, params):
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "dvc.yaml", folder)
    (folder / "data/corpus").mkdir(parents=True)
    shutil.copy(ROOT / "data/corpus/batch3.jsonl", folder / "data/corpus")
    shutil.copytree(ROOT / "data/teacher", folder / "data/teacher")
    (folder / "data/unlabelled").mkdir()
    shutil.copy(ROOT / "data/unlabelled/u1.jsonl", folder / "data/unlabelled")
    (folder / "tests/behaviour").mkdir(parents=True)
    for family in sorted((ROOT / "tests/behaviour").glob("*.yaml"))[:3]:
        shutil.copy(family, folder / "tests/behaviour")
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    (folder / ".gitignore").write_text(
        "/models\n/data/splits\n/experiments/plots\n/experiments/pages\nmlflow.db\nmlruns\n*.checkpoint\n"
    )
    project = Project(folder)
    project.run("git", "init", "-q")
    project.run("dvc", "init", "-q")
    project.run("dvc", "repro", "-q")
    project.commit()
    return project


def test_the_whole_pipeline_leaves_models_metrics_and_a_report(project):
    for kind in ("tfidf", "transformer"):
        assert (project.folder / f"models/{kind}/claims.json").is_file()
        metrics = json.loads((project.folder / f"experiments/evaluation/{kind}.json").read_text())
        assert metrics["model"] == kind and metrics["macro_f1"] > 0.3
    report = (project.folder / "experiments/report.md").read_text()
    assert "| tfidf |" in report and "| transformer |" in report
    pages = {p.name for p in (project.folder / "experiments/pages").iterdir() if not p.name.startswith(".")}
    assert pages == {f"{kind}.{ending}" for kind in ("tfidf", "transformer") for ending in ("html", "md", "png")}


def test_the_second_run_does_nothing(project):
    assert "Data and pipelines are up to date." in project.run("dvc", "repro")


def test_metrics_and_plots_are_shown(project):
    shown = json.loads(project.run("dvc", "metrics", "show", "--json"))[""]["data"]
    assert {Path(name).stem for name in shown} == {"check", "tfidf", "transformer"}
    project.run("dvc", "plots", "show", "-o", str(project.folder / "plots"))
    page = (project.folder / "plots/index.html").read_text(encoding="utf-8")
    assert "Precision and recall" in page and "reliability.png" in page


def test_an_experiment_with_a_transformer_parameter_reruns_only_the_transformers_stages(project):
    said = project.run("dvc", "exp", "run", "-S", "train.transformer.learning_rate=0.001")
    ran = {line.split("'")[1] for line in said.splitlines() if line.startswith("Running stage")}
    assert ran == {"train@transformer", "evaluate@transformer", "behaviour@transformer", "report"}
    difference = project.run("dvc", "metrics", "diff", "--md")
    assert "experiments/evaluation/transformer.json" in difference
    assert "experiments/evaluation/tfidf.json" not in difference
