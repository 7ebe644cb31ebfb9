"""A run that ends early, however, goes on where it was; what is written is written once."""

import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from functools import partial

import pyarrow.parquet as pq
import pytest

from conflict_claims import batch, cli
from conflict_claims.batch import labelling, predict_files
from conflict_claims.batch.formats import Reading
from conflict_claims.errors import ClaimsError

from .conftest import corpus_rows, write_jsonl

TEXTS = [row["text"] for row in corpus_rows()]
pytestmark = pytest.mark.usefixtures("loaded_once")


@pytest.fixture(scope="module")
def model(models):
    return models / "tfidf"


@pytest.fixture
def source(tmp_path):
    """Articles in three files, with columns that come late, bad rows and documents that stand apart."""
    rng = random.Random(0)
    for name in ("a", "b", "c"):
        rows = []
        for k in range(80):
            row = {"document": f"d{k % 35}", "text": " ".join(rng.sample(TEXTS, 2))}
            rows.append({"text": None} if k % 20 == 7 else row | ({"late": k} if k > 60 else {}))
        write_jsonl(tmp_path / f"in/{name}.jsonl", rows)
    return tmp_path / "in"


class Stopped(Exception):  # noqa: N818 - what happens, not an error
    """Raised in place of a kill where no second process is needed."""


def run(source, output, model, stop_after=None, **options):
    """Predict in windows of ten rows, each of them committed; stop after so many."""

    def report(now):
        if stop_after is not None and now.rows - now.resumed >= 10 * stop_after:
            raise Stopped

    documents = output.with_name(f"documents-{output.name}")
    inputs = [str(source)] if not isinstance(source, list) else [str(path) for path in source]
    options = {"documents": documents, "report": report} | options
    return predict_files(inputs, output, model, **options)


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    monkeypatch.setattr(labelling, "WINDOW_ROWS", 10)
    monkeypatch.setattr(batch, "WINDOW_ROWS", 10)
    monkeypatch.setattr(batch, "COMMIT_EVERY", 0)


def content(folder):
    """Everything in a folder by name; a Parquet file by its rows."""
    return {
        p.name: pq.read_table(p).to_pylist() if p.suffix == ".parquet" else p.read_bytes() for p in folder.iterdir()
    }


# killed


def arguments(source, output, model):
    documents = output.with_name(f"documents-{output.name}")
    return ["predict", *map(str, (source, "--output", output, "--documents", documents, "--model", model))]


def forked(source, output, model):
    """The command in a process that has the model loaded already: a kill strikes its work, not its start."""
    process = multiprocessing.get_context("fork").Process(
        target=lambda: os._exit(cli.main(arguments(source, output, model)))
    )
    process.start()
    return process


def kill_until_done(start, output, kills, rng):
    """Start the same command again and again and kill -9 it at random moments; returns how many kills struck."""
    struck = 0
    while not (output.exists() and not output.with_name(f"{output.name}.partial").exists()):
        process = start()
        if struck < kills:
            process.join(rng.uniform(0, 0.4 * 2 / kills))
            process.kill()
        process.join()
        assert process.exitcode in (-signal.SIGKILL, 3)
        struck += process.exitcode == -signal.SIGKILL
    return struck


@pytest.mark.parametrize("ending", ["jsonl", "csv.gz", "parquet"])
def test_killed_at_twenty_random_moments_the_output_is_that_of_a_run_that_was_not(source, model, tmp_path, ending):
    whole, killed, rng = tmp_path / f"whole/out.{ending}", tmp_path / f"killed/out.{ending}", random.Random(ending)
    run(source, whole, model)
    struck = 0
    while struck < 20:
        shutil.rmtree(killed.parent, ignore_errors=True)
        struck += kill_until_done(partial(forked, source, killed, model), killed, 20 - struck, rng)
        assert content(killed.parent) == content(whole.parent)


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "csv", "csv.zst", "parquet"])
def test_stopped_after_every_window_the_output_is_the_same(source, model, tmp_path, ending):
    run(source, tmp_path / f"whole/out.{ending}", model)
    output = tmp_path / f"stopped/out.{ending}"
    rows = [0]
    while True:
        try:
            done = run(source, output, model, stop_after=3)
            break
        except Stopped:
            state = json.loads((output.parent / f"{output.name}.partial/progress.json").read_text())
            assert state["rows"] > rows[-1] and not output.exists()
            rows.append(state["rows"])
    assert len(rows) > 7 and done.rows == 240 and done.rejected == 12 and done.resumed == rows[-1]
    assert content(output.parent) == content(tmp_path / "whole")


