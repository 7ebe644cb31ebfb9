import csv
import gzip
import io
import json
import random
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from conflict_claims import runtime
from conflict_claims.batch import labelling, predict_files
from conflict_claims.batch.formats import Reading
from conflict_claims.errors import ClaimsError

from .conftest import LABELS, ROOT, corpus_rows, write_jsonl

TEXTS = [row["text"] for row in corpus_rows()]
pytestmark = pytest.mark.usefixtures("loaded_once")
COMPRESS = {"": bytes, ".gz": gzip.compress, ".zst": lambda data: zstandard.compress(data)}


@pytest.fixture(scope="module")
def model(models):
    return models / "tfidf"


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def read_csv(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def predict(inputs, output, model, column="text", id_column=None, sentences=False, **options):
    reading = Reading(column, id_column, sentences)
    return predict_files([str(path) for path in inputs], output, model, reading=reading, **options)


def shape(folder):
    return sorted(p.name for p in folder.iterdir())


def articles(count, seed=0):
    rng = random.Random(seed)
    return [
        {"id": k, "text": " ".join(rng.sample(TEXTS, rng.randint(1, 3))), "labels": "gold", "outlet": "Ünïted"}
        for k in range(count)
    ]


@pytest.fixture
def many(tmp_path):
    """600 rows: articles of one to three sentences with columns of their own."""
    found = articles(600)
    return write_jsonl(tmp_path / "articles.jsonl", found), found


# what comes out


def test_rows_come_in_input_order_with_their_columns_and_offsets(model, many, tmp_path):
    path, given = many
    done = predict([path], tmp_path / "out.jsonl", model)
    found = read(tmp_path / "out.jsonl")
    assert (done.sentences, done.rows, done.rejected) == (len(found), 600, 0)
    assert len(found) > 600 and [row["row"] for row in found] == sorted(row["row"] for row in found)
    assert {row["row"] for row in found} == set(range(1, 601))
    for row in found:
        source = given[row["row"] - 1]
        assert row["id"] == source["id"] and row["outlet"] == "Ünïted" and row["input_labels"] == "gold"
        assert row["document"] == str(source["id"]) and "source" not in row
        assert source["text"][row["start"] : row["end"]] == row["text"]
        assert set(row["probabilities"]) == set(LABELS) and set(row["labels"]) <= set(LABELS)
    assert shape(tmp_path) == ["articles.jsonl", "out.jsonl"]


@pytest.mark.parametrize("kind", ["tfidf", "transformer"])
def test_every_way_gives_what_the_model_says_of_each_text_alone(models, tmp_path, monkeypatch, kind):
    """Windows, sorting by length and formats change nothing."""
    given = articles(40)
    write_jsonl(tmp_path / "in.jsonl", given)
    one = runtime.load(models / kind)
    expected = [
        (k + 1, p.text, p.labels, p.probabilities) for k, row in enumerate(given) for p in one.predict(row["text"])
    ]
    for size in (7, 4096):
        monkeypatch.setattr(labelling, "WINDOW_ROWS", size)
        predict([tmp_path / "in.jsonl"], tmp_path / f"{size}.jsonl", models / kind)
        found = read(tmp_path / f"{size}.jsonl")
        assert [(r["row"], r["text"], tuple(r["labels"])) for r in found] == [e[:3] for e in expected]
        for row, (*_, probabilities) in zip(found, expected, strict=True):
            assert row["probabilities"] == pytest.approx(probabilities, abs=2e-4)


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "jsonl.zst", "csv", "csv.gz", "csv.zst", "parquet"])
def test_every_output_holds_the_same(model, tmp_path, monkeypatch, ending):
    monkeypatch.setattr(labelling, "WINDOW_ROWS", 7)
    given = [
        row | ({"late": k / 2} if k > 20 else {}) for k, row in enumerate(articles(40))
    ]  # a column that comes late
    write_jsonl(tmp_path / "in.jsonl", given)
    predict([tmp_path / "in.jsonl"], tmp_path / "plain.jsonl", model, documents=tmp_path / "plain-documents.jsonl")
    predict([tmp_path / "in.jsonl"], tmp_path / f"out.{ending}", model, documents=tmp_path / f"documents.{ending}")
    plain, found = read(tmp_path / "plain.jsonl"), read_any(tmp_path / f"out.{ending}")
    assert len(found) == len(plain)
    for one, other in zip(found, plain, strict=True):
        assert [str(one[c]) for c in ("id", "row", "text", "start", "end", "outlet", "document")] == [
            str(other[c]) for c in ("id", "row", "text", "start", "end", "outlet", "document")
        ]
        assert {name: float(one[name]) for name in LABELS} == other["probabilities"]
        assert one["labels"] == other["labels"] and one["input_labels"] == "gold"
        assert (float(one["late"]) if one.get("late") not in (None, "") else None) == other.get("late")
    plain, found = read(tmp_path / "plain-documents.jsonl"), read_any(tmp_path / f"documents.{ending}")
    assert [row["document"] for row in found] == [row["document"] for row in plain]
    for one, other in zip(found, plain, strict=True):
        assert int(one["sentences"]) == other["sentences"] and one["labels"] == other["labels"]


