import json

from conflict_claims import curve
from conflict_claims.corpus.records import read_sentences
from conflict_claims.curve import learning_curve, sample_stories
from conflict_claims.plots import lines

from .conftest import LABELS


def test_samples_are_whole_stories_and_grow(splits):
    train = read_sentences(splits / "train.jsonl", LABELS)
    small, large = (sample_stories(train, size, seed=1) for size in (100, 300))
    assert 100 <= len(small) < 120 and 300 <= len(large) < 320
    assert {s.story for s in small} < {s.story for s in large}
    assert all(s in small for s in train if s.story in {x.story for x in small})
    assert len(sample_stories(train, 10**6, seed=1)) == len(train)
    assert {s.story for s in small} != {s.story for s in sample_stories(train, 100, seed=2)}


def test_a_curve_goes_on_where_it_was_stopped(splits, config, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(curve, "lines", lambda curves, *rest: drawn.append(curves) or lines(curves, *rest))
    output = tmp_path / "new/curve.json"
    said = []
    arguments = (splits, output, config, [splits / "validation.jsonl"])
    learning_curve(*arguments, sizes=[300], seeds=1, say=said.append)
    assert len(said) == 2 and output.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    rows = json.loads(output.read_text(encoding="utf-8"))
    assert {row["kind"] for row in rows} == {"tfidf", "transformer"}
    assert all(0 <= row[name] <= 1 for row in rows for name in ("test.jsonl", "validation.jsonl"))
    learning_curve(*arguments, sizes=[300, 10**6], seeds=1, say=said.append)
    assert len(said) == 4
    assert json.loads(output.read_text(encoding="utf-8"))[:2] == rows
    whole = len(read_sentences(splits / "train.jsonl", LABELS))
    assert all(list(points) == [300, whole] for points in drawn[-1].values())  # each at the size that was asked for
