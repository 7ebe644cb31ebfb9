import json
import random
from pathlib import Path

import numpy as np
import pytest

from conflict_claims.config import SplitsConfig
from conflict_claims.corpus.agreement import alpha
from conflict_claims.corpus.duplicates import near_duplicates, shingles
from conflict_claims.corpus.records import Sentence, fingerprint, read_corpus, read_sentences, write_sentences
from conflict_claims.corpus.split import check_splits, read_splits, split_by_story, write_splits
from conflict_claims.errors import ClaimsError
from conflict_claims.labels import to_indicator

from .conftest import LABELS, ROOT, write_jsonl

CONFIG = SplitsConfig(seed=3, validation=0.15, test=0.15, near_duplicate=0.5)


@pytest.fixture(scope="module")
def whole():
    return read_corpus(ROOT / "data/corpus", LABELS)


@pytest.fixture(scope="module")
def corpus(whole):
    """An eighth of the stories: enough to split."""
    chosen = set(sorted({s.story for s in whole})[::8])
    return [s for s in whole if s.story in chosen]


# reading


def test_the_corpus_survives_writing_and_reading(corpus, tmp_path):
    write_sentences(corpus[:200], tmp_path / "some.jsonl")
    assert read_sentences(tmp_path / "some.jsonl", LABELS) == corpus[:200]


def test_the_three_ways_to_write_labels_mean_the_same(tmp_path):
    (tmp_path / "list.jsonl").write_text('{"text": "x", "labels": ["eyewitness", "casualty"]}\n', encoding="utf-8")
    (tmp_path / "names.csv").write_text("text,labels\nx,eyewitness;casualty\n", encoding="utf-8")
    (tmp_path / "columns.csv").write_text(f"text,{','.join(LABELS)}\nx,1,0,0,1\n", encoding="utf-8")
    for name in ("list.jsonl", "names.csv", "columns.csv"):
        assert read_sentences(tmp_path / name, LABELS)[0].labels == ("casualty", "eyewitness")


def test_zero_is_a_name_like_any_other(tmp_path):
    rows = [{"id": k, "story": k // 2, "text": "x", "labels": []} for k in range(4)]
    found = read_sentences(write_jsonl(tmp_path / "a.jsonl", rows), LABELS)
    assert [(s.id, s.story) for s in found] == [("0", "0"), ("1", "0"), ("2", "1"), ("3", "1")]
    mixed = [{"text": "x", "labels": []}, {"id": "1", "text": "x", "labels": []}]
    assert len(read_sentences(write_jsonl(tmp_path / "b.jsonl", mixed), LABELS)) == 2


def test_a_byte_order_mark_and_quoted_line_breaks_are_read(tmp_path):
    path = tmp_path / "excel.csv"
    path.write_bytes(b'\xef\xbb\xbftext,labels\r\n"two\r\nlines",casualty\r\n')
    assert read_sentences(path, LABELS)[0].text == "two\r\nlines"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"text": "x", "labels": []}\n{"text": \n', r"a.jsonl:2: broken JSON"),
        ("a.jsonl", b'{"text": "x", "labels": []}\n[1]\n', r"a.jsonl:2: expected a JSON object, found list"),
        ("a.jsonl", b'{"text": "x", "labels": ["casualtie"]}\n', r"a.jsonl:1: unknown label 'casualtie'; expected cas"),
        ("a.jsonl", b'{"text": "x"}\n', r"a.jsonl:1: expected a column 'labels'"),
        (
            "a.jsonl",
            b'{"sentence": "x", "labels": []}\n',
            r"a.jsonl:1: expected a column 'text', found sentence, labels",
        ),
        ("a.jsonl", b'{"text": "  ", "labels": []}\n', r"a.jsonl:1: the text is empty"),
        ("a.jsonl", b'{"text": 7, "labels": []}\n', r"a.jsonl:1: expected the text as a string, found int"),
        ("a.jsonl", b'{"text": "caf\xe9", "labels": []}\n', r"a.jsonl:1: expected UTF-8, found byte 0xe9"),
        ("a.jsonl", b'{"text":"x","labels":[],"id":"1"}\n' * 2, r"a.jsonl:2: the id '1' stands already in line 1"),
        ("a.jsonl", b"", r"found an empty file"),
        ("a.csv", b"text,labels\nx,casualty,oops\n", r"a.csv:2: expected 2 columns, found 3"),
        ("a.csv", b"text,casualty\nx,1\n", r"territorial_control, official_statement, eyewitness is missing"),
        ("a.csv", b"text,casualty,territorial_control,official_statement,eyewitness\nx,1,0,2,0\n", r"found '2'"),
        ("a.xlsx", b"", r"expected a name ending in .jsonl, .csv or .tsv, found .xlsx"),
    ],
)
def test_bad_input_is_said_with_file_and_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ClaimsError, match=message):
        read_sentences(tmp_path / name, LABELS)


