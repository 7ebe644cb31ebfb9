import csv
import json
import random
import resource
import signal
import subprocess
import sys
import time

import pytest

from conflict_claims.batch import predict_file
from conflict_claims.errors import ClaimsError
from conflict_claims.runtime import load

from .conftest import LABELS, ROOT, corpus_rows, write_jsonl


@pytest.fixture(scope="module")
def model(models):
    return load(models / "tfidf")


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def articles(tmp_path):
    """600 rows: articles of one to three sentences with columns of their own."""
    texts = [row["text"] for row in corpus_rows()]
    rng = random.Random(0)
    rows = [
        {"id": k, "text": " ".join(rng.sample(texts, rng.randint(1, 3))), "labels": "gold", "outlet": "Ünïted"}
        for k in range(600)
    ]
    return write_jsonl(tmp_path / "articles.jsonl", rows), rows


def test_rows_come_in_input_order_with_their_columns_and_offsets(model, articles, tmp_path):
    path, rows = articles
    total = predict_file(model, path, tmp_path / "out.jsonl")
    found = read(tmp_path / "out.jsonl")
    assert len(found) == total >= 600
    assert [row["row"] for row in found] == sorted(row["row"] for row in found)
    assert {row["row"] for row in found} == set(range(1, 601))
    for row in found:
        source = rows[row["row"] - 1]
        assert row["id"] == source["id"] and row["outlet"] == "Ünïted" and row["input_labels"] == "gold"
        assert source["text"][row["start"] : row["end"]] == row["text"]
        assert set(row["probabilities"]) == set(LABELS) and set(row["labels"]) <= set(LABELS)


def test_windows_do_not_change_the_answer(model, articles, tmp_path, monkeypatch):
    from conflict_claims import batch

    predict_file(model, articles[0], tmp_path / "a.jsonl")
    monkeypatch.setattr(batch, "WINDOW", 7)
    predict_file(model, articles[0], tmp_path / "b.jsonl")
    assert read(tmp_path / "a.jsonl") == read(tmp_path / "b.jsonl")


def test_sentences_are_not_split(model, articles, tmp_path):
    assert predict_file(model, articles[0], tmp_path / "out.jsonl", sentences=True) == 600


def test_csv_comes_back_as_csv_with_one_column_per_label(model, tmp_path):
    (tmp_path / "in.csv").write_text('id,text\n7,"One, two. Three ""four""."\n8,Five.\n', encoding="utf-8")
    predict_file(model, tmp_path / "in.csv", tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["id", "row", "text", "start", "end", "labels", *LABELS]
    assert [row["id"] for row in rows] == ["7", "7", "8"]
    assert all(0 <= float(row[name]) <= 1 for row in rows for name in LABELS)


def test_half_a_character_is_survived(model, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "Broken \\ud83d emoji. Two."}\n', encoding="utf-8")
    assert predict_file(model, tmp_path / "a.jsonl", tmp_path / "out.jsonl") == 2
    assert [row["text"] for row in read(tmp_path / "out.jsonl")] == ["Broken ? emoji.", "Two."]


def test_gold_labels_of_the_input_are_kept_beside_the_predicted_ones(model, tmp_path):
    (tmp_path / "in.csv").write_text(f"text,{','.join(LABELS)}\nOne.,1,0,0,1\n", encoding="utf-8")
    predict_file(model, tmp_path / "in.csv", tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert (row["input_casualty"], row["input_eyewitness"]) == ("1", "1")
    assert 0 < float(row["casualty"]) < 1


def test_a_long_article_in_a_csv_cell_is_read(model, tmp_path):
    (tmp_path / "in.csv").write_text(f'text\n"{"Prices rose. " * 20_000}"\n', encoding="utf-8")
    assert predict_file(model, tmp_path / "in.csv", tmp_path / "out.jsonl") == 20_000


def test_a_text_file_is_one_article(model, tmp_path):
    assert predict_file(model, ROOT / "examples/article.txt", tmp_path / "out.jsonl") == 11


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"text": "x"}\n{"txt": "x"}\n', r"a.jsonl:2: expected a column 'text', found txt"),
        ("a.jsonl", '{"text": "x"}\n{"text": null}\n', r"a.jsonl:2: expected a text, found nothing"),
        ("a.jsonl", '{"text": "x"}\n{"text": 3}\n', r"a.jsonl:2: expected a text, found int"),
        ("a.jsonl", '{"text": "x"}\n{"text"\n', r"a.jsonl:2: broken JSON"),
        ("a.jsonl", "", r"found an empty file"),
        ("a.txt", " \n", r"found an empty file"),
        ("a.pdf", "x", r"expected a name ending in .jsonl, .csv or .tsv, found .pdf"),
        ("a.csv", "text,id\nx\n", r"a.csv:2: expected 2 columns, found 1"),
    ],
)
def test_bad_input_is_said_and_the_old_output_stays(model, tmp_path, name, content, message):
    (tmp_path / name).write_text(content, encoding="utf-8")
    output = tmp_path / "out.jsonl"
    output.write_text("old", encoding="utf-8")
    with pytest.raises(ClaimsError, match=message):
        predict_file(model, tmp_path / name, output, overwrite=True)
    assert output.read_text() == "old"
    assert not list(tmp_path.glob(".*.saving"))


def test_an_existing_output_is_replaced_only_when_told(model, tmp_path):
    output = tmp_path / "out.jsonl"
    output.write_text("old", encoding="utf-8")
    with pytest.raises(ClaimsError, match="exists already; pass --overwrite"):
        predict_file(model, ROOT / "examples/article.txt", output)
    predict_file(model, ROOT / "examples/article.txt", output, overwrite=True)
    assert len(read(output)) == 11


def test_ctrl_c_keeps_the_old_output_and_says_so(models, tmp_path):
    texts = [row["text"] for row in corpus_rows()] * 40
    write_jsonl(tmp_path / "many.jsonl", [{"text": t} for t in texts])
    output = tmp_path / "out.jsonl"
    output.write_text("old", encoding="utf-8")
    arguments = ["predict", tmp_path / "many.jsonl", "--output", output, "--overwrite", "--model", models / "tfidf"]
    process = subprocess.Popen(
        [sys.executable, "-m", "conflict_claims.cli", *map(str, arguments)],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background shell hands down "ignored"
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".*.saving")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "stopped; nothing that was saved before is lost" in said
    assert output.read_text() == "old" and not list(tmp_path.glob(".*.saving"))


def test_an_output_that_cannot_be_written_is_said_and_the_old_one_stays(model, tmp_path):
    """A file-size limit of the operating system stands for the full disk: writes fail as they do there."""
    write_jsonl(tmp_path / "many.jsonl", [{"text": row["text"]} for row in corpus_rows()])
    output = tmp_path / "out.jsonl"
    output.write_text("old", encoding="utf-8")
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(ClaimsError, match=r"out.jsonl could not be written .File too large.; nothing old is lost"):
            predict_file(model, tmp_path / "many.jsonl", output, overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert output.read_text() == "old" and not list(tmp_path.glob(".*.saving"))
