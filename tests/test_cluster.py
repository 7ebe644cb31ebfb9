"""The same rows from a Ray cluster, and from Spark with the registered model; both real, on this machine."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow.parquet as pq
import pytest

from conflict_claims import cli
from conflict_claims.batch import predict_files
from conflict_claims.batch.formats import Reading
from conflict_claims.batch.state import Targets
from conflict_claims.errors import ClaimsError
from conflict_claims.runtime import load
from conflict_claims.train import train

from .conftest import LABELS, ROOT, corpus_rows, write_jsonl

TEXTS = [row["text"] for row in corpus_rows()]


@pytest.fixture
def source(tmp_path):
    """Articles in three files, with columns that come late and bad rows; more rows than a window has."""
    rng = random.Random(0)
    for name, count in (("a", 9000), ("b", 300), ("c", 5)):
        rows = [{"id": k, "text": rng.choice(TEXTS) + " " + rng.choice(TEXTS[:9])} for k in range(count)]
        for row in rows[count // 2 :: 40]:
            row["late"] = {"place": [row["id"]]}
        write_jsonl(tmp_path / f"in/{name}.jsonl", [{"text": None} if k % 200 == 7 else r for k, r in enumerate(rows)])
    (tmp_path / "in/c.jsonl").open("a").write("{broken\n")
    table = [{"id": 1, "text": TEXTS[0], "when": "x"}, {"id": 2, "text": "Prices rose. Nobody spoke.", "when": "y"}]
    import pyarrow

    pq.write_table(pyarrow.Table.from_pylist(table), tmp_path / "in/d.parquet")
    return tmp_path / "in"


# without Ray


def test_what_a_cluster_cannot_do_is_said_before_anything_is_written(models, tmp_path, capsys):
    write_jsonl(tmp_path / "in.jsonl", [{"text": "Prices rose."}])
    (tmp_path / "in.txt").write_text("Prices rose.")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.parquet").write_bytes(b"of somebody else")
    for arguments, words in (
        (("in.jsonl", "--output", "out.csv"), "writes a file ending in .parquet, or a folder"),
        (("in.txt", "--output", "out"), "reads tables"),
        (("-", "--output", "out"), "reads tables"),
        (("in.jsonl", "--output", "mine", "--overwrite"), "holds other files than part-*.parquet (notes.parquet)"),
        (("in.jsonl", "--output", "out", "--documents", "d.csv"), "--documents and --format"),
        (("in.jsonl",), "--engine ray needs --output"),
    ):
        full = [str(tmp_path / a) if "." in a or a in ("out", "mine") else a for a in arguments]
        assert cli.main(["predict", *full, "--engine", "ray", "--model", str(models / "tfidf")]) == 2
        assert words in capsys.readouterr().err
    local = ["predict", str(tmp_path / "in.jsonl"), "--output", str(tmp_path / "o.csv"), "--workers", "2"]
    assert cli.main([*local, "--model", str(models / "tfidf")]) == 2 and "--engine ray" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.jsonl", "in.txt", "mine"]


def test_an_output_folder_counts_as_existing_when_something_stands_in_it(tmp_path):
    targets = Targets(tmp_path / "out", folder=True)
    targets.check(overwrite=False)
    targets.output.mkdir()
    targets.check(overwrite=False)
    (targets.output / "part-000000.parquet").write_bytes(b"")
    with pytest.raises(ClaimsError, match="out exists already; pass --overwrite"):
        targets.check(overwrite=False)
    targets.check(overwrite=True)


# with Ray


@pytest.fixture(scope="module")
def ray():
    found = pytest.importorskip("ray", reason="Ray is not installed: pip install 'PATH-OF-THE-CLONE[ray]'")
    patch = pytest.MonkeyPatch()
    patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    patch.setenv("RAY_BACKEND_LOG_LEVEL", "fatal")
    patch.setenv("PYTHONPATH", str(ROOT / "src"))
    found.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield found
    found.shutdown()
    patch.undo()


class Stopped(Exception):  # noqa: N818 - what happens, not an error
    """Raised in place of a kill where no second process is needed."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tfidf", "transformer"])
def test_two_workers_give_the_rows_of_one_machine_and_a_stopped_run_goes_on(ray, models, source, tmp_path, kind):
    from conflict_claims.batch.cluster import predict_on_ray

    local, there, model = tmp_path / "local.parquet", tmp_path / "out.parquet", models / kind
    inputs = [str(source)]
    predict_files(inputs, local, model)
    partial = tmp_path / "out.parquet.partial"

    def stop_after_two(now):
        if now.rows > 4096:
            raise Stopped

    with pytest.raises(Stopped):
        predict_on_ray(inputs, there, model, report=stop_after_two)
    before = {path: path.stat().st_mtime_ns for path in partial.glob("shard-*.parquet")}
    assert len(before) >= 2 and not there.exists()
    seen = []

    def look(now):
        seen.append(now)
        assert {path: path.stat().st_mtime_ns for path in before} == before  # what was done is not done again

    done = predict_on_ray(inputs, there, model, report=look)
    expected = pq.read_table(local)
    assert pq.read_table(there).equals(expected) and done.sentences == len(expected)
    assert done.resumed == seen[0].rows > 4096 and done.bytes == done.total
    rejected = [tmp_path / f"{name}.parquet.rejected.jsonl" for name in ("out", "local")]
    assert rejected[0].read_text() == rejected[1].read_text() and not partial.exists()
    assert rejected[0].read_text().count("\n") == done.rejected > 40


