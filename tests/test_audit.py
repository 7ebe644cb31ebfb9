"""The audit must find labels that were made wrong on purpose, and never judge by a model that saw the story."""

import json

from conflict_claims.audit import FOLDS, audit
from conflict_claims.config import TeacherConfig
from conflict_claims.corpus.records import read_corpus
from conflict_claims.corpus.split import folds_by_story

from .conftest import LABELS, corpus_rows, write_jsonl


def test_folds_are_disjoint_whole_and_keep_stories_together(tmp_path, config):
    write_jsonl(tmp_path / "a.jsonl", corpus_rows())
    sentences = read_corpus(tmp_path, LABELS)
    folds = folds_by_story(sentences, config.splits, FOLDS)
    assert sorted(k for fold in folds for k in fold) == list(range(len(sentences)))
    stories = [{sentences[k].story for k in fold} for fold in folds]
    assert all(not a & b for i, a in enumerate(stories) for b in stories[:i])
    assert max(map(len, folds)) < 1.2 * min(map(len, folds))


def test_planted_errors_are_doubted_and_finished_folds_are_not_trained_again(tmp_path, config):
    rows = corpus_rows()
    planted = {row["id"] for row in rows if row["labels"] == ["casualty"]}
    planted = set(sorted(planted)[:8])
    for row in rows:
        if row["id"] in planted:
            row["labels"] = ["eyewitness"]
    write_jsonl(tmp_path / "corpus/a.jsonl", rows)
    said = []
    arguments = (tmp_path / "corpus", tmp_path / "work", tmp_path / "flagged.jsonl", config, "tfidf")
    count = audit(*arguments, say=said.append)
    flagged = [json.loads(line) for line in (tmp_path / "flagged.jsonl").open(encoding="utf-8")]
    assert len(flagged) == count < len(rows) / 3
    found = {row["id"] for row in flagged if set(row["doubted"]) & {"casualty", "eyewitness"}} & planted
    assert len(found) >= 6
    before = (tmp_path / "flagged.jsonl").read_bytes()
    assert audit(*arguments, say=said.append) == count
    assert (tmp_path / "flagged.jsonl").read_bytes() == before
    assert sum(message.startswith("training") for message in said) == FOLDS


def test_folds_learn_from_labels_alone_for_a_teacher_may_know_them(tmp_path, config):
    teacher = TeacherConfig(probabilities="nowhere.json", unlabelled="nowhere", weight=0.5)
    sections = {k: getattr(config.train, k).model_copy(update={"teacher": teacher}) for k in ("tfidf", "transformer")}
    taught = config.model_copy(update={"train": config.train.model_copy(update=sections)})
    write_jsonl(tmp_path / "corpus/a.jsonl", corpus_rows())
    assert audit(tmp_path / "corpus", tmp_path / "work", tmp_path / "flagged.jsonl", taught, "tfidf") > 0


def test_a_trained_model_is_asked_only_about_stories_that_it_has_not_seen(tmp_path, config, models):
    write_jsonl(tmp_path / "corpus/a.jsonl", corpus_rows())
    arguments = (tmp_path / "corpus", tmp_path / "work", tmp_path / "flagged.jsonl", config)
    assert audit(*arguments, model=models / "tfidf") > 0
    seen = set(json.loads((models / "tfidf/claims.json").read_text(encoding="utf-8"))["training_stories"])
    story = {row["id"]: row["story"] for row in corpus_rows()}
    flagged = [json.loads(line)["id"] for line in (tmp_path / "flagged.jsonl").open(encoding="utf-8")]
    assert flagged and not {story[k] for k in flagged} & seen
