"""Figures cannot rot: what README shows is made from the metrics files beside it."""

import json
import re
import shlex

from conflict_claims.cli import _parser
from conflict_claims.report import BEGIN, END, read_metrics, results_table

from .conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_results_table_is_that_of_the_metrics_files():
    table = README.split(BEGIN)[1].split(END)[0].strip()
    assert table == results_table(read_metrics(sorted((ROOT / "experiments/results").glob("*.json"))))  # make results


def test_the_benchmark_is_that_of_its_file():
    begin, end = "<!-- benchmark: made by make bench-quality -->", "<!-- end of benchmark -->"
    made = (ROOT / "experiments/bench_quality.md").read_text(encoding="utf-8").removeprefix("# Benchmark\n\n")
    assert README.split(begin)[1].split(end)[0].strip() == made.strip()


def test_the_behaviour_figures_are_those_of_the_files():
    failed = {}
    for path in (ROOT / "experiments/behaviour").glob("*.json"):  # conflict-claims check-behaviour models/NAME --output
        rows = json.loads(path.read_text(encoding="utf-8"))
        failed[path.stem] = sum(row["failed"] for row in rows)
        cases = sum(row["cases"] for row in rows)
    said = f"`transformer` fails {failed['transformer']}, `mpnet` {failed['mpnet']}, `tfidf` {failed['tfidf']}"
    assert said in README and f"Of {cases} behaviour cases" in README


def test_every_command_of_the_readme_is_one_that_the_command_line_has():
    found = re.findall(r"^ *\$? ?(conflict-claims .*)$", README, re.MULTILINE)
    assert len(found) >= 5
    for line in found:
        _parser().parse_args(shlex.split(line, comments=True)[1:])


def test_every_verb_of_the_readme_is_in_the_makefile():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for verb in set(re.findall(r"`make ([a-z-]+)`", README)):
        assert re.search(rf"^{verb}:", makefile, re.MULTILINE), verb


def test_every_file_that_readme_links_to_exists():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