def read_any(path):
    """Rows of an output, read by other people's readers, flattened where it is JSONL."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    if path.suffix == ".zst":
        with zstandard.open(path, "rb") as file:
            data = file.read()
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    if ".csv" in path.name:
        found = list(csv.DictReader(io.StringIO(data.decode(), newline="")))
        return [row | {"labels": [name for name in row["labels"].split(";") if name]} for row in found]
    return [row | row.get("probabilities", {}) for row in map(json.loads, data.decode().splitlines())]


def test_parquet_keeps_types_and_finds_one_for_what_is_mixed(model, tmp_path, monkeypatch):
    monkeypatch.setattr(labelling, "WINDOW_ROWS", 2)
    given = [
        {"text": "One.", "n": 1, "x": 1, "mixed": 1, "deep": {"a": [1]}, "gone": None},
        {"text": "Two.", "n": 2, "x": 2, "mixed": 2, "deep": None, "gone": None},
        {"text": "Three.", "n": 3, "x": 2.5, "mixed": "three", "deep": None, "half": "\ud83d"},
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in given))
    predict([tmp_path / "in.jsonl"], tmp_path / "out.parquet", model)
    table = pq.read_table(tmp_path / "out.parquet")
    types = {column.name: str(column.type) for column in table.schema}
    assert (types["n"], types["x"], types["mixed"], types["row"]) == ("int64", "double", "string", "int64")
    assert types["labels"].startswith("list<") and types["casualty"] == "double"
    assert table["mixed"].to_pylist() == ["1", "2", "three"] and table["half"].to_pylist() == [None, None, "?"]
    assert json.loads(table["deep"][0].as_py()) == {"a": [1]}


def test_dates_and_decimals_of_parquet_stay_in_parquet_and_become_text_elsewhere(model, tmp_path):
    from datetime import date
    from decimal import Decimal

    table = pa.table(
        {"text": ["One.", "Two."], "day": [date(2024, 5, 1), None], "sum": [Decimal("1.50"), Decimal("20")]}
    )
    pq.write_table(table, tmp_path / "in.parquet")
    predict([tmp_path / "in.parquet"], tmp_path / "out.parquet", model)
    predict([tmp_path / "in.parquet"], tmp_path / "out.jsonl", model)
    found = pq.read_table(tmp_path / "out.parquet")
    assert found["day"].to_pylist() == [date(2024, 5, 1), None] and found["sum"][0].as_py() == Decimal("1.50")
    assert [row["day"] for row in read(tmp_path / "out.jsonl")] == ["2024-05-01", None]


def test_csv_comes_back_as_csv_with_one_column_per_label(model, tmp_path):
    (tmp_path / "in.csv").write_text('id,text\n7,"One, two. Three ""four""."\n8,Five.\n', encoding="utf-8")
    predict([tmp_path / "in.csv"], tmp_path / "out.csv", model)
    found = read_csv(tmp_path / "out.csv")
    assert list(found[0]) == ["id", "document", "row", "text", "start", "end", "labels", *LABELS]
    assert [row["id"] for row in found] == ["7", "7", "8"]
    assert all(0 <= float(row[name]) <= 1 for row in found for name in LABELS)


def test_gold_labels_of_the_input_are_kept_beside_the_predicted_ones(model, tmp_path):
    (tmp_path / "in.csv").write_text(f"text,{','.join(LABELS)}\nOne.,1,0,0,1\n", encoding="utf-8")
    predict([tmp_path / "in.csv"], tmp_path / "out.csv", model)
    (row,) = read_csv(tmp_path / "out.csv")
    assert (row["input_casualty"], row["input_eyewitness"]) == ("1", "1")
    assert 0 < float(row["casualty"]) < 1


def test_other_columns_can_hold_the_text_and_the_id(model, tmp_path):
    (tmp_path / "in.tsv").write_text("key\tid\tbody\ttext\n5\tx\tOne.\told\n\ty\tTwo.\told\n", encoding="utf-8")
    predict([tmp_path / "in.tsv"], tmp_path / "out.jsonl", model, column="body", id_column="key")
    found = read(tmp_path / "out.jsonl")
    assert [(r["text"], r["input_text"], r["key"]) for r in found] == [("One.", "old", "5"), ("Two.", "old", "")]
    assert [r["document"] for r in found] == ["5", f"{tmp_path / 'in.tsv'}:2"]
    with pytest.raises(ClaimsError, match=r"in.tsv:2: expected a column 'number', found key, id, body, text"):
        predict([tmp_path / "in.tsv"], tmp_path / "o.jsonl", model, column="body", id_column="number")


def test_sentences_are_not_split_and_a_text_file_has_one_a_line(model, many, tmp_path):
    assert predict([many[0]], tmp_path / "out.jsonl", model, sentences=True).sentences == 600
    (tmp_path / "lines.txt").write_text("One. Two.\n\nThree.\r\n", encoding="utf-8-sig")
    predict([tmp_path / "lines.txt"], tmp_path / "lines.jsonl", model, sentences=True)
    assert [r["text"] for r in read(tmp_path / "lines.jsonl")] == ["One. Two.", "Three."]


def test_half_a_character_is_survived(model, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"id": "\\ud83d", "text": "Broken \\ud83d emoji. Two."}\n', encoding="utf-8")
    done = predict([tmp_path / "a.jsonl"], tmp_path / "out.jsonl", model, documents=tmp_path / "d.csv")
    assert done.sentences == 2 and [row["document"] for row in read_csv(tmp_path / "d.csv")] == ["?"]
    assert [row["text"] for row in read(tmp_path / "out.jsonl")] == ["Broken ? emoji.", "Two."]


def test_documents_say_which_claims_how_often_and_where_most(model, tmp_path, monkeypatch):
    """Rows of one document need not stand together, nor in one window."""
    monkeypatch.setattr(labelling, "WINDOW_ROWS", 3)
    given = [{"document": f"d{k % 4}", "text": text} for k, text in enumerate(TEXTS[:60])]
    write_jsonl(tmp_path / "in.jsonl", given)
    predict([tmp_path / "in.jsonl"], tmp_path / "out.jsonl", model, sentences=True, documents=tmp_path / "d.jsonl")
    labelled, found = read(tmp_path / "out.jsonl"), read(tmp_path / "d.jsonl")
    assert [row["document"] for row in found] == ["d0", "d1", "d2", "d3"]
    for row in found:
        own = [r for r in labelled if r["document"] == row["document"]]
        assert row["sentences"] == len(own) == 15
        assert row["labels"] == [name for name in LABELS if any(name in r["labels"] for r in own)]
        for name, claim in row["claims"].items():
            best = max(own, key=lambda r: r["probabilities"][name])
            assert claim["sentences"] == sum(name in r["labels"] for r in own)
            assert claim["probability"] == best["probabilities"][name]
            assert claim["text"] == (best["text"] if name in row["labels"] else None)
            assert not claim["sentences"] or claim["row"] == best["row"]


# what goes in


@pytest.mark.parametrize("compression", ["", ".gz", ".zst"])
@pytest.mark.parametrize("ending", [".txt", ".csv", ".tsv", ".jsonl", ".parquet"])
def test_every_kind_of_file_is_read(model, tmp_path, ending, compression):
    given = [{"number": str(k), "text": text} for k, text in enumerate(TEXTS[:30])]
    with io.StringIO(newline="") as file:
        table = csv.DictWriter(file, ["number", "text"], delimiter="\t" if ending == ".tsv" else ",")
        table.writeheader()
        table.writerows(given)
        data = file.getvalue().encode()
    if ending == ".jsonl":
        data = "".join(json.dumps(row) + "\n" for row in given).encode()
    if ending == ".txt":
        data = "\n".join(TEXTS[:30]).encode()
    if ending == ".parquet":
        pq.write_table(pa.Table.from_pylist(given), tmp_path / "in.parquet", row_group_size=10)
        data = (tmp_path / "in.parquet").read_bytes()
    path = tmp_path / f"in{ending}{compression}"
    path.write_bytes(COMPRESS[compression](data))
    assert predict([path], tmp_path / "out.jsonl", model, sentences=True).rows == 30
    found = read(tmp_path / "out.jsonl")
    assert [row["text"] for row in found] == TEXTS[:30]
    if ending != ".txt":
        assert [row["number"] for row in found] == [row["number"] for row in given]


def test_a_folder_stands_for_the_files_in_it_in_a_fixed_order_and_not_for_its_own_output(model, tmp_path):
    for name in ("b/two.txt", "a.txt", "b/one.txt.gz", "b/.hidden.txt", "b/picture.png", "c.jsonl"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = b'{"text": "Here."}\n' if name.endswith("jsonl") else b"Here. And there."
        path.write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    output = tmp_path / "in/out.jsonl"
    for _ in range(2):
        predict([tmp_path / "in"], output, model, documents=tmp_path / "in/documents.csv", overwrite=True)
        found = read(output)
        order = [str(tmp_path / "in" / n) for n in ("a.txt", "c.jsonl", "b/one.txt.gz", "b/two.txt")]
        assert list(dict.fromkeys(row["source"] for row in found)) == order
        assert [row["document"] for row in found if row["source"] == order[0]] == [order[0]] * 2
        assert [row["document"] for row in found if row["source"] == order[1]] == [f"{order[1]}:1"]
    assert [row["source"] for row in read_csv(tmp_path / "in/documents.csv")] == order


def test_a_long_article_in_a_csv_cell_is_read(model, tmp_path):
    (tmp_path / "in.csv").write_text(f'text\n"{"Prices rose. " * 20_000}"\n', encoding="utf-8")
    assert predict([tmp_path / "in.csv"], tmp_path / "out.jsonl", model).sentences == 20_000


def test_a_text_file_is_one_article(model, tmp_path):
    assert predict([ROOT / "examples/article.txt"], tmp_path / "out.jsonl", model).sentences == 11
    assert {r["document"] for r in read(tmp_path / "out.jsonl")} == {str(ROOT / "examples/article.txt")}


def test_processes_give_the_same_bytes(model, many, tmp_path, monkeypatch):
    monkeypatch.setattr(labelling, "WINDOW_ROWS", 100)
    predict([many[0]], tmp_path / "one.csv", model)
    predict([many[0]], tmp_path / "two.csv", model, processes=2)
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


def test_the_figures_that_are_reported_grow_to_the_whole(model, many, tmp_path, monkeypatch):
    monkeypatch.setattr(labelling, "WINDOW_ROWS", 100)
    said = []
    predict([many[0]], tmp_path / "out.csv", model, report=said.append)
    assert [s.rows for s in said] == [0, 100, 200, 300, 400, 500, 600]
    assert said[-1].bytes == said[-1].total == many[0].stat().st_size
    assert [s.bytes for s in said] == sorted(s.bytes for s in said)


# what cannot be labelled

LONG = b"x" * 10_000_000
BAD = [
    (b'{"text": null}', "found nothing"),
    (b'{"text": "  "}', "found only white space"),
    (b'{"text": 3}', "found int"),
    (b'{"txt": "x"}', "expected a text in the column 'text', found nothing"),
    (b'{"text": "a\\u0000b"}', "NUL byte at character 2"),
    (b'{"text": "a\0b"}', "broken JSON"),
    ('{"text": "caf\u00e9"}'.encode("latin-1"), "expected UTF-8, found byte 0xe9 at byte 14"),
    (b'{"text": "x"', "broken JSON"),
    (b'["text"]', "expected a JSON object, found list"),
    (b"[" * 100_000, "broken JSON"),
    (b'{"text": ' + b"9" * 5000 + b"}", "broken JSON"),
    (b'{"text": "LONG"}', "more than 5,000,000 bytes"),
    ('{"text": "\u200b\u200b"}'.encode(), "invisible characters alone"),
    (b'{"text": "' + b"One. " * 1000 + b'", "html": "' + b"x" * 100_000 + b'"}', "would be repeated beside 1,000"),
]


def test_bad_rows_are_set_aside_with_line_and_reason_and_all_others_are_labelled(model, tmp_path):
    lines = [line for bad, _ in BAD for line in (b'{"text": "Good."}', b"", bad)]
    (tmp_path / "in.jsonl").write_bytes(b"\n".join(lines).replace(b"LONG", LONG))
    done = predict([tmp_path / "in.jsonl"], tmp_path / "out.jsonl", model)
    assert (done.rows, done.rejected, done.sentences) == (2 * len(BAD), len(BAD), len(BAD))
    assert {row["text"] for row in read(tmp_path / "out.jsonl")} == {"Good."}
    found = read(tmp_path / "out.jsonl.rejected.jsonl")
    assert [row["line"] for row in found] == [3 * k + 3 for k in range(len(BAD))]
    assert [row["row"] for row in found] == [2 * k + 2 for k in range(len(BAD))]
    for row, (_, reason) in zip(found, BAD, strict=True):
        assert reason in row["reason"] and row["source"] == str(tmp_path / "in.jsonl"), (row, reason)


def test_a_sentence_that_is_none_is_set_aside(model, tmp_path):
    write_jsonl(
        tmp_path / "in.jsonl", [{"text": "x" * 100_001}, {"text": "\u200b"}, {"text": "Good."}, {"text": "..."}]
    )
    done = predict([tmp_path / "in.jsonl"], tmp_path / "out.jsonl", model, sentences=True)
    assert (done.sentences, done.rejected) == (2, 2)
    reasons = [row["reason"] for row in read(tmp_path / "out.jsonl.rejected.jsonl")]
    assert "a sentence has at most 100,000 characters" in reasons[0] and "invisible" in reasons[1]


def test_an_article_without_a_sentence_end_is_cut_not_refused(model, tmp_path):
    write_jsonl(tmp_path / "in.jsonl", [{"text": "word " * 100_000}])
    assert predict([tmp_path / "in.jsonl"], tmp_path / "out.jsonl", model).sentences == 50


CSV = [
    (b"1,Good.\n2\n3,Good.\n", [3], "expected 2 columns, found 1"),
    (b'1,Good.\n2,"a" b\n3,Good.\n', [3], "broken CSV"),
    (b'1,Good.\n2,"never closed\n3,Good.\n', [3], "broken CSV (unexpected end of data)"),
    (b'1,Good.\n2,"closed late\n3,"Good."\n4,Good.\n', [3], "broken CSV"),
    (b'1,"two\nlines"\n2,"caf\xe9\nlong"\n3,Good.\n', [4], "expected UTF-8, found byte 0xe9 at byte 7"),
    (b"1,Good.\n2,a\0b\n3,Good.\n", [3], "NUL byte at character 2"),
    (b"1,Good.\n2,LONG\n3,Good.\n", [3], "more than 5,000,000 bytes"),
    (b"1,Good.\n2,\n3,Good.\n", [3], "found nothing"),
]


@pytest.mark.parametrize(("content", "lines", "reason"), CSV)
def test_a_broken_csv_row_costs_that_row_alone(model, tmp_path, content, lines, reason):
    (tmp_path / "in.csv").write_bytes(b"id,text\n" + content.replace(b"LONG", LONG))
    predict([tmp_path / "in.csv"], tmp_path / "out.jsonl", model)
    found = read(tmp_path / "out.jsonl.rejected.jsonl")
    assert [row["line"] for row in found] == lines and reason in found[0]["reason"]
    labelled = read(tmp_path / "out.jsonl")
    good = content.count(b"Good.")
    assert sum("Good." in row["text"] for row in labelled) == good and labelled[-1]["text"] == "Good."


@pytest.mark.parametrize("compression", [".gz", ".zst"])
def test_a_file_that_is_cut_off_gives_the_rows_before_the_cut(model, tmp_path, compression):
    rng = random.Random(0)
    lines = [json.dumps({"text": "Good.", "noise": rng.randbytes(40).hex()}) + "\n" for _ in range(3000)]
    data = COMPRESS[compression]("".join(lines).encode())
    (tmp_path / f"in.jsonl{compression}").write_bytes(data[: len(data) // 2])
    write_jsonl(tmp_path / "next.jsonl", [{"text": "Good."}])
    inputs = [tmp_path / f"in.jsonl{compression}", tmp_path / "next.jsonl"]
    done = predict(inputs, tmp_path / "out.csv", model)
    assert (
        500 < done.rows < 3000 and done.rejected == 1 and read_csv(tmp_path / "out.csv")[-1]["source"] == str(inputs[1])
    )
    (found,) = read(tmp_path / "out.csv.rejected.jsonl")
    assert "cut off or damaged from here on" in found["reason"] and found["line"] == done.rows - 1


def test_a_document_that_cannot_be_read_does_not_stop_a_folder(model, tmp_path):
    (tmp_path / "in").mkdir()
    for name, data in {
        "a.txt": b"Good.",
        "b.txt": "caf\u00e9".encode("latin-1"),
        "c.txt": b"",
        "d.txt": b"Good.",
    }.items():
        (tmp_path / "in" / name).write_bytes(data)
    done = predict([tmp_path / "in"], tmp_path / "out.jsonl", model)
    assert (done.sentences, done.rejected) == (2, 2)


# what is refused before anything is written


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"txt": "x"}\n', r"a.jsonl:1: expected a column 'text', found txt"),
        ("a.csv", b"id;text\n1;x\n", r"a.csv:2: expected a column 'text', found id;text"),
        ("a.csv", b"text,text\n1,x\n", r"a.csv:1: the column 'text' stands twice"),
        ("a.csv", b'"text\n', r"a.csv:1: expected the names of the columns, found broken CSV"),
        ("a.csv", b"", r"found an empty file"),
        ("a.jsonl", b"", r"found an empty file"),
        ("a.jsonl", b"\x01\n" * 200, r"none of the first 100 rows could be read; the first: broken JSON"),
        ("a.pdf", b"x", r"expected a name ending in .txt, .csv.* found .pdf"),
        ("a.txt", b"%PDF-1.7", r"expected txt text in UTF-8, found a PDF"),
        ("a.csv", b"PK\x03\x04...", r"found a ZIP archive, or an office document"),
        ("a.csv", "text\nx\n".encode("utf-16"), r"found UTF-16 text; save it as UTF-8"),
        ("a.csv", gzip.compress(b"text\nx\n"), r"found gzip; let the name end in .gz"),
        ("a.csv.gz", b"text\nx\n", r"expected .gz data, found something else"),
        ("a.csv.zst", b"text\nx\n", r"expected .zst data, found something else"),
        ("a.parquet", b"text\nx\n", r"expected Parquet, found something else"),
    ],
)
def test_bad_input_is_said_and_nothing_is_written(model, tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    (tmp_path / "out.jsonl").write_text("old", encoding="utf-8")
    with pytest.raises(ClaimsError, match=message):
        predict([tmp_path / name], tmp_path / "out.jsonl", model, overwrite=True)
    assert (tmp_path / "out.jsonl").read_text() == "old" and shape(tmp_path) == sorted([name, "out.jsonl"])


def test_inputs_that_make_no_sense_are_refused(model, tmp_path):
    write_jsonl(tmp_path / "a.jsonl", [{"text": "x"}])
    (tmp_path / "empty").mkdir()
    a, output = tmp_path / "a.jsonl", tmp_path / "out.jsonl"
    for inputs, target, options, message in (
        ([tmp_path / "none.csv"], output, {}, "none.csv: no such file"),
        ([tmp_path / "empty"], output, {}, "empty: expected files ending in .txt, .*found none"),
        ([a, "-"], output, {}, "standard input .-. must be the only input"),
        ([a, a], output, {}, "a.jsonl is named twice"),
        ([a], a, {"overwrite": True}, "a.jsonl is both input and output"),
        ([a], output, {"stdin_format": "csv"}, "--format says what standard input"),
        ([a], output, {"documents": output}, "must be different files"),
        ([a], tmp_path / "out.xlsx", {}, r"out.xlsx: expected a name ending in .jsonl, .csv .*found .xlsx"),
        ([a], tmp_path / "out.parquet.gz", {}, r"expected a name ending in .*found .parquet.gz"),
        ([a], output, {"documents": tmp_path / "d.txt"}, r"d.txt: expected a name ending in .jsonl"),
    ):
        with pytest.raises(ClaimsError, match=message):
            predict(inputs, target, model, **options)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ClaimsError, match=r"folder.csv is a folder"):
        predict([a], tmp_path / "folder.csv", model, overwrite=True)
    assert shape(tmp_path) == ["a.jsonl", "empty", "folder.csv"]


def test_existing_output_is_replaced_only_when_told_and_old_rejected_rows_go_with_it(model, tmp_path):
    output, article = tmp_path / "out.jsonl", ROOT / "examples/article.txt"
    for name in ("out.jsonl", "out.jsonl.rejected.jsonl", "documents.csv"):
        (tmp_path / name).write_text("old", encoding="utf-8")
        with pytest.raises(ClaimsError, match=f"{name} exists already; pass --overwrite"):
            predict([article], output, model, documents=tmp_path / "documents.csv")
        if name != "documents.csv":
            (tmp_path / name).unlink()
    (tmp_path / "out.jsonl.rejected.jsonl").write_text("old", encoding="utf-8")
    predict([article], output, model, documents=tmp_path / "documents.csv", overwrite=True)
    assert len(read(output)) == 11 and shape(tmp_path) == ["documents.csv", "out.jsonl"]


@pytest.mark.parametrize("missing", ["pyarrow", "zstandard"])
def test_without_the_extra_the_error_says_what_to_install(model, tmp_path, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    write_jsonl(tmp_path / "a.jsonl", [{"text": "x"}])
    ending = {"pyarrow": "parquet", "zstandard": "jsonl.zst"}[missing]
    (tmp_path / f"b.{ending}").write_bytes(b"x")
    for source, output in (("a.jsonl", f"out.{ending}"), (f"b.{ending}", "out.jsonl")):
        with pytest.raises(ClaimsError, match=r"need the extra formats: pip install 'PATH-OF-THE-CLONE\[formats\]'"):
            predict([tmp_path / source], tmp_path / output, model)
    assert predict([tmp_path / "a.jsonl"], tmp_path / "out.csv.gz", model).sentences == 1


# memory

MEASURED = """
import re, sys
from functools import lru_cache
from pathlib import Path
from conflict_claims import batch
from conflict_claims.batch.formats import Reading
batch.load = lru_cache(batch.load)
batch.COMMIT_EVERY = 0.1
batch.load(Path(sys.argv[1]))
for k, name in enumerate(sys.argv[2:]):
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew: loading a model has a high one
    output, documents = (Path(f"{name}.{k}.{what}{Path(name).suffix}") for what in ("out", "documents"))
    batch.predict_files([name], output, Path(sys.argv[1]), reading=Reading(sentences=True), documents=documents)
    print(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024)
"""


def test_memory_does_not_grow_with_the_input(model, tmp_path):
    noise = random.Random(0).randbytes(4_000_000).hex()
    names = []
    for count, ending in ((500, "jsonl"), (3_500, "jsonl"), (2_000, "parquet"), (8_000, "parquet")):
        given = [{"text": f"Good {k}.", "noise": noise[k * 900 : k * 900 + 20_000]} for k in range(count)]
        names.append(tmp_path / f"{count}.{ending}")
        if ending == "jsonl":
            write_jsonl(names[-1], given)
        else:
            pq.write_table(pa.Table.from_pylist(given), names[-1], row_group_size=500)
    arguments = [sys.executable, "-c", MEASURED, str(model), *map(str, names)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    peaks = list(map(float, done.stdout.split()))
    more = (names[1].stat().st_size - names[0].stat().st_size) / 2**20  # of Parquet twice as much, before compression
    assert more > 50 and peaks[1] - peaks[0] < 0.5 * more and peaks[3] - peaks[2] < 2 * 0.75 * more, done.stdout
