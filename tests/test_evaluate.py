import json

import numpy as np
import pytest

from conflict_claims.errors import ClaimsError
from conflict_claims.evaluate import evaluate
from conflict_claims.report import BEGIN, END, report

from .conftest import LABELS, corpus_rows, write_jsonl

KEYS = {"precision", "recall", "f1", "average_precision", "support", "threshold", "ece"}


def test_the_metrics_the_design_names_are_written(models, splits, tmp_path):
    figures = evaluate(models / "tfidf", splits / "test.jsonl", tmp_path / "new/out.json", tmp_path / "plots")
    assert json.loads((tmp_path / "new/out.json").read_text()) == figures
    assert {"macro_f1", "micro_f1", "exact_match", "mean_average_precision", "intervals"} <= set(figures)
    assert set(figures["labels"]) == set(LABELS) and all(set(v) == KEYS for v in figures["labels"].values())
    low, high = figures["intervals"]["macro_f1"]
    assert 0 < low < figures["macro_f1"] < high < 1
    pictures = {p.name: p.stat().st_size for p in (tmp_path / "plots").iterdir()}
    assert set(pictures) == {"precision_recall.csv", "precision_recall.png", "reliability.png", "confusion.png"}
    assert all((tmp_path / "plots" / n).read_bytes().startswith(b"\x89PNG") for n in pictures if n.endswith("png"))


def test_evaluating_changes_nothing_in_the_model(models, splits):
    before = {p: p.read_bytes() for p in models.rglob("*") if p.is_file()}
    evaluate(models / "transformer", splits / "test.jsonl")
    assert before == {p: p.read_bytes() for p in models.rglob("*") if p.is_file()}


def test_jsonl_and_csv_of_the_same_rows_score_the_same(models, tmp_path):
    import csv

    rows = corpus_rows()[:80]
    write_jsonl(tmp_path / "a.jsonl", rows)
    with (tmp_path / "a.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, ["text", "story", *LABELS])
        table.writeheader()
        for row in rows:
            table.writerow({"text": row["text"], "story": row["story"], **{n: int(n in row["labels"]) for n in LABELS}})
    found = [evaluate(models / "tfidf", tmp_path / name) for name in ("a.jsonl", "a.csv")]
    for figures in found:
        del figures["data"], figures["data_fingerprint"]
    assert found[0] == found[1]


def test_only_scores_the_rows_that_have_the_value(models, tmp_path):
    rows = [row | {"stratum": "natural" if k % 3 else "enriched"} for k, row in enumerate(corpus_rows()[:90])]
    write_jsonl(tmp_path / "a.jsonl", rows)
    assert evaluate(models / "tfidf", tmp_path / "a.jsonl", only="stratum=natural")["n"] == 60
    with pytest.raises(ClaimsError, match="no row with stratum=other"):
        evaluate(models / "tfidf", tmp_path / "a.jsonl", only="stratum=other")


def test_a_label_the_model_does_not_know_is_refused(models, tmp_path):
    write_jsonl(tmp_path / "a.jsonl", [{"text": "x", "labels": ["weather"]}])
    with pytest.raises(ClaimsError, match=r"a.jsonl:1: unknown label 'weather'"):
        evaluate(models / "tfidf", tmp_path / "a.jsonl")


def test_the_report_says_what_the_metrics_say_and_keeps_the_text_around_it(models, splits, tmp_path):
    paths = []
    for kind in ("tfidf", "transformer"):
        paths.append(tmp_path / f"{kind}.json")
        evaluate(models / kind, splits / "test.jsonl", paths[-1])
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    table = report(paths, tmp_path / "results.md", page)
    assert page.read_text(encoding="utf-8") == f"before\n{BEGIN}\n{table}\n{END}\nafter\n"
    for path in paths:
        figures = json.loads(path.read_text())
        row = next(line for line in table.splitlines() if f"| {figures['model']} |" in line)
        assert f"{figures['macro_f1']:.3f}" in row
        assert all(f"{v['f1']:.3f}" in row for v in figures["labels"].values())


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"macro_f1": 1}'])
def test_a_file_that_holds_no_metrics_is_refused(tmp_path, content):
    (tmp_path / "m.json").write_text(content)
    with pytest.raises(ClaimsError, match=r"m.json: expected metrics that"):
        report([tmp_path / "m.json"])


def test_precision_and_recall_of_the_curve_are_those_of_its_cuts(tmp_path):
    from conflict_claims.evaluate import write_precision_recall

    y = np.array([[1, 0], [1, 0], [0, 1]])
    write_precision_recall(y, np.array([[0.9, 0.1], [0.8, 0.7], [0.2, 0.6]]), tmp_path / "c.csv")
    rows = [line.split(",") for line in (tmp_path / "c.csv").read_text().split()][1:]
    assert [tuple(map(float, row)) for row in rows] == [
        (0.3333, 1),
        (0.6667, 1),
        (0.6667, 0.6667),
        (1, 0.75),
        (1, 0.6),
        (1, 0.5),
    ]
