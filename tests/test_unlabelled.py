"""Unlabelled sentences must be whole, new, and no twins of what is tested on."""

import pytest

from conflict_claims.cli import main
from conflict_claims.corpus.check import read_located
from conflict_claims.corpus.unlabelled import check_unlabelled, read_unlabelled
from conflict_claims.errors import ClaimsError

from .conftest import LABELS, corpus_rows, write_jsonl


@pytest.fixture
def corpus(tmp_path):
    write_jsonl(tmp_path / "corpus/a.jsonl", corpus_rows())
    return read_located(tmp_path / "corpus", LABELS)


def problems(tmp_path, corpus, texts, against=()):
    write_jsonl(tmp_path / "more/a.jsonl", [{"text": text} for text in texts])
    return list(check_unlabelled(read_unlabelled(tmp_path / "more"), corpus, 0.5, against))


def test_new_sentences_pass(tmp_path, corpus):
    assert problems(tmp_path, corpus, [row["text"] for row in corpus_rows(("batch4.jsonl",))[:50]]) == []


def test_a_twin_of_a_corpus_sentence_is_named_with_both_places(tmp_path, corpus):
    long = max(corpus, key=lambda item: len(item.sentence.text))
    (found,) = problems(tmp_path, corpus, ["Prices rose.", f"Again {long.sentence.text}"])
    assert "a.jsonl:2" in found and long.sentence.id in found and "near-duplicate" in found


def test_copied_text_and_broken_characters_are_found(tmp_path, corpus):
    other = tmp_path / "other.txt"
    other.write_text(
        "It is said that one two three four five six seven eight nine ten eleven twelve.", encoding="utf-8"
    )
    copied = "They counted one two three four five six seven eight nine ten eleven twelve."
    found = problems(tmp_path, corpus, [copied, "Soft\u00adhyphen here."], [other])
    assert any("invisible" in line for line in found) and any("shares" in line for line in found) and len(found) == 2


@pytest.mark.parametrize("rows", [[], [{"text": ""}], [{"words": "None."}]])
def test_bad_rows_are_one_clear_sentence(rows, tmp_path):
    if rows:
        write_jsonl(tmp_path / "more/a.jsonl", rows)
    with pytest.raises(ClaimsError, match=r"expected|a.jsonl:1: the text is empty"):
        read_unlabelled(tmp_path / "more")


def test_the_command_checks_them_too(tmp_path, corpus, params_file, capsys):
    write_jsonl(tmp_path / "more/a.jsonl", [{"text": corpus[0].sentence.text}])
    command = ["corpus", "check", "--corpus", str(tmp_path / "corpus"), "--params", str(params_file)]
    assert main([*command, "--unlabelled", str(tmp_path / "more")]) == 2
    assert "near-duplicate" in capsys.readouterr().err
