import json
import random

import pytest

from conflict_claims.cli import main
from conflict_claims.config import load_config
from conflict_claims.corpus.check import Located, check_corpus, overlap, read_located
from conflict_claims.corpus.real_news import hash_of, rebuild
from conflict_claims.corpus.records import Sentence
from conflict_claims.corpus.stats import decade_of, near_misses, region_of
from conflict_claims.errors import ClaimsError

from .conftest import LABELS, ROOT, write_jsonl

CONFIG = load_config(ROOT / "params.yaml").corpus
SHARED = ROOT.parent / "shared/real_news"


@pytest.fixture(scope="module")
def corpus():
    return read_located(ROOT / "data/corpus", LABELS)


@pytest.fixture(scope="module")
def some(corpus):
    """Enough to fail a gate: most of the first batch."""
    return corpus[:1200]


def changed(corpus, position=5, **values):
    """The corpus with one sentence changed."""
    item = corpus[position]
    sentence = Sentence(**{name: getattr(item.sentence, name) for name in item.sentence.__dataclass_fields__} | values)
    return [*corpus[:position], Located(sentence, item.place), *corpus[position + 1 :]]


def problems(corpus, **limits):
    return check_corpus(corpus, LABELS, CONFIG.model_copy(update=limits))


def test_the_corpus_passes_every_gate(corpus):
    assert problems(corpus) == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"id": "w1-01-01"}, "the id w1-01-01 stands already at"),
        ({"id": "elsewhere-01"}, "does not follow its story"),
        ({"genre": ""}, "lacks its genre or setting"),
        ({"text": "A hidden\u200b character."}, "invisible characters"),
        ({"text": "Caf\u00c3\u00a9 owners said so."}, "was decoded wrongly"),
        (
            {"annotations": ({"annotator": "x", "labels": []},)},
            "at least two annotations by different readers, found 1",
        ),
        ({"annotations": ({"annotator": "x", "labels": []},) * 2}, "by different readers"),
        ({"annotations": ("x",)}, "annotations must be objects"),
        (
            {"annotations": ({"annotator": "x", "labels": []}, {"annotator": "y", "labels": ["casualty"]})},
            "a third reading must settle it",
        ),
        (
            {
                "annotations": ({"annotator": "x", "labels": []}, {"annotator": "y", "labels": []}),
                "labels": ("casualty",),
            },
            "its labels are not those of its last reading",
        ),
        (
            {"annotations": ({"annotator": "x", "labels": ["war"]}, {"annotator": "y", "labels": ["war"]})},
            "the unknown label war",
        ),
        ({"text": " ".join(f"word{k}" for k in range(71))}, "has 71 words; at most 70"),
    ],
)
def test_one_bad_sentence_is_named_with_its_file_and_line(some, values, message):
    found = problems(changed(some, **values))
    assert any(p.startswith("data/corpus/batch1.jsonl:6: ".replace("data", str(ROOT / "data"))) for p in found)
    assert any(message in p for p in found)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"sentences": 10**6}, "expected at least 1000000 in"),
        ({"positives": {"eyewitness": 10**6}}, "eyewitness has"),
        ({"unlabelled": (0.9, 0.95)}, "have no label; expected 90% to 95%"),
        ({"pair": 10**6}, "casualty with eyewitness occurs"),
        ({"three_labels": 10**6}, "have three labels or more"),
        ({"genres": 10**6}, "genres; expected at least"),
        ({"first_genre": 0.01}, "; at most 1%: write other genres"),
        ({"alpha": 0.9999}, "alpha of eyewitness is"),
        ({"opening_share": 0.0001}, "sentences begin '"),
        ({"words": (20, 70)}, "sentences have fewer than 20 words"),
    ],
)
def test_every_limit_of_the_parameters_is_held(some, limits, message):
    assert any(message in p for p in problems(some, **limits))


def test_too_many_near_duplicates_are_each_named(some):
    read = tuple({"annotator": name, "labels": []} for name in "xy")
    twins = [
        Located(Sentence(f"t-01-{k:02d}", item.sentence.text + " again", (), "t-01", "g", "s", read), f"x:{k}")
        for k, item in enumerate(some[:30])
    ]
    assert sum("is a near-duplicate" in p for p in problems([*some, *twins])) == 30


def test_text_that_was_copied_is_found_whatever_its_case_and_format(corpus, tmp_path):
    copied = max(corpus, key=lambda item: len(item.sentence.text)).sentence
    (tmp_path / "other.json").write_text(
        json.dumps({"body": f"Before. {copied.text.upper()} After."}), encoding="utf-8"
    )
    found = list(overlap(corpus, [tmp_path]))
    assert len(found) == 1 and copied.id in found[0] and "write it anew" in found[0]
    words = copied.text.split()
    random.Random(0).shuffle(words)
    (tmp_path / "other.json").write_text(" ".join(words), encoding="utf-8")
    assert list(overlap(corpus, [tmp_path])) == []
    with pytest.raises(ClaimsError, match="no such file or folder"):
        list(overlap(corpus, [tmp_path / "none"]))


def test_nothing_of_the_corpus_is_taken_from_the_real_news(corpus):
    if not SHARED.is_dir():
        pytest.skip("the real news is not at ../shared/real_news")
    assert list(overlap(corpus, [SHARED])) == []


