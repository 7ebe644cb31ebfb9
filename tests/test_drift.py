"""Drift: nothing is said of the same news, and what was changed is named."""

import json
import random

import pytest

from conflict_claims.cli import main
from conflict_claims.drift import drift
from conflict_claims.errors import ClaimsError
from conflict_claims.runtime import load

from .conftest import LABELS, corpus_rows, write_jsonl


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    """Whole stories of one batch, dealt out to two files of sentences without labels."""
    folder = tmp_path_factory.mktemp("halves")
    rows = corpus_rows()
    stories = sorted({row["story"] for row in rows})
    random.Random(1).shuffle(stories)
    first = set(stories[: len(stories) // 2])
    for name, side in (("a", True), ("b", False)):
        write_jsonl(
            folder / f"{name}.jsonl",
            [{"text": r["text"], "story": r["story"]} for r in rows if (r["story"] in first) == side],
        )
    return folder


def changed(folder, name, change):
    rows = [json.loads(line) for line in (folder / "b.jsonl").open(encoding="utf-8")]
    return write_jsonl(folder / f"{name}.jsonl", [row | {"text": change(row["text"])} for row in rows])


def test_two_halves_of_one_source_are_known_ground(halves, models, capsys, tmp_path):
    command = ["drift", str(halves / "a.jsonl"), str(halves / "b.jsonl"), "--sentences"]
    assert main([*command, "--model", str(models / "tfidf"), "--output", str(tmp_path / "d.json")]) == 0
    said = capsys.readouterr().out
    assert "Known ground" in said and "AUC of words" in said
    found = json.loads((tmp_path / "d.json").read_text(encoding="utf-8"))
    assert found["ground"] == "known" and set(found["label_rates"]) == set(LABELS)
    for row in (*found["label_rates"].values(), found["doubt"], found["words"]):
        assert row["interval"][0] <= row["difference"] <= row["interval"][1]
    assert found["auc"] < 0.65 and abs(found["unknown_words"]["new"] - found["unknown_words"]["reference"]) < 0.05


def test_predictions_and_texts_with_a_model_say_the_same(halves, models, tmp_path):
    model = load(models / "tfidf")
    direct = drift(halves / "a.jsonl", halves / "b.jsonl", model, sentences=True)
    for ending in ("jsonl", "csv"):
        for name in ("a", "b"):
            output = tmp_path / f"{name}.{ending}"
            command = ["predict", str(halves / f"{name}.jsonl"), "--sentences", "--output", str(output)]
            assert main([*command, "--model", str(models / "tfidf")]) == 0
        found = drift(tmp_path / f"a.{ending}", tmp_path / f"b.{ending}")
        assert found["ground"] == direct["ground"] and found["documents"] == direct["documents"]
        for name in LABELS:
            assert found["label_rates"][name] == direct["label_rates"][name]
        assert found["doubt"]["new"] == pytest.approx(direct["doubt"]["new"], abs=0.01)


def test_other_words_are_new_words_and_cost_known_ground(halves, capsys):
    words = {"the": "ze", "and": "und", "of": "von", "in": "im", "to": "zu", "said": "sagte", "a": "ein"}
    strange = changed(halves, "strange", lambda t: " ".join(words.get(w, w) for w in t.split()))
    assert main(["drift", str(halves / "a.jsonl"), str(strange), "--sentences"]) == 1
    said = capsys.readouterr().out
    assert "New ground" in said and "of the words do not occur in the reference" in said and "AUC of" in said


def test_long_sentences_and_a_change_of_labels_are_named_but_known_ground_stays(halves, models):
    model = load(models / "tfidf")
    rows = [json.loads(line) for line in (halves / "b.jsonl").open(encoding="utf-8")]
    found = model.predict_proba([row["text"] for row in rows])
    kept = [row for row, p in zip(rows, found, strict=True) if p[0] < 0.1 and len(row["text"].split()) > 12]
    new = write_jsonl(halves / "few.jsonl", kept)
    result = drift(halves / "a.jsonl", new, model, sentences=True)
    assert "label_rates.casualty" in result["flags"]
    assert any(line.startswith("casualty is given to") for line in result["said"])


def test_articles_are_split_and_resampled_whole(halves, tmp_path):
    rows = [json.loads(line) for line in (halves / "a.jsonl").open(encoding="utf-8")]
    stories = {}
    for row in rows:
        stories.setdefault(row["story"], []).append(row["text"])
    path = write_jsonl(tmp_path / "articles.jsonl", [{"text": "\n\n".join(texts)} for texts in stories.values()])
    found = drift(path, halves / "b.jsonl")
    assert found["documents"]["reference"] == len(stories) < found["sentences"]["reference"]
    assert "label_rates" not in found and "doubt" not in found


def test_bad_sides_are_refused(halves, models, tmp_path):
    few = write_jsonl(tmp_path / "few.jsonl", [{"text": "One."}] * 9)
    with pytest.raises(ClaimsError, match=r"few.jsonl: expected at least 50 sentences to compare, found 9"):
        drift(halves / "a.jsonl", few, sentences=True)
    output = tmp_path / "p.jsonl"
    main(["predict", str(halves / "b.jsonl"), "--output", str(output), "--model", str(models / "tfidf")])
    with pytest.raises(ClaimsError, match=r"a.jsonl holds no predictions and the other file does; name the model"):
        drift(halves / "a.jsonl", output)
    rows = [json.loads(line) for line in output.open(encoding="utf-8")]
    rows[3]["probabilities"].pop("casualty")
    with pytest.raises(ClaimsError, match="no probability of 'casualty'"):
        drift(output, write_jsonl(tmp_path / "q.jsonl", rows))