@pytest.mark.slow
def test_a_folder_of_parts_holds_the_same_rows_and_is_replaced_only_when_asked(
    ray, models, source, tmp_path, monkeypatch
):
    from conflict_claims.batch import cluster, shards

    monkeypatch.setattr(shards, "PART_SENTENCES", 5000)
    inputs, output, model = [str(source / "a.jsonl"), str(source / "b.jsonl")], tmp_path / "out", models / "tfidf"
    cluster.predict_on_ray(inputs, output, model, reading=Reading(sentences=True))
    predict_files(inputs, tmp_path / "local.parquet", model, reading=Reading(sentences=True))
    assert sorted(p.name for p in output.iterdir()) == ["part-000000.parquet", "part-000001.parquet"]
    expected = pq.read_table(tmp_path / "local.parquet")
    assert pq.read_table(output).equals(expected)
    with pytest.raises(ClaimsError, match="out exists already; pass --overwrite"):
        cluster.predict_on_ray(inputs, output, model)
    cluster.predict_on_ray(inputs[1:], output, model, overwrite=True, workers=1)
    assert [p.name for p in output.iterdir()] == ["part-000000.parquet"]
    assert set(pq.read_table(output)["row"].to_pylist()) == {k + 1 for k in range(300) if k % 200 != 7}


@pytest.mark.slow
def test_what_goes_wrong_on_a_worker_is_said_in_one_sentence_and_what_is_done_stays(ray, models, source, tmp_path):
    from conflict_claims.batch.cluster import predict_on_ray

    model = shutil.copytree(models / "tfidf", tmp_path / "model")
    good = (model / "claims.json").read_bytes()

    def change_model(now):
        (model / "claims.json").write_bytes(good + b"\n")

    with pytest.raises(ClaimsError, match=r"^\S*model on \S+ is not the model that the run began with; [^\n]*$"):
        predict_on_ray([str(source)], tmp_path / "out", model, report=change_model)
    (model / "claims.json").write_bytes(good)
    with pytest.raises(ClaimsError, match=r"out.partial is left of a run with other options"):
        predict_on_ray([str(source)], tmp_path / "out", model, reading=Reading(sentences=True))
    assert predict_on_ray([str(source)], tmp_path / "out", model).rows == 9308


@pytest.mark.slow
def test_killed_the_same_command_goes_on(models, source, tmp_path):
    """The real command, which starts a Ray of its own."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'PATH-OF-THE-CLONE[ray]'")
    output, model = tmp_path / "out.parquet", models / "tfidf"
    command = [sys.executable, "-m", "conflict_claims.cli", "predict", str(source), "--engine", "ray"]
    command += ["--output", str(output), "--model", str(model)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT / "src")})
    while process.poll() is None and not list(tmp_path.glob("out.parquet.partial/shard-*.json")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not output.exists()
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT / "src")})
    assert done.returncode == 3 and "goes on after" in done.stderr, done.stderr[-2000:]
    predict_files([str(source)], tmp_path / "local.parquet", model)
    assert pq.read_table(output).equals(pq.read_table(tmp_path / "local.parquet"))


# with Spark


@pytest.fixture
def spark(monkeypatch):
    sql = pytest.importorskip("pyspark.sql", reason="Spark is not installed: pip install 'PATH-OF-THE-CLONE[spark]'")
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java, which is not here; on Debian: apt-get install default-jre-headless")
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    builder = sql.SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    session = builder.config("spark.driver.bindAddress", "127.0.0.1").getOrCreate()
    yield session
    session.stop()


@pytest.mark.slow
def test_the_registered_model_labels_a_column_of_a_spark_table(spark, splits, config, tmp_path, monkeypatch):
    import mlflow
    from pyspark.sql.functions import struct

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/store.db")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/store.db")
    try:
        train("tfidf", splits, tmp_path / "model", config)
        uri = f"models:/{config.tracking.registered_model}@champion"
        udf = mlflow.pyfunc.spark_udf(spark, uri, env_manager="local", model_config={"threads": 1})
        table = spark.createDataFrame(
            [(k, text) for k, text in enumerate([*TEXTS[:200], "", None])], "id int, text string"
        )
        rows = table.repartition(4).withColumn("claims", udf(struct("text"))).orderBy("id").collect()
    finally:
        mlflow.set_tracking_uri(None)
    found = [[row.claims[label] for label in LABELS] for row in rows]
    assert np.allclose(found[:200], load(tmp_path / "model").predict_proba(TEXTS[:200]), atol=1e-6)
    assert np.isnan(np.array(found[200:], dtype=float)).all() and len(found) == 202
