"""How far texts are from others: nothing between two halves of one source, much between unlike ones."""

import random

import pytest

from conflict_claims.cli import main
from conflict_claims.corpus.realism import auc, describe, distinct_trigrams, giveaways, shape_auc, variety

from .conftest import corpus_rows, write_jsonl


@pytest.fixture(scope="module")
def halves():
    texts = [row["text"] for row in corpus_rows(("batch3.jsonl",))]
    random.Random(0).shuffle(texts)
    return texts[:300], texts[300:600]


def test_two_halves_of_one_source_cannot_be_told_apart_and_unlike_ones_can(halves):
    ours, real = halves
    assert abs(auc(ours, real) - 0.5) < 0.08 and abs(shape_auc(ours, real) - 0.5) < 0.08
    assert auc([f"{text} Selah, forsooth and verily." for text in ours], real) > 0.95
    assert shape_auc([text.upper() for text in ours], real) > 0.95


def test_the_giveaways_name_what_was_added_and_what_was_taken_away(halves):
    ours, real = halves
    rare, common = giveaways([f"{text} Selah." for text in ours], [f"{text} Forsooth." for text in real])
    assert common[0].startswith("selah 0/1000") and rare[0].startswith("forsooth 1000/0")


def test_repetition_lowers_the_share_of_distinct_trigrams(halves):
    ours, real = halves
    assert distinct_trigrams(ours, 2000, seed=0) > distinct_trigrams(ours[:20] * 50, 2000, seed=0)
    same = distinct_trigrams(["a b c d"], 4, seed=0), distinct_trigrams(["a b a b a b"], 6, seed=0)
    assert same == (1.0, 0.5)
    varied, dull = variety(ours, real[:20] * 15)
    assert varied > dull


def test_the_gate_of_variety_fails_on_a_monotonous_corpus(tmp_path, params_file, capsys):
    rows = corpus_rows()
    for k, row in enumerate(rows):
        row["text"] = f"{rows[k % 5]['text']} {k}"
    write_jsonl(tmp_path / "corpus/batch.jsonl", rows)
    real = write_jsonl(tmp_path / "real.jsonl", [{"text": row["text"]} for row in corpus_rows()])
    command = ["corpus", "check", "--corpus", str(tmp_path / "corpus"), "--params", str(params_file)]
    assert main([*command, "--real", str(real)]) == 2
    assert "of the word 3-grams are distinct" in capsys.readouterr().err


def test_the_command_writes_figures_and_words(tmp_path, params_file, capsys):
    real = write_jsonl(tmp_path / "real.jsonl", [{"text": row["text"]} for row in corpus_rows()[:150]])
    write_jsonl(tmp_path / "corpus/a.jsonl", corpus_rows()[150:400])
    command = ["corpus", "realism", "--corpus", str(tmp_path / "corpus"), "--real", str(real)]
    assert main([*command, "--params", str(params_file), "--output", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out/realism.md").read_text(encoding="utf-8") == capsys.readouterr().out
    assert (tmp_path / "out/realism.json").exists()
    assert main([*command[:3], str(tmp_path / "empty"), *command[4:], "--params", str(params_file)]) == 2


def test_figures_are_the_same_each_time(halves):
    ours, real = halves
    assert describe({"a": ours[:150]}, real[:150]) == describe({"a": ours[:150]}, real[:150])


@pytest.mark.parametrize("command", ["check", "realism"])
def test_published_sentences_without_text_are_one_clear_sentence(command, tmp_path, params_file, capsys):
    write_jsonl(tmp_path / "corpus/a.jsonl", corpus_rows())
    real = write_jsonl(tmp_path / "real.jsonl", [{"words": "none"}])
    arguments = ["--corpus", str(tmp_path / "corpus"), "--real", str(real), "--params", str(params_file)]
    assert main(["corpus", command, *arguments]) == 2
    assert "real.jsonl:1: expected a column 'text'" in capsys.readouterr().err
