"""The report: the same bytes from the same files, nothing from outside, and what it says is what the files say."""

import hashlib
import html.parser
import json
import re
import shutil

import pytest
import yaml

from conflict_claims.blocks import blocks, marks
from conflict_claims.cli import main
from conflict_claims.errors import ClaimsError
from conflict_claims.evaluate import evaluate
from conflict_claims.model_folder import read_manifest, sha256
from conflict_claims.report import read_evidence, report
from conflict_claims.runtime import load

from .conftest import LABELS


@pytest.fixture(scope="module")
def files(models, splits, tmp_path_factory):
    """Metrics, evidence (two data sets, the second without text) and behaviour of one model."""
    folder = tmp_path_factory.mktemp("files")
    evaluate(models / "tfidf", splits / "test.jsonl", folder / "m.json", evidence=folder / "test.json")
    more = {"evidence": folder / "other.json", "texts": False, "name": "other <news>"}
    evaluate(models / "tfidf", splits / "validation.jsonl", folder / "n.json", **more)
    rows = [
        {"family": "a_family", "kind": "invariance", "cases": 4, "failed": 1, "failures": []},
        {"family": "b_family", "kind": "direction", "cases": 6, "failed": 3, "failures": []},
    ]
    (folder / "tfidf.json").write_text(json.dumps(rows), encoding="utf-8")
    return folder


def pages(files, into):
    evidence, behaviour = [files / "test.json", files / "other.json"], [files / "tfidf.json"]
    report([files / "m.json"], evidence=evidence, behaviour=behaviour, pages=into)
    return {path.name: path.read_bytes() for path in into.iterdir()}


@pytest.fixture(scope="module")
def made(files, tmp_path_factory):
    return pages(files, tmp_path_factory.mktemp("pages"))


def test_the_same_files_make_the_same_bytes(files, made, tmp_path):
    assert pages(files, tmp_path / "again") == made
    assert set(made) == {"tfidf.html", "tfidf.md", "tfidf.png"} and made["tfidf.png"].startswith(b"\x89PNG")


class Page(html.parser.HTMLParser):
    """Collects what a page asks for, and checks that every element is closed."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.addresses, self.tags = [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        values = dict(attributes)
        self.ids += [values["id"]] if "id" in values else []
        self.addresses += [v for k, v in attributes if k in ("src", "href", "xlink:href", "action", "data")]
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in ("meta",):
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_and_asks_for_nothing_outside(made):
    text = made["tfidf.html"].decode()
    page = Page()
    page.feed(text)
    assert page.open == [] and len(page.ids) == len(set(page.ids))
    assert all(a.startswith("#") and a[1:] in page.ids for a in page.addresses)
    assert "script" not in page.tags and page.tags.count("svg") == 5
    assert not re.search(r"url\((?!#)|@import|@font-face", text)
    assert not re.findall(r"#[0-9a-f]{6}(?=[;\"])", re.sub(r"<style>.*?</style>", "", text, flags=re.S))  # page colours
    assert "other &lt;news&gt;" in text and "<news>" not in text


def test_the_card_is_yaml_and_markdown_that_agree_with_the_evidence(files, made):
    _, head, body = made["tfidf.md"].decode().split("---\n", 2)
    values = yaml.safe_load(head)
    evidence = [json.loads((files / name).read_text(encoding="utf-8")) for name in ("test.json", "other.json")]
    results = values["model-index"][0]["results"]
    assert [r["dataset"]["name"] for r in results] == ["test.jsonl", "other <news>"]
    for result, of in zip(results, evidence, strict=True):
        assert result["metrics"][0]["value"] == pytest.approx(of["macro_f1"], abs=1e-4)
        for name in LABELS:
            low, high = of["intervals"]["labels"][name]["f1"]
            assert f"{of['labels'][name]['f1']:.3f} ({low:.2f}–{high:.2f})" in body
    for digest in evidence[0]["about"]["files"].values():
        assert digest in body
    assert "Of 10 cases written one by one, in 2 families, it fails 4 (40 %)" in body
    assert "an estimate and no measurement" in body and "never whether it is true" in body
    assert body.count("\n## ") == 10 and evidence[0]["errors"][0]["text"] in body


def test_tables_of_the_card_have_rows_of_one_width(made):
    width = None
    for line in made["tfidf.md"].decode().splitlines():
        if line.startswith("|"):
            cells = len(re.findall(r"(?<!\\)\|", line))
            assert width in (None, cells), line
            width = cells
        else:
            width = None


def test_blocks_are_filled_and_the_text_around_them_stays(files, tmp_path):
    evidence = [files / "test.json", files / "other.json"]
    page = tmp_path / "page.md"
    names = ("calibration", "coverage", "behaviour")
    page.write_text("".join(f"before\n{b}\nold\n{e}\nafter\n" for b, e in map(marks, names)), encoding="utf-8")
    report([files / "m.json"], insert=[page], evidence=evidence, behaviour=[files / "tfidf.json"])
    found = page.read_text(encoding="utf-8")
    made = blocks("", read_evidence(evidence), {"tfidf": json.loads((files / "tfidf.json").read_text())}, [])
    assert found == "".join(f"before\n{marks(n)[0]}\n{made[n]}\n{marks(n)[1]}\nafter\n" for n in names)
    assert "| **all** |  | 10 | 4 |" in found
    with pytest.raises(ClaimsError, match="expected a block between"):
        report([files / "m.json"], insert=[files / "m.json"])


def test_evidence_of_two_trainings_under_one_name_is_refused(files, tmp_path):
    other = json.loads((files / "other.json").read_text(encoding="utf-8"))
    other["about"]["files"]["model.skops"] = "0" * 64
    (tmp_path / "o.json").write_text(json.dumps(other), encoding="utf-8")
    with pytest.raises(ClaimsError, match=r"another training of tfidf"):
        read_evidence([files / "test.json", tmp_path / "o.json"])
    with pytest.raises(ClaimsError, match=r"m.json: expected what `conflict-claims evaluate --evidence` wrote"):
        read_evidence([files / "m.json"])


def test_the_card_is_installed_with_its_sha256_and_the_model_still_loads(files, models, tmp_path, capsys):
    folder = shutil.copytree(models / "tfidf", tmp_path / "tfidf")
    arguments = ["report", str(files / "m.json"), "--evidence", str(files / "test.json"), "--no-tracking"]
    arguments += ["--pages", str(tmp_path / "pages"), "--install", str(folder)]
    assert main(arguments) == 0
    assert (folder / "README.md").read_bytes() == (tmp_path / "pages/tfidf.md").read_bytes()
    manifest = read_manifest(folder)
    assert manifest.files == {n: sha256(folder / n) for n in manifest.files}
    assert load(folder).predict("Prices rose.") == load(models / "tfidf").predict("Prices rose.")
    assert not list(folder.glob(".*"))
    assert main(arguments) == 0  # the card itself is no part of what it speaks of
    other = shutil.copytree(models / "transformer", tmp_path / "other/tfidf")
    before = hashlib.sha256((other / "claims.json").read_bytes()).hexdigest()
    assert main([*arguments[:-1], str(other)]) == 2
    assert "is not the model that the evidence speaks of" in capsys.readouterr().err
    assert hashlib.sha256((other / "claims.json").read_bytes()).hexdigest() == before