def test_a_text_of_a_million_characters_is_refused(tmp_path):
    path = write_jsonl(tmp_path / "long.jsonl", [{"text": "a" * 1_000_000, "labels": []}])
    with pytest.raises(ClaimsError, match=r"long.jsonl:1: the text has 1,000,000 characters.*split articles"):
        read_sentences(path, LABELS)


def test_the_fingerprint_follows_content_and_not_order(corpus):
    some = corpus[:50]
    assert fingerprint(some) == fingerprint(random.Random(1).sample(some, 50))
    assert fingerprint(some) != fingerprint(some[1:])


# near-duplicates


def test_near_duplicates_are_those_of_brute_force_but_for_a_few_at_the_threshold(corpus):
    rng = random.Random(0)
    texts = [s.text for s in rng.sample(corpus, 150)]
    for text in rng.sample(texts, 40):  # make near-duplicates: drop or change a few words
        words = text.split()
        for _ in range(rng.randint(1, 3)):
            words[rng.randrange(len(words))] = "other"
        texts.append(" ".join(words))
    grams = [shingles(t) for t in texts]
    similarity = {
        (i, j): len(grams[i] & grams[j]) / len(grams[i] | grams[j]) for j in range(len(texts)) for i in range(j)
    }
    expected = {pair for pair, value in similarity.items() if value >= 0.5}
    assert len(expected) > 20
    found = {(i, j) for i, j, _ in near_duplicates(texts, 0.5)}
    assert found <= expected
    assert not {pair for pair in expected - found if similarity[pair] >= 0.55}
    assert len(expected - found) <= 1


# agreement


def test_alpha_is_one_when_readers_agree_and_falls_when_they_do_not(corpus):
    both = [
        Sentence(
            s.id, s.text, s.labels, s.story, annotations=tuple({"annotator": a, "labels": list(s.labels)} for a in "xy")
        )
        for s in corpus[:300]
    ]
    assert all(value == 1 for value in alpha(both, LABELS).values())
    rng = random.Random(0)
    noise = [
        Sentence(
            s.id,
            s.text,
            s.labels,
            s.story,
            annotations=(s.annotations[0], {"annotator": "y", "labels": [x for x in LABELS if rng.random() < 0.3]}),
        )
        for s in corpus[:300]
    ]
    assert all(abs(value) < 0.2 for value in alpha(noise, LABELS).values())


def test_every_sentence_of_the_corpus_was_read_twice_and_differences_settled(whole):
    for s in whole:
        first, second, *later = [set(a["labels"]) for a in s.annotations]
        assert s.annotations[0]["annotator"] != s.annotations[1]["annotator"]
        assert first == second or later, s.id  # a third reading, and after it perhaps that of the label audit
        assert set(s.labels) == (later or [first])[-1], s.id


# splits


