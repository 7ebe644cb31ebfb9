"""The results table, made from metrics files and from nothing else."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from conflict_claims.errors import ClaimsError
from conflict_claims.markdown import insert_block, table

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
    rows = []
    for m in sorted(metrics, key=lambda m: (m["data"], m["macro_f1"])):
        low, high = m["intervals"]["macro_f1"]
        precision = "–" if m["mean_average_precision"] is None else f"{m['mean_average_precision']:.3f}"
        cells = [m["data"], f"{m['n']:,}", m["model"], f"{m['macro_f1']:.3f} ({low:.2f} to {high:.2f})"]
        cells += [f"{m['micro_f1']:.3f}", precision]
        cells += [_label_cell(m["labels"][name]) if name in m["labels"] else "–" for name in labels]
        rows.append(cells)
    return table(head, rows)


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
    text = results_table(read_metrics(paths))
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(f"# Results\n\n{text}\n", encoding="utf-8")
    if insert is not None:
        insert_block(insert, text, BEGIN, END)
    return text
