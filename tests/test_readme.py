"""Figures cannot rot: what README shows is made from the metrics files beside it."""

import fnmatch
import json
import re
import shlex
import subprocess

import yaml

from conflict_claims.blocks import blocks, marks
from conflict_claims.cli import _parser
from conflict_claims.report import read_evidence, read_metrics, report, results_table

from .conftest import ROOT

ELSEWHERE = {"<!-- growth: made by make bench-growth -->"}
"""Blocks that a test beside their benchmark compares (tests/test_benchmark.py)."""
MODELS = ("tfidf", "transformer", "mpnet")
README = (ROOT / "README.md").read_text(encoding="utf-8")


PAGES = {page: page.read_text(encoding="utf-8") for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))}
EXPERIMENTS = ROOT / "experiments"
BEHAVIOUR = {m: EXPERIMENTS / f"results/behaviour/{m}.json" for m in MODELS}
"""Made by: conflict-claims check-behaviour models/NAME --output FILE"""


def made():
    """Every block, from the files that `make report` reads."""
    evidence = [p for m in ("tfidf", "transformer", "mpnet") for p in (f"{m}-test.json", f"{m}-real-news.json")]
    behaviour = {m: json.loads(path.read_text()) for m, path in BEHAVIOUR.items()}
    compared = [json.loads((EXPERIMENTS / f"compare/{name}.json").read_text()) for name in ("test", "real-news")]
    table = results_table(read_metrics(sorted((EXPERIMENTS / "results").glob("*.json"))))
    found = blocks(table, read_evidence([EXPERIMENTS / "evidence" / name for name in evidence]), behaviour, compared)
    written = {  # whole files below a heading
        ("<!-- benchmark: made by make bench-quality -->", "<!-- end of benchmark -->"): "bench_quality.md",
        ("<!-- speed: made by make bench-predict -->", "<!-- end of speed -->"): "bench_predict.md",
        ("<!-- made by make bench-serve -->", "<!-- end of bench-serve -->"): "bench_serve.md",
        ("<!-- made by make faithfulness -->", "<!-- end of faithfulness -->"): "faithfulness.md",
    }
    texts = {pair: (EXPERIMENTS / name).read_text(encoding="utf-8").split("\n", 2)[2] for pair, name in written.items()}
    return {marks(name): text for name, text in found.items()} | texts


def test_every_block_of_every_page_is_what_its_files_say():
    """Else: make report (or make bench-quality)."""
    blocks_made, met = made(), set()
    for page, text in PAGES.items():
        begins = re.findall(r"^<!-- .*made by .*-->$", text, re.MULTILINE)
        for begin in set(begins) - ELSEWHERE:
            (pair,) = (pair for pair in blocks_made if pair[0] == begin)
            assert text.count(begin) == text.count(pair[1]) == 1, (page, begin)
            assert text.split(begin)[1].split(pair[1])[0].strip() == blocks_made[pair].strip(), (page, begin)
            met.add(pair)
    assert met == set(blocks_made)


def test_the_pages_are_made_from_no_file_that_the_pipeline_writes():
    """Else `make test` fails after `make run`, whose figures differ in the last digit from machine to machine."""
    command = subprocess.run(["make", "-n", "report"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    read = set(re.findall(r"experiments/\S+\.json", command))
    written = set()
    for name, stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].items():
        stage_outs = [o for key in ("outs", "metrics") for o in stage.get("do", stage).get(key, [])]
        paths = [next(iter(o)) if isinstance(o, dict) else o for o in stage_outs]
        items = stage.get("foreach", [name])
        written |= {path.replace("${item}", item) for path in paths for item in items}
    assert "experiments/evaluation/tfidf.json" in written and len(read) >= 10
    assert not [path for pattern in read for path in fnmatch.filter(written, pattern)]


def test_the_pages_of_the_report_are_what_their_files_say(tmp_path):
    evidence = [EXPERIMENTS / f"evidence/{m}-{name}.json" for m in MODELS for name in ("test", "real-news")]
    metrics, tried = sorted((EXPERIMENTS / "results").glob("*.json")), list(BEHAVIOUR.values())
    report(metrics, evidence=evidence, behaviour=tried, pages=tmp_path)
    for path in tmp_path.iterdir():
        if path.suffix != ".png":  # what pixels come of the same curves depends on the machine's font library
            assert path.read_bytes() == (EXPERIMENTS / "results" / path.name).read_bytes(), path.name


def test_no_text_of_real_news_is_in_the_experiments():
    for path in (EXPERIMENTS / "evidence").glob("*real-news*.json"):
        assert all(e["text"] is None and "words" not in e for e in json.loads(path.read_text())["errors"]), path


def test_the_aim_of_calibration_is_met_where_it_is_said_to_be():
    for model in ("tfidf", "transformer", "mpnet"):
        labels = json.loads((EXPERIMENTS / f"results/{model}-test.json").read_text())["labels"]
        assert all(values["ece"] <= 0.03 for values in labels.values()), model


def test_the_behaviour_figures_are_those_of_the_files():
    failed = {}
    for model, path in BEHAVIOUR.items():
        rows = json.loads(path.read_text(encoding="utf-8"))
        failed[model] = sum(row["failed"] for row in rows)
        cases = sum(row["cases"] for row in rows)
    said = f"`transformer` fails {failed['transformer']}, `mpnet` {failed['mpnet']}, `tfidf` {failed['tfidf']}"
    assert said in README and f"Of {cases} behaviour cases" in README


def test_every_command_of_readme_and_docs_is_one_that_the_command_line_has():
    found = [
        line for text in PAGES.values() for line in re.findall(r"^ *\$? ?(conflict-claims .*)$", text, re.MULTILINE)
    ]
    assert len(found) >= 10
    for line in found:
        _parser().parse_args(shlex.split(line, comments=True)[1:])


def test_every_verb_of_the_readme_is_in_the_makefile():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for verb in set(re.findall(r"`make ([a-z-]+)`", README)):
        assert re.search(rf"^{verb}:", makefile, re.MULTILINE), verb


def test_every_file_that_readme_and_docs_link_to_exists():
    for page, text in PAGES.items():
        for target in re.findall(r"\]\(([^)#]+)\)", text):
            assert target.startswith("https://") or (page.parent / target).exists(), (page, target)
