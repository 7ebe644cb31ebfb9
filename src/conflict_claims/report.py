"""The results table, made from metrics files and from nothing else."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from conflict_claims.errors import ClaimsError

BEGIN, END = "<!-- results: made by conflict-claims report -->", "<!-- end of results -->"


def read_metrics(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Read what `evaluate --output` wrote.

    Raises:
        ClaimsError: a file is missing or holds no metrics.
    """
    metrics = []
    for path in paths:
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            for key in ("model", "data", "n", "macro_f1", "micro_f1", "mean_average_precision", "intervals", "labels"):
                values[key]
            metrics.append(values)
        except (OSError, ValueError, KeyError, TypeError):
            raise ClaimsError(f"{path}: expected metrics that `conflict-claims evaluate --output` wrote") from None
    return metrics


def results_table(metrics: Sequence[dict[str, Any]]) -> str:
    """A Markdown table, one row for each model and data set: macro-F1 with its 95 % interval, and each label's F1."""
    labels = list(metrics[0]["labels"]) if metrics else []
    head = [
        "data",
        "sentences",
        "model",
        "macro-F1 (95 %)",
        "micro-F1",
        "mAP",
        *(f"{name}: F1 (precision/recall %)" for name in labels),
    ]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for m in sorted(metrics, key=lambda m: (m["data"], m["macro_f1"])):
        low, high = m["intervals"]["macro_f1"]
        precision = "–" if m["mean_average_precision"] is None else f"{m['mean_average_precision']:.3f}"
        cells = [m["data"], f"{m['n']:,}", m["model"], f"{m['macro_f1']:.3f} ({low:.2f} to {high:.2f})"]
        cells += [f"{m['micro_f1']:.3f}", precision]
        cells += [_label_cell(m["labels"][name]) if name in m["labels"] else "–" for name in labels]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _label_cell(figures: dict[str, Any]) -> str:
    shares = ("–" if figures[k] is None else f"{100 * figures[k]:.0f}" for k in ("precision", "recall"))
    return f"{figures['f1']:.3f} ({'/'.join(shares)})"


def report(paths: Sequence[Path], output: Path | None = None, insert: Path | None = None) -> str:
    """Make the results table from metrics files.

    Args:
        paths: metrics files.
        output: a Markdown file to write.
        insert: a Markdown file whose marked block is replaced by the table.

    Returns:
        The table.
    """
    table = results_table(read_metrics(paths))
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(f"# Results\n\n{table}\n", encoding="utf-8")
    if insert is not None:
        insert_block(insert, table, BEGIN, END)
    return table


def insert_block(page: Path, text: str, begin: str, end: str) -> None:
    """Replace what stands between two marks of a Markdown file.

    Raises:
        ClaimsError: the marks do not occur once each.
    """
    whole = page.read_text(encoding="utf-8")
    if whole.count(begin) != 1 or whole.count(end) != 1:
        raise ClaimsError(f"{page}: expected one block between {begin} and {end}")
    before, rest = whole.split(begin)
    page.write_text(f"{before}{begin}\n{text}\n{end}{rest.split(end)[1]}", encoding="utf-8")