def test_whatever_stands_beyond_the_recorded_progress_is_cut_off(source, model, tmp_path):
    """What a kill between writing and recording leaves: bytes too many, and parts too many."""
    run(source, tmp_path / "whole/out.csv", model)
    output = tmp_path / "stopped/out.csv"
    with pytest.raises(Stopped):
        run(source, output, model, stop_after=4)
    folder = output.parent / "out.csv.partial"
    for name in ("rows-000001", "rejected"):
        with (folder / name).open("ab") as file:
            file.write(b'"half a row' * 100_000)  # more than the rest of the run writes over
    (folder / "rows-000002").write_bytes(b"of no run")
    (folder / "progress.json.new").write_bytes(b"{")
    run(source, output, model)
    assert content(output.parent) == content(tmp_path / "whole")


def test_a_roll_up_that_is_a_window_ahead_counts_it_once(source, model, tmp_path):
    """Killed between the two commits: the documents are on the disk, the progress is not."""
    run(source, tmp_path / "whole/out.csv", model)
    output = tmp_path / "stopped/out.csv"
    folder = output.parent / "out.csv.partial"
    with pytest.raises(Stopped):
        run(source, output, model, stop_after=4)
    before = (folder / "progress.json").read_bytes()
    with pytest.raises(Stopped):
        run(source, output, model, stop_after=2)
    (folder / "progress.json").write_bytes(before)
    run(source, output, model)
    assert content(output.parent) == content(tmp_path / "whole")


@pytest.mark.parametrize("moved", range(4))
def test_killed_while_the_files_are_put_in_place_the_next_call_puts_the_rest(
    source, model, tmp_path, monkeypatch, moved
):
    run(source, tmp_path / "whole/out.csv", model)
    output, move, count = tmp_path / "stopped/out.csv", batch.partial._move, []

    def killed(path, target):
        if len(count) == moved:
            raise Stopped
        count.append(target)
        move(path, target)
        if len(count) == moved == 3:
            raise Stopped

    monkeypatch.setattr(batch.partial, "_move", killed)
    with pytest.raises(Stopped):
        run(source, output, model)
    monkeypatch.setattr(batch.partial, "_move", move)
    assert run(source, output, model).rows == 240
    assert content(output.parent) == content(tmp_path / "whole")


def stop_a_real_run(model, tmp_path, rows, how):
    """Start the command, stop all its processes or the first alone, and return its status and what it said."""
    write_jsonl(tmp_path / "many.jsonl", [{"text": " ".join(TEXTS[:30])}] * rows)
    (tmp_path / "out.jsonl").write_text("old", encoding="utf-8")
    call = ["predict", tmp_path / "many.jsonl", "--output", tmp_path / "out.jsonl", "--overwrite", "--model", model]
    process = subprocess.Popen(
        [sys.executable, "-m", "conflict_claims.cli", *map(str, call)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background shell hands down "ignored"
    )
    while not (tmp_path / "out.jsonl.partial/progress.json").exists() and process.poll() is None:
        time.sleep(0.01)
    how(process.pid)
    _, said = process.communicate()
    assert (tmp_path / "out.jsonl").read_text() == "old" and (tmp_path / "out.jsonl.partial").is_dir(), said
    with pytest.raises(ProcessLookupError):
        for _ in range(6000):  # until nobody of its group is left
            os.killpg(process.pid, 0)
            time.sleep(0.01)
    return process.returncode, said


def test_ctrl_c_keeps_the_old_output_and_what_is_done(model, tmp_path):
    status, said = stop_a_real_run(model, tmp_path, 1000, lambda pid: os.killpg(pid, signal.SIGINT))
    assert status == 130 and "stopped; nothing that was saved before is lost" in said and "Traceback" not in said, said


@pytest.mark.slow
@pytest.mark.parametrize("how", [lambda pid: os.killpg(pid, signal.SIGINT), lambda pid: os.kill(pid, signal.SIGKILL)])
def test_worker_processes_end_with_the_first_one(model, tmp_path, how):
    _, said = stop_a_real_run(model, tmp_path, 6000, how)
    assert (tmp_path / "many.jsonl").stat().st_size > batch.WORTH_PROCESSES and "Traceback" not in said, said


# not the same run any more


def other_input(source, model):
    with (source / "b.jsonl").open("a") as file:
        file.write('{"text": "More."}\n')


def another_file(source, model):
    write_jsonl(source / "d.jsonl", [{"text": "More."}])


def other_time(source, model):
    os.utime(source / "c.jsonl", (0, 0))


def other_model(source, model):
    values = json.loads((model / "claims.json").read_text(encoding="utf-8"))
    values["thresholds"]["casualty"] = 0.9
    (model / "claims.json").write_text(json.dumps(values), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (other_input, "other or changed input"),
        (another_file, "other or changed input"),
        (other_time, "other or changed input"),
        (other_model, "another model"),
        (None, "other options"),
    ],
)
def test_with_other_input_model_or_options_a_run_does_not_go_on(source, models, tmp_path, change, words):
    model = shutil.copytree(models / "tfidf", tmp_path / "model") if change is other_model else models / "tfidf"
    output, options = tmp_path / "out/out.csv", {}
    with pytest.raises(Stopped):
        run(source, output, model, stop_after=4)
    before = content(output.parent / "out.csv.partial")
    if change:
        change(source, model)
    else:
        options = {"reading": Reading(sentences=True)}
    with pytest.raises(
        ClaimsError, match=rf"out.csv.partial is left of a run with {words} .\d+ rows are done.*--restart"
    ):
        run(source, output, model, **options)
    assert content(output.parent / "out.csv.partial") == before
    run(source, output, model, restart=True, **options)
    run(source, tmp_path / "whole/out.csv", model, **options)
    assert content(output.parent) == content(tmp_path / "whole")


