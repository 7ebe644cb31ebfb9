import json

import numpy as np
import pytest

from conflict_claims.blocks import marks
from conflict_claims.errors import ClaimsError
from conflict_claims.evaluate import evaluate
from conflict_claims.report import report

from .conftest import LABELS, corpus_rows, write_jsonl

KEYS = {"precision", "recall", "f1", "average_precision", "support", "threshold", "ece", "ece_by_chance", "brier"}
WHOLE = {"macro_f1", "micro_f1", "exact_match", "mean_average_precision", "ece", "brier", "risk_coverage_area"}


def test_the_metrics_the_design_names_are_written(models, splits, tmp_path):
    figures = evaluate(models / "tfidf", splits / "test.jsonl", tmp_path / "new/out.json", tmp_path / "plots")
    assert json.loads((tmp_path / "new/out.json").read_text()) == figures
    assert set(figures) > WHOLE and set(figures["intervals"]) == {*WHOLE, *LABELS, "labels"}
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
    begin, end = marks("results")
    page = tmp_path / "page.md"
    page.write_text(f"before\n{begin}\nold\n{end}\nafter\n", encoding="utf-8")
    table = report(paths, tmp_path / "results.md", [page])
    assert page.read_text(encoding="utf-8") == f"before\n{begin}\n{table}\n{end}\nafter\n"
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


@pytest.fixture(scope="module")
def evidence(models, splits, tmp_path_factory):
    """What `evaluate` writes beside its metrics, twice."""
    folder = tmp_path_factory.mktemp("evidence")
    for name in ("a", "b"):
        evaluate(models / "tfidf", splits / "test.jsonl", evidence=folder / f"{name}.json")
    return folder


def test_evidence_is_the_same_byte_for_byte(evidence):
    assert (evidence / "a.json").read_bytes() == (evidence / "b.json").read_bytes()


def test_evidence_adds_up(evidence, splits):
    found = json.loads((evidence / "a.json").read_text(encoding="utf-8"))
    rows = [json.loads(line) for line in (splits / "test.jsonl").open(encoding="utf-8")]
    wrong = {label: sum(e["label"] == label for e in found["errors"]) for label in LABELS}
    for label in LABELS:
        figures = found["labels"][label]
        bins = found["reliability"][label]
        assert sum(b["n"] for b in bins) == found["n"] == len(rows)
        assert sum(b["n"] * b["happened"] for b in bins) == pytest.approx(figures["support"], abs=0.05)
        ece = sum(b["n"] * abs(b["said"] - b["happened"]) for b in bins) / found["n"]
        assert ece == pytest.approx(figures["ece"], abs=1e-3)
        assert found["co_occurrence"]["true"][label][label] == figures["support"]
        given_wrongly = found["confusion"][label]["given_wrongly"]["sentences"]
        missed = found["confusion"][label]["missed"]["sentences"]
        given = found["co_occurrence"]["given"][label][label]
        assert given - given_wrongly == round(figures["recall"] * figures["support"]) == figures["support"] - missed
        assert wrong[label] == min(5, given_wrongly) + min(5, missed)
        assert found["risk_coverage"][label][-1]["coverage"] == 1
    assert found["risk_coverage"]["any label"][-1]["risk"] == pytest.approx(1 - found["exact_match"], abs=1e-4)
    by_kind = {}
    for row in found["slices"]:
        by_kind[row["kind"]] = by_kind.get(row["kind"], 0) + row["n"]
        low, high = row["exact_match_interval"]
        assert low <= row["exact_match"] <= high
    assert {"genre or source", "length", "capitals", "quotation marks", "negation", "number of labels"} <= set(by_kind)
    assert by_kind["length"] == by_kind["genre or source"] == by_kind["number of labels"] == len(rows)


def test_slices_stand_worst_first_and_small_ones_last(evidence):
    rows = json.loads((evidence / "a.json").read_text(encoding="utf-8"))["slices"]
    large = [row["exact_match"] for row in rows if not row["small"]]
    assert large == sorted(large) and [row["small"] for row in rows] == sorted(row["small"] for row in rows)
    assert all(row["n"] >= 50 and row["stories"] >= 10 for row in rows if not row["small"])


def test_the_errors_kept_are_errors_the_surest_first(evidence):
    errors = json.loads((evidence / "a.json").read_text(encoding="utf-8"))["errors"]
    assert [e["confidence"] for e in errors] == sorted((e["confidence"] for e in errors), reverse=True)
    for e in errors:
        assert (e["label"] in e["true"]) != (e["label"] in e["given"]) and e["text"]
        assert (e["error"] == "missed") == (e["label"] in e["true"])


def test_without_text_no_sentence_is_written(models, splits, tmp_path):
    evaluate(models / "tfidf", splits / "test.jsonl", evidence=tmp_path / "e.json", texts=False)
    written = (tmp_path / "e.json").read_text(encoding="utf-8")
    texts = [json.loads(line)["text"] for line in (splits / "test.jsonl").open(encoding="utf-8")]
    assert json.loads(written)["errors"] and not any(json.dumps(t, ensure_ascii=False)[1:-1] in written for t in texts)
