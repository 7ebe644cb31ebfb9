"""The benchmark trains, scores, resumes and writes its table."""

import ast
import importlib
import importlib.util
import json
import subprocess
import sys

import pytest
import yaml

from .conftest import ROOT


def bench(splits, params_file, output, *more):
    command = [
        sys.executable,
        str(ROOT / "benchmarks/quality.py"),
        "--splits",
        str(splits),
        "--params",
        str(params_file),
    ]
    command += ["--output", str(output), "--seeds", "1", *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200, cwd=output.parent)
    assert done.returncode == 0, done.stderr[-2000:]
    return done


def test_contenders_are_scored_on_every_file_and_not_trained_twice(splits, params_file, tmp_path):
    output = tmp_path / "bench.json"
    page = tmp_path / "page.md"
    page.write_text(
        "a\n<!-- benchmark: made by make bench-quality -->\n<!-- end of benchmark -->\nz\n", encoding="utf-8"
    )
    more = ["--also", str(splits / "validation.jsonl"), "--only", "scikit-learn", "ours: TF-IDF", "--insert", str(page)]
    done = bench(splits, params_file, output, *more)
    rows = json.loads(output.read_text(encoding="utf-8"))
    assert [row["contender"] for row in rows] == ["scikit-learn", "ours: TF-IDF"]
    for row in rows:
        assert set(row["files"]) == {"test.jsonl", "validation.jsonl"} and row["seconds"] > 0 and row["bytes"] > 1000
        assert all(0.2 < figures["macro_f1"] < 1 for figures in row["files"].values())
    table = output.with_suffix(".md").read_text(encoding="utf-8")
    assert table.count("| ours: TF-IDF |") == 2 and done.stdout.strip() in page.read_text(encoding="utf-8")
    again = bench(splits, params_file, output, *more)
    assert "seed 0" not in again.stderr and json.loads(output.read_text(encoding="utf-8")) == rows


def test_an_unknown_contender_is_refused(splits, params_file, tmp_path):
    with pytest.raises(AssertionError, match="invalid choice"):
        bench(splits, params_file, tmp_path / "bench.json", "--only", "oracle")


def test_rows_of_other_settings_or_files_are_not_mixed_into_the_table(splits, params_file, tmp_path):
    output = tmp_path / "bench.json"
    bench(splits, params_file, output, "--only", "ours: TF-IDF")
    values = yaml.safe_load(params_file.read_text(encoding="utf-8"))
    values["train"]["tfidf"]["C"] = [1]
    params_file.write_text(yaml.safe_dump(values), encoding="utf-8")
    done = bench(splits, params_file, output, "--only", "ours: TF-IDF", "--also", str(splits / "validation.jsonl"))
    assert len(json.loads(output.read_text(encoding="utf-8"))) == 2
    assert done.stdout.count("| ours: TF-IDF | 1 |") == 2  # one seed in each of two files' tables


def growth():
    """benchmarks/growth.py as a module."""
    spec = importlib.util.spec_from_file_location("growth", ROOT / "benchmarks/growth.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_growth_table_of_the_docs_is_that_of_its_file():
    saved = ROOT / "experiments/growth.json"  # make bench-growth
    rows = json.loads(saved.read_text(encoding="utf-8")) if saved.exists() else []
    shown = (ROOT / "docs/predict.md").read_text(encoding="utf-8").split(growth().BEGIN)[1].split(growth().END)[0]
    assert shown.strip() == (growth().growth_table(rows) if rows else "")


def test_growth_is_measured_once_and_goes_on_where_it_was_stopped(models, splits, tmp_path):
    page, output = tmp_path / "page.md", tmp_path / "growth.json"
    page.write_text(f"a\n{growth().BEGIN}\n{growth().END}\nz\n", encoding="utf-8")
    command = [sys.executable, str(ROOT / "benchmarks/growth.py"), str(models / "tfidf"), "--data"]
    command += [str(splits / "test.jsonl"), "--output", str(output), "--insert", str(page)]
    for sizes, measured in (("30",), 1), (("30", "60"), 1), (("30", "60"), 0):
        done = subprocess.run([*command, "--sizes", *sizes], capture_output=True, text=True, check=False, timeout=200)
        assert done.returncode == 0 and done.stderr.count("tfidf, ") == measured, done.stderr[-2000:]
    rows = json.loads(output.read_text(encoding="utf-8"))
    assert [row["sentences"] for row in rows] == [30, 60] and done.stdout.strip() in page.read_text(encoding="utf-8")
    assert all(row["seconds"] > 0 and row["peak_memory"] > 20_000_000 for row in rows)


@pytest.mark.parametrize("script", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda path: path.stem)
def test_what_a_benchmark_takes_from_the_package_is_there(script):
    """Most of them run for minutes or hours: a name that has moved would be found too late."""
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("conflict_claims"):
            module = importlib.import_module(node.module)
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                assert hasattr(module, alias.name) or importlib.util.find_spec(name), name