def test_a_model_or_input_that_changes_during_a_run_ends_it_and_what_is_done_stays(source, models, tmp_path):
    model = shutil.copytree(models / "tfidf", tmp_path / "model")
    good = (model / "claims.json").read_bytes()

    def change_model(now):
        if now.rows == 50:
            other_model(source, model)

    def change_input(now):
        if now.rows == 100:
            other_input(source, model)

    with pytest.raises(ClaimsError, match=r"model changed during the run; put the model back"):
        run(source, tmp_path / "out.csv", model, report=change_model)
    (model / "claims.json").write_bytes(good)
    with pytest.raises(ClaimsError, match=r"b.jsonl changed during the run; pass --restart"):
        run(source, tmp_path / "out.csv", model, report=change_input)
    state = json.loads((tmp_path / "out.csv.partial/progress.json").read_text())
    assert state["rows"] >= 100


def test_two_processes_cannot_write_one_output(source, model, tmp_path):
    refused = []

    def report(now):
        if now.rows == 50:
            with pytest.raises(ClaimsError, match=r"another process is writing .*out.csv; wait for it") as error:
                run(source, tmp_path / "out.csv", model, report=lambda now: None)
            refused.append(error)

    assert run(source, tmp_path / "out.csv", model, report=report).rows == 240 and refused


def test_a_partial_output_that_was_damaged_is_refused(source, model, tmp_path):
    output, folder = tmp_path / "out.csv", tmp_path / "out.csv.partial"
    with pytest.raises(Stopped):
        run(source, output, model, stop_after=4)
    (folder / "rows-000001").write_bytes(b"")
    with pytest.raises(ClaimsError, match=r"rows-000001 is damaged .0 bytes, expected .*pass --restart"):
        run(source, output, model)
    (folder / "progress.json").write_bytes(b"{")
    with pytest.raises(ClaimsError, match=r"progress.json is damaged .*pass --restart"):
        run(source, output, model)
    assert run(source, output, model, restart=True).rows == 240


# a full disk


