"""The behaviour cases are well formed, and the check says which ones fail."""

import json
from collections import Counter

import pytest

from conflict_claims.behaviour import Family, check_behaviour, read_families, worse
from conflict_claims.cli import main
from conflict_claims.errors import ClaimsError
from conflict_claims.runtime import load

from .conftest import LABELS, ROOT


@pytest.fixture(scope="module")
def families():
    return read_families(ROOT / "tests/behaviour", LABELS)


def test_there_are_enough_cases_of_every_kind_and_none_twice(families):
    assert len(families) >= 30 and sum(len(f.cases) for f in families) >= 400
    assert {f.kind for f in families} == {"minimum_functionality", "invariance", "direction"}
    texts = Counter(case["text"] for f in families for case in f.cases)
    assert [text for text, count in texts.items() if count > 1] == []


KNOWN = {"a": ("casualty",), "A": ("casualty",), "b": (), "b said police": ("official_statement",)}


class Fixed:
    """A model that knows four sentences by heart."""

    labels = LABELS

    def predict(self, texts, sentences):
        return [[type("P", (), {"labels": KNOWN[text]})] for text in texts]


@pytest.mark.parametrize(
    ("kind", "case", "fails"),
    [
        ("minimum_functionality", {"text": "a", "expect": ["casualty"]}, False),
        ("minimum_functionality", {"text": "a", "expect": []}, True),
        ("invariance", {"text": "a", "variants": ["A"], "labels": list(LABELS)}, False),
        ("invariance", {"text": "a", "variants": ["b"], "labels": ["casualty"]}, True),
        ("invariance", {"text": "a", "variants": ["b"], "labels": ["eyewitness"]}, False),
        ("direction", {"text": "b", "changed": "b said police", "adds": ["official_statement"]}, False),
        ("direction", {"text": "b", "changed": "a", "adds": ["official_statement"]}, True),
        ("direction", {"text": "a", "changed": "b", "removes": ["casualty"]}, False),
    ],
)
def test_each_kind_judges_by_its_own_rule(kind, case, fails):
    (row,) = check_behaviour(Fixed(), [Family("f", kind, "", [case])])
    assert row["failed"] == len(row["failures"]) == fails


def test_a_family_that_got_worse_is_named():
    now, before = ({"family": "f", "cases": 9, "failed": k} for k in (3, 2))
    assert worse([now], {"f": 2}) == ["f: 3 of 9 cases fail, 2 were recorded"]
    assert worse([now], {"f": 2}, slack=1) == [] != worse([now], {"f": 1}, slack=1)
    assert worse([before], {"f": 3}) == worse([now], {}) == []


def test_the_command_writes_rates_and_fails_when_they_got_worse(models, tmp_path, capsys):
    command = ["check-behaviour", str(models / "tfidf"), "--cases", str(ROOT / "tests/behaviour")]
    assert main([*command, "--output", str(tmp_path / "b.json")]) == 0
    rows = json.loads((tmp_path / "b.json").read_text(encoding="utf-8"))
    assert len(rows) >= 30 and "cases fail" in capsys.readouterr().out
    assert main([*command, "--recorded", str(tmp_path / "b.json")]) == 0
    rows[0]["failed"] -= 1
    (tmp_path / "b.json").write_text(json.dumps(rows), encoding="utf-8")
    assert main([*command, "--recorded", str(tmp_path / "b.json")]) == 2
    assert rows[0]["family"] in capsys.readouterr().err


@pytest.mark.parametrize(
    "content",
    [
        "",
        "kind: x\nabout: y\ncases: [{text: a}]",
        "kind: invariance\nabout: y\ncases: [{text: a, expect: []}]",
        "kind: minimum_functionality\nabout: y\ncases: [{text: a, expect: [storm]}]",
        "kind: [",
        None,
    ],
)
def test_bad_files_are_one_clear_sentence(content, tmp_path):
    if content is not None:
        (tmp_path / "f.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(ClaimsError, match="expected"):
        read_families(tmp_path, LABELS)


def test_real_models_run_through_all_families(models, families):
    rows = check_behaviour(load(models / "tfidf"), families)
    assert sum(row["failed"] for row in rows) < sum(row["cases"] for row in rows)


@pytest.mark.parametrize("content", ["{", "{}", '[{"family": "f"}]'])
def test_broken_recorded_rates_are_one_clear_sentence(content, models, tmp_path, capsys):
    (tmp_path / "b.json").write_text(content, encoding="utf-8")
    command = ["check-behaviour", str(models / "tfidf"), "--cases", str(ROOT / "tests/behaviour")]
    assert main([*command, "--recorded", str(tmp_path / "b.json")]) == 2
    assert "b.json: expected rates that" in capsys.readouterr().err