def test_the_command_ends_with_status_2_and_the_count(tmp_path, capsys):
    row = {"id": "a-01-01", "story": "a-01", "genre": "g", "setting": "s", "text": "x", "labels": []}
    write_jsonl(tmp_path / "a.jsonl", [row])
    assert main(["corpus", "check", "--corpus", str(tmp_path), "--params", str(ROOT / "params.yaml")]) == 2
    said = capsys.readouterr().err
    assert "a.jsonl:1: sentence a-01-01: expected at least two annotations" in said and "problems; see above" in said


# figures of the datasheet


@pytest.mark.parametrize(
    ("setting", "region", "decade"),
    [
        ("El Salvador, San Salvador, November 1989", "Americas", "1980s"),
        ("Iraq and Syria, 2016", "Middle East and North Africa", "2010s"),
        ("Papua New Guinea, Bougainville, 1992", "East and South-East Asia, Oceania", "1990s"),
        ("Guinea, Conakry", "Sub-Saharan Africa", "undated"),
        ("United Kingdom on Yemen, 2018", "Middle East and North Africa", "2010s"),
        ("Niger, Diffa", "Sub-Saharan Africa", "undated"),
        ("India and Pakistan, Line of Control", "South and Central Asia", "undated"),
    ],
)
def test_settings_are_put_into_region_and_decade(setting, region, decade):
    assert (region_of(setting), decade_of(setting)) == (region, decade)


def test_most_settings_have_a_region_and_near_misses_are_unlabelled(corpus):
    settings = {item.sentence.setting for item in corpus}
    lost = [s for s in settings if region_of(s).startswith("Elsewhere")]
    assert len(lost) < 0.08 * len(settings), lost
    sentences = [item.sentence for item in corpus]
    assert near_misses([s for s in sentences if s.labels]) == 0 < near_misses(sentences)


def test_the_datasheet_says_what_the_corpus_says():
    from conflict_claims.corpus.stats import corpus_stats

    sheet = (ROOT / "data/corpus/README.md").read_text(encoding="utf-8")
    assert corpus_stats(ROOT / "data/corpus", LABELS).strip() in sheet  # else: make corpus-stats


# stand-off labels


@pytest.fixture
def sources(tmp_path):
    """Publishers' files in their own formats, of our own text."""
    documents = {"_id": "D1", "text": "First.\nThe town\nfell. Last."}
    (tmp_path / "re3d/BBC Online").mkdir(parents=True)
    (tmp_path / "re3d/BBC Online/documents.json").write_text(json.dumps(documents) + "\n", encoding="utf-8")
    (tmp_path / "case2021_task2_test.tsv").write_text(
        'id\tEventSnippet\tSubType\n7\t"Gone" he said\tX\n', encoding="utf-8"
    )
    (tmp_path / "muc4_dev.json").write_text(json.dumps({"M1": {"doc": "A BOMB\nEXPLODED."}}), encoding="utf-8")
    (tmp_path / "muc4_test.json").write_text("{}", encoding="utf-8")
    return tmp_path


def annotation(source, document, start, end, text):
    values = {"id": text[:3], "source": source, "document": document, "start": start, "end": end}
    return values | {"labels": [], "stratum": "natural", "sha256": hash_of(text)}


def test_sentences_are_cut_out_of_the_publishers_files(sources):
    entries = [
        annotation("re3d", "BBC Online/D1", 7, 21, "The town fell."),
        annotation("case2021", "7", 0, 14, '"Gone" he said'),
        annotation("muc4", "M1", 0, 16, "A BOMB EXPLODED."),
    ]
    rows = rebuild(write_jsonl(sources / "a.jsonl", entries), sources)
    assert [row["text"] for row in rows] == ["The town fell.", '"Gone" he said', "A BOMB EXPLODED."]


def test_another_text_or_document_is_refused(sources):
    path = write_jsonl(sources / "a.jsonl", [annotation("muc4", "M1", 0, 16, "A BOMB DID NOT EXPLODE.")])
    with pytest.raises(ClaimsError, match=r"a.jsonl:1: the sentence at 0 of muc4 M1 is not the one that was labelled"):
        rebuild(path, sources)
    path = write_jsonl(sources / "a.jsonl", [annotation("muc4", "M2", 0, 16, "x")])
    with pytest.raises(ClaimsError, match="has no document 'M2' of muc4"):
        rebuild(path, sources)
    (sources / "muc4_test.json").unlink()
    with pytest.raises(ClaimsError, match=r"muc4_test.json is missing"):
        rebuild(path, sources)


def test_the_committed_annotations_hold_no_text_and_give_the_labelled_file():
    entries = [json.loads(line) for line in (ROOT / "data/real_news/annotations.jsonl").open(encoding="utf-8")]
    assert len(entries) == 770
    keys = {"id", "source", "document", "start", "end", "labels", "stratum", "sha256"}
    assert all(set(entry) == keys for entry in entries)
    if not SHARED.is_dir():
        pytest.skip("the publishers' files are not at ../shared/real_news/upstream")
    expected = [json.loads(line) for line in (SHARED / "sentences.jsonl").open(encoding="utf-8")]
    found = rebuild(ROOT / "data/real_news/annotations.jsonl", SHARED / "upstream")
    for row in expected:
        row["text"] = " ".join(row["text"].split())
    assert found == [{name: row[name] for name in found[0]} for row in expected]
