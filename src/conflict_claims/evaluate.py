"""Score a model on labelled sentences. Never fits and never tunes."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from conflict_claims.corpus.records import Sentence, fingerprint, read_sentences
from conflict_claims.labels import to_indicator
from conflict_claims.metrics import Array, f1_intervals, scores
from conflict_claims.runtime import load


def evaluate(
    model_dir: Path, data: Path, output: Path | None = None, plots: Path | None = None, only: str | None = None
) -> dict[str, Any]:
    """Score the model of a folder on a labelled file.

    Args:
        model_dir: the model folder; its thresholds and calibration are used as they are.
        data: JSONL or CSV with `text` and `labels` (or one 0/1 column per label).
        output: where to write the metrics as JSON.
        plots: a folder for pictures (precision-recall, reliability, confusion) and precision_recall.csv.
        only: `column=value`, to score only the rows that have it.

    Returns:
        The metrics of `conflict_claims.metrics.scores`, with 95 % intervals of F1 by bootstrap over stories.

    Raises:
        ClaimsError: bad data or a bad model folder.
    """
    model = load(model_dir)
    sentences = read_sentences(data, model.labels, only)
    y_true = to_indicator((s.labels for s in sentences), model.labels)
    y_prob = model.predict_proba([s.text for s in sentences])
    figures = describe(sentences, y_true, y_prob, model.labels, model.thresholds)
    figures |= {
        "model": model_dir.name,
        "kind": model.manifest.kind,
        "data": data.name + (f" ({only})" if only else ""),
    }
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if plots is not None:
        from conflict_claims.plots import draw_all

        plots.mkdir(parents=True, exist_ok=True)
        write_precision_recall(y_true, y_prob, plots / "precision_recall.csv")
        draw_all(y_true, y_prob, model.labels, model.thresholds, plots)
    return figures


def describe(
    sentences: list[Sentence], y_true: Array, y_prob: Array, labels: tuple[str, ...], thresholds: Array
) -> dict[str, Any]:
    """The metrics of given probabilities, with intervals and what they were measured on."""
    story = np.array([s.story for s in sentences])
    return scores(y_true, y_prob, labels, thresholds) | {
        "intervals": f1_intervals(y_true, y_prob >= thresholds, story, labels),
        "stories": len(set(story)),
        "data_fingerprint": fingerprint(sentences),
    }


def write_precision_recall(y_true: Array, y_prob: Array, path: Path, points: int = 200) -> None:
    """Micro-averaged precision and recall at up to `points` cuts, as CSV: one curve a model for `dvc plots`."""
    order = np.argsort(-y_prob.ravel(), kind="stable")
    found = y_true.ravel()[order].cumsum()
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["recall", "precision"])
        for i in np.unique(np.linspace(0, len(order) - 1, min(points, len(order))).astype(int)):
            writer.writerow([round(found[i] / max(1, found[-1]), 4), round(found[i] / (i + 1), 4)])