def test_whole_stories_are_dealt_out_once_and_every_label_keeps_its_share(corpus):
    splits = split_by_story(corpus, LABELS, CONFIG)
    assert sorted(s.id for part in splits.values() for s in part) == sorted(s.id for s in corpus)
    stories = [{s.story for s in part} for part in splits.values()]
    assert not (stories[0] & stories[1] or stories[0] & stories[2] or stories[1] & stories[2])
    overall = to_indicator((s.labels for s in corpus), LABELS).mean(axis=0)
    for part in splits.values():
        share = to_indicator((s.labels for s in part), LABELS).mean(axis=0)
        assert np.all(np.abs(share - overall) < 0.25 * overall + 0.02)


def test_the_same_seed_gives_the_same_splits_and_another_one_does_not(corpus):
    first = split_by_story(corpus, LABELS, CONFIG)
    assert split_by_story(corpus, LABELS, CONFIG) == first
    assert split_by_story(corpus, LABELS, CONFIG.model_copy(update={"seed": 4})) != first


def test_stories_that_share_a_near_duplicate_stay_together(corpus):
    copies = [
        Sentence(f"copy-{k}", s.text + " too", s.labels, f"copy-of-{s.story}") for k, s in enumerate(corpus[:600:12])
    ]
    home = {s.story: name for name, part in split_by_story([*corpus, *copies], LABELS, CONFIG).items() for s in part}
    assert all(home[s.story] == home[s.story.removeprefix("copy-of-")] for s in copies)


def test_leaks_fail_loudly(corpus):
    splits = split_by_story(corpus, LABELS, CONFIG)
    leaked = splits["train"][0]
    with pytest.raises(ClaimsError, match=f"the story '{leaked.story}' lies in train and in test"):
        check_splits(splits | {"test": [*splits["test"], leaked]}, LABELS, 0.5)
    twin = Sentence("twin", leaked.text, leaked.labels, "another story")
    with pytest.raises(ClaimsError, match=r"twin in test are near-duplicates \(1.00\)"):
        check_splits(splits | {"test": [*splits["test"], twin]}, LABELS, 0.5)


def test_a_label_without_positives_is_named(corpus, tmp_path):
    rare = [s for s in corpus if "eyewitness" not in s.labels]
    with pytest.raises(ClaimsError, match="no positive example of 'eyewitness'"):
        split_by_story(rare, LABELS, CONFIG)
    for name, part in split_by_story(corpus, LABELS, CONFIG).items():
        write_sentences(
            [s for s in part if name != "validation" or "casualty" not in s.labels], tmp_path / f"{name}.jsonl"
        )
    with pytest.raises(ClaimsError, match=r"validation.jsonl has no positive example of 'casualty'"):
        read_splits(tmp_path, LABELS)


def test_splits_that_share_a_story_are_not_trained_on(corpus, tmp_path):
    splits = split_by_story(corpus, LABELS, CONFIG)
    leaked = splits["train"][0]
    other = Sentence("other", "Some other text of it.", (), leaked.story)
    write_splits(splits | {"validation": [*splits["validation"], other]}, tmp_path)
    with pytest.raises(ClaimsError, match=f"the story '{leaked.story}' lies in train and in validation"):
        read_splits(tmp_path, LABELS)


def test_too_few_stories_are_refused(corpus):
    with pytest.raises(ClaimsError, match="at least 6 stories"):
        split_by_story([s for s in corpus if s.story == corpus[0].story], LABELS, CONFIG)


def test_the_corpus_loads_with_the_datasets_library(tmp_path):
    from datasets import load_dataset

    files = sorted(str(p) for p in (ROOT / "data/corpus").glob("*.jsonl"))
    loaded = load_dataset("json", data_files=files, split="train", cache_dir=str(tmp_path))
    lines = [line for file in files for line in Path(file).read_text(encoding="utf-8").splitlines()]
    assert len(loaded) == len(lines)
    first = json.loads(lines[0])
    assert loaded[0]["text"] == first["text"] and loaded[0]["labels"] == first["labels"]
