"""Behaviour tests in the manner of CheckList (Ribeiro et al. 2020): what a model must do, family by family."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from conflict_claims.errors import ClaimsError
from conflict_claims.runtime import ClaimModel

Given = dict[str, frozenset[str]]


@dataclass(frozen=True)
class Family:
    """Cases that test one thing."""

    name: str
    kind: str
    about: str
    cases: list[dict[str, Any]]


def read_families(folder: Path, labels: Sequence[str]) -> list[Family]:
    """Read every .yaml file of a folder.

    Raises:
        ClaimsError: no files, or a case that is not of its kind's form.
    """
    paths = sorted(folder.glob("*.yaml"))
    if not paths:
        raise ClaimsError(f"{folder}: expected a folder with .yaml files of behaviour cases, found none")
    return [_read(path, labels) for path in paths]


def _read(path: Path, labels: Sequence[str]) -> Family:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        family = Family(path.stem, values["kind"], values["about"], values["cases"])
        if family.kind not in KINDS or not family.cases:
            raise KeyError(f"kind must be one of {', '.join(KINDS)}, with cases")
    except (yaml.YAMLError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise ClaimsError(f"{path}: expected family, kind, about and cases ({' '.join(str(error).split())})") from None
    for number, case in enumerate(family.cases, 1):
        named = {label for key in ("expect", "labels", "adds", "removes") for label in case.get(key, ())}
        form = KINDS[family.kind][0]
        if not form <= set(case) or not named <= set(labels) or not all(isinstance(t, str) for t in _texts(case)):
            raise ClaimsError(f"{path}: case {number}: expected {', '.join(sorted(form))}, and labels of the label set")
    return family


def _texts(case: dict[str, Any]) -> list[str]:
    return [case["text"], *case.get("variants", ()), *([case["changed"]] if "changed" in case else [])]


def _minimum(case: dict[str, Any], given: Given) -> bool:
    return given[case["text"]] == frozenset(case["expect"])


def _invariance(case: dict[str, Any], given: Given) -> bool:
    compared = frozenset(case["labels"])
    return len({given[text] & compared for text in _texts(case)}) == 1


def _direction(case: dict[str, Any], given: Given) -> bool:
    before = given[case["text"]]
    expected = (before | frozenset(case.get("adds", ()))) - frozenset(case.get("removes", ()))
    return given[case["changed"]] == expected


KINDS: dict[str, tuple[set[str], Callable[[dict[str, Any], Given], bool]]] = {
    "minimum_functionality": ({"text", "expect"}, _minimum),
    "invariance": ({"text", "variants", "labels"}, _invariance),
    "direction": ({"text", "changed"}, _direction),
}


def check_behaviour(model: ClaimModel, families: Sequence[Family]) -> list[dict[str, Any]]:
    """Try every case.

    Returns:
        One row a family: `family, kind, cases, failed`, and under `failures` each failed case's text (the changed one
        of a direction) with the labels that the model gave.
    """
    texts = list(dict.fromkeys(text for family in families for case in family.cases for text in _texts(case)))
    found = model.predict(texts, sentences=True)
    given = {text: frozenset(rows[0].labels) for text, rows in zip(texts, found, strict=True)}
    return [_row(family, given) for family in families]


def _row(family: Family, given: Given) -> dict[str, Any]:
    failures = list(_failures(family, given))
    count = {"family": family.name, "kind": family.kind, "cases": len(family.cases), "failed": len(failures)}
    return count | {"failures": failures}


def _failures(family: Family, given: Given) -> Iterator[dict[str, Any]]:
    for case in family.cases:
        if not KINDS[family.kind][1](case, given):
            text = _texts(case)[-1]
            yield {"text": text, "given": sorted(given[text])}


def read_recorded(path: Path) -> dict[str, int]:
    """How many cases of each family failed, from what `check-behaviour --output` wrote."""
    try:
        failed = {row["family"]: int(row["failed"]) for row in json.loads(path.read_text(encoding="utf-8"))}
    except (OSError, ValueError, KeyError, TypeError):
        failed = {}
    if not failed:
        raise ClaimsError(f"{path}: expected rates that `conflict-claims check-behaviour --output` wrote")
    return failed


def worse(now: Sequence[dict[str, Any]], recorded: dict[str, int], slack: int = 0) -> list[str]:
    """The families in which more cases fail than were recorded, by more than `slack`, in words."""
    return [
        f"{row['family']}: {row['failed']} of {row['cases']} cases fail, {recorded[row['family']]} were recorded"
        for row in now
        if row["failed"] > recorded.get(row["family"], row["failed"]) + slack
    ]
