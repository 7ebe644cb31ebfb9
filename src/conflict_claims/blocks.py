"""Tables that stand between marks in README and docs, made from files of experiments and from nothing else."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from conflict_claims.errors import ClaimsError
from conflict_claims.markdown import insert_block, table
from conflict_claims.sections import Evidence, percent

COVERAGES = (0.5, 0.8, 0.9, 1.0)


def marks(name: str) -> tuple[str, str]:
    """What stands before and behind the block of a name."""
    return f"<!-- {name}: made by conflict-claims report -->", f"<!-- end of {name} -->"


def blocks(
    results: str,
    models: Mapping[str, Sequence[Evidence]],
    behaviour: Mapping[str, Sequence[Mapping[str, Any]]],
    compared: Sequence[Mapping[str, Any]],
) -> dict[str, str]:
    """Every block that can be made of what is given, as Markdown by its name."""
    made = {"results": results}
    if models:
        made |= {"calibration": _calibration(models), "coverage": _coverage(models)}
    if behaviour:
        made["behaviour"] = _behaviour(behaviour)
    if compared:
        made["compare"] = "\n\n".join(_compared(found) for found in compared)
    return made


def fill(page: Path, made: Mapping[str, str]) -> None:
    """Replace the blocks of a Markdown file that are given.

    Raises:
        ClaimsError: the file has none of them.
    """
    text = page.read_text(encoding="utf-8")
    names = [name for name in made if marks(name)[0] in text]
    if not names:
        raise ClaimsError(f"{page}: expected a block between {' and '.join(marks('results'))}, or of another name")
    for name in names:
        insert_block(page, made[name], *marks(name))


def _rows(models: Mapping[str, Sequence[Evidence]]) -> list[Evidence]:
    return [of for evidence in models.values() for of in evidence]


def _calibration(models: Mapping[str, Sequence[Evidence]]) -> str:
    labels = list(_rows(models)[0]["labels"])
    cells = [
        (of["model"], of["data"], *(f"{v['ece']:.3f} ({v['ece_by_chance']:.3f})" for v in of["labels"].values()))
        for of in _rows(models)
    ]
    return table(("ECE (by chance)", "data", *labels), cells, numbers=True)


def _coverage(models: Mapping[str, Sequence[Evidence]]) -> str:
    cells = []
    for of in _rows(models):
        points = {p["coverage"]: p for p in of["risk_coverage"]["any label"]}
        cells.append((of["model"], of["data"], *(percent(points[c]["risk"], points[c]["interval"]) for c in COVERAGES)))
    head = ("sentences with an error, of 100", "data", *(f"surest {100 * c:.0f} %" for c in COVERAGES[:-1]), "all")
    return table(head, cells, numbers=True)


def _behaviour(tried: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    by_family = {name: {row["family"]: row for row in rows} for name, rows in tried.items()}
    families = sorted({family for rows in by_family.values() for family in rows})
    cells = []
    for family in families:
        rows = [rows[family] for rows in by_family.values() if family in rows]
        failed = (str(found[family]["failed"]) if family in found else "–" for found in by_family.values())
        cells.append((family.replace("_", " "), rows[0]["kind"].replace("_", " "), str(rows[0]["cases"]), *failed))
    sums = (str(sum(row["failed"] for row in rows.values())) for rows in by_family.values())
    cells.append(("**all**", "", str(sum(int(row[2]) for row in cells)), *sums))
    return table(("family", "kind", "cases", *(f"{name} fails" for name in by_family)), cells, numbers=True)


def _compared(found: Mapping[str, Any]) -> str:
    first, second = found["models"]
    rows = [("macro-F1", "macro_f1"), ("micro-F1", "micro_f1"), ("mAP", "mean_average_precision")]
    cells = [(name, *_difference(found["metrics"][key]), "", "") for name, key in rows]
    for label, test in found["mcnemar"].items():
        p = "< 0.0001" if test["p"] < 0.0001 else f"{test['p']:.4f}"
        one = f"{test['only_first']} / {test['only_second']}"
        cells.append((f"`{label}`: F1", *_difference(found["metrics"][f"labels.{label}.f1"]), one, p))
    head = (found["data"], first, second, "difference (95 %)", f"only {first} / {second} right", "p")
    return (
        table(head, cells, numbers=True)
        + f"\n\nOf {found['n']:,} sentences {found['differing']:,} are labelled differently."
    )


def _difference(row: Mapping[str, Any]) -> tuple[str, str, str]:
    low, high = row["interval"]
    return f"{row['first']:.3f}", f"{row['second']:.3f}", f"{row['difference']:+.3f} ({low:+.3f} to {high:+.3f})"
