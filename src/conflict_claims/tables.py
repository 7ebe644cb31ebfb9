"""What commands print: figures as tables."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table


def number(value: float | None) -> str:
    """Three decimals; a dash where there is none."""
    return "–" if value is None else f"{value:.3f}"


def span(interval: Sequence[float] | None, digits: int = 3) -> str:
    """An interval in words."""
    return "–" if interval is None else f"{interval[0]:.{digits}f} to {interval[1]:.{digits}f}"


COLUMNS = ("precision", "recall", "f1", "average_precision", "ece", "brier")
WORDS = {
    "macro_f1": "macro-F1",
    "micro_f1": "micro-F1",
    "exact_match": "no error",
    "mean_average_precision": "mAP",
    "ece": "ECE",
    "brier": "Brier",
    "risk_coverage_area": "risk area",
}


def metrics_table(figures: dict[str, Any]) -> Table:
    """What `evaluate` found: a column for each label, each figure above its 95 % interval."""
    intervals, labels = figures["intervals"], figures["labels"]
    title = f"{figures['model']} on {figures['data']}: {figures['n']:,} sentences of {figures['stories']:,} stories"
    caption = "; ".join(f"{word} {number(figures[key])} ({span(intervals[key])})" for key, word in WORDS.items())
    caption += (
        f". Thresholds for {figures['objective']}. Below each figure its 95 % interval, bootstrap over stories; "
        "docs/evaluate.md says what each one means."
    )
    table = Table("", *(name.replace("_", "\n") for name in labels), title=title, caption=caption)
    for column in COLUMNS:
        cells = (f"{number(labels[name][column])}\n{span(intervals['labels'][name][column], 2)}" for name in labels)
        table.add_row(column.replace("_", " "), *cells)
    table.add_row("ece by chance", *(number(values["ece_by_chance"]) for values in labels.values()))
    table.add_row("threshold", *(number(values["threshold"]) for values in labels.values()))
    table.add_row("support", *(f"{values['support']:,}" for values in labels.values()))
    return table


def compare_table(found: dict[str, Any]) -> Table:
    """What `compare` found: a row for each metric, and for each label's F1 with McNemar's test of its decisions."""
    first, second = found["models"]
    title = f"{second} less {first} on {found['data']}: {found['n']:,} sentences of {found['stories']:,} stories"
    caption = (
        f"{found['differing']:,} sentences are labelled differently. Intervals: 95 %, paired bootstrap over stories; "
        f"higher: in so many resamples {second} has the higher figure. One right: decisions that only {first} / only "
        f"{second} has right, and McNemar's mid-p value, which takes sentences for independent, as those of one story "
        "are not: where the two disagree, believe the interval."
    )
    table = Table("", first, second, "difference", "higher", "one right", title=title, caption=caption)
    for name, word in WORDS.items():
        table.add_row(word, *_difference(found["metrics"][name]))
    for label, test in found["mcnemar"].items():
        p = "< 0.0001" if test["p"] < 0.0001 else f"{test['p']:.4f}"
        row = _difference(found["metrics"][f"labels.{label}.f1"])
        table.add_row(f"{label}: F1".replace("_", "\n"), *row, f"{test['only_first']} / {test['only_second']}\n{p}")
    return table


def _difference(row: dict[str, Any]) -> list[str]:
    change = "–" if row["difference"] is None else f"{row['difference']:+.3f}"
    bounds = "–" if row["interval"] is None else f"{row['interval'][0]:+.3f} to {row['interval'][1]:+.3f}"
    return [number(row["first"]), number(row["second"]), f"{change}\n{bounds}", f"{row['second_higher']:.0%}"]


def drift_table(found: dict[str, Any]) -> Table:
    """What `drift` found: a row for each measure, a mark where the change counts."""
    n, documents = found["sentences"], found["documents"]
    title = (
        f"{n['new']:,} new sentences of {documents['new']:,} documents against {n['reference']:,} of "
        f"{documents['reference']:,}"
    )
    caption = "Intervals: 95 %, bootstrap over documents. *: more than chance, and enough to matter."
    table = Table("", "reference", "new", "difference (95 %)", "", title=title, caption=caption)
    rows = {f"label_rates.{name}": (f"share with {name}", row) for name, row in found.get("label_rates", {}).items()}
    if "doubt" in found:
        rows["doubt"] = ("decisions in 100 that the model doubts", found["doubt"])
    rows["words"] = ("words a sentence", found["words"])
    for key, (word, row) in rows.items():
        change = f"{row['difference']:+.3f}"
        if row["interval"] is not None:
            change += f"\n{row['interval'][0]:+.3f} to {row['interval'][1]:+.3f}"
        table.add_row(word, number(row["reference"]), number(row["new"]), change, "*" * (key in found["flags"]))
    unknown = found["unknown_words"]
    cells = (number(unknown["reference"]), number(unknown["new"]), f"{unknown['new'] - unknown['reference']:+.3f}")
    table.add_row("share of words not in the reference", *cells, "*" * ("unknown_words" in found["flags"]))
    table.add_row("AUC of words", "0.500", number(found["auc"]), "", "*" * ("auc" in found["flags"]))
    return table