@pytest.mark.parametrize(("ending", "share"), [("jsonl", 0.7), ("csv", 0.7), ("parquet", 0.7), ("jsonl", 0.01)])
def test_on_a_full_disk_what_is_done_stays_and_the_run_goes_on_when_there_is_room(
    source, model, tmp_path, ending, share
):
    """A file-size limit of the operating system stands for the full disk: writes fail as they do there.

    The last case is too small even for the database of the documents.
    """
    output, documents = tmp_path / f"full/out.{ending}", tmp_path / "full/d.csv" if share < 0.1 else None
    run(source, tmp_path / f"whole/out.{ending}", model, documents=documents and tmp_path / "whole/d.csv")
    size = (tmp_path / f"whole/out.{ending}").stat().st_size
    output.parent.mkdir()
    output.write_text("old")
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(size * share), hard))
    try:
        with pytest.raises(ClaimsError, match=r"could not be written \(.*\); nothing is lost, .*call the same command"):
            run(source, output, model, overwrite=True, documents=documents)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert output.read_text() == "old"
    done = run(source, output, model, overwrite=True, documents=documents)
    assert (done.resumed > 70) == (share > 0.1) and content(output.parent) == content(tmp_path / "whole")


# standard input and the command line


@pytest.fixture
def command(model, tmp_path, monkeypatch, capsys):
    def call(*arguments, stdin=""):
        (tmp_path / "stdin").write_text(stdin, encoding="utf-8")
        with (tmp_path / "stdin").open(encoding="utf-8") as file:
            monkeypatch.setattr(sys, "stdin", file)
            status = cli.main(["predict", *map(str, arguments), "--model", str(model)])
        return status, *capsys.readouterr()

    return call


def test_standard_input_is_read_but_not_resumed(command, tmp_path):
    rows = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS[:20]) + '{"text": 7}\n'
    output = tmp_path / "out.jsonl"
    status, _, said = command("-", "--format", "jsonl", "--sentences", "--output", output, stdin=rows)
    assert status == 3 and "20 sentences of 21 rows" in said, said
    assert "1 of the rows could not be labelled: see" in said
    found = [json.loads(line) for line in output.read_text().splitlines()]
    assert [row["text"] for row in found] == TEXTS[:20] and found[3]["document"] == "standard input:4"
    folder = tmp_path / "next.jsonl.partial"
    folder.mkdir()
    (folder / "progress.json").write_text(json.dumps({"identity": {}, "rows": 10}))
    arguments = ("-", "--output", tmp_path / "next.jsonl")
    status, _, said = command(*arguments, stdin="Prices rose.")
    assert status == 2 and "standard input, which cannot be resumed; pass --restart" in said
    assert command(*arguments, "--restart", stdin="Prices rose. Nobody spoke.")[0] == 0
    assert (tmp_path / "next.jsonl").read_text().count("\n") == 2
    status, _, said = command("-", "--format", "csv", "--output", tmp_path / "none.csv")
    assert status == 2 and "standard input: expected rows, found nothing" in said
    assert not list(tmp_path.glob("none*"))


def test_a_pipe_is_read(models, tmp_path):
    """A real pipe, and a real command."""
    arguments = ["predict", "-", "--output", tmp_path / "out.jsonl", "--model", models / "tfidf"]
    call = [sys.executable, "-m", "conflict_claims.cli", *map(str, arguments)]
    done = subprocess.run(call, input="Prices rose. Nobody spoke.", capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "2 sentences of 1 rows labelled in" in done.stderr, done.stderr


def test_without_output_tables_are_shown_and_bad_rows_said(command, tmp_path):
    write_jsonl(tmp_path / "in.jsonl", [{"text": "Prices rose."}, {"text": None}, {"text": "Nobody spoke."}])
    status, shown, said = command(tmp_path / "in.jsonl")
    assert status == 3 and "in.jsonl:2: expected a text in the column 'text', found nothing" in said
    assert "Prices rose." in shown and "Nobody spoke." in shown
    status, shown, _ = command("-", stdin="Prices rose.")
    assert status == 0 and "Prices rose." in shown
    status, _, said = command("-", "--documents", "d.csv", stdin="Prices rose.")
    assert status == 2 and "--documents needs --output" in said


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_says_rate_share_and_time_left(source, model, tmp_path, monkeypatch, capsys, terminal):
    from conflict_claims.batch import progress

    monkeypatch.setattr(progress, "LINE_EVERY", 0)
    with pytest.raises(Stopped):
        run(source, tmp_path / "out.csv", model, stop_after=15)
    monkeypatch.setenv("FORCE_COLOR", "1")
    said = []
    with progress.shown(said.append, terminal=terminal) as report:
        run(source, tmp_path / "out.csv", model, report=report)
    assert said[0] == "goes on after 150 rows that are done"
    shown = capsys.readouterr().err if terminal else "\n".join(said)
    assert "a second" in shown and "%" in shown and "left" in shown
