"""Score a model on labelled sentences. Never fits and never tunes."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from conflict_claims.corpus.records import read_sentences
from conflict_claims.evidence import Judged, describe, examine
from conflict_claims.explain import explain
from conflict_claims.labels import to_indicator
from conflict_claims.metrics import Array
from conflict_claims.model_folder import CARD, Manifest
from conflict_claims.runtime import ClaimModel, load

WORDS = 3
"""So many words are named that moved the model most to an error."""


def evaluate(
    model_dir: Path,
    data: Path,
    output: Path | None = None,
    plots: Path | None = None,
    only: str | None = None,
    *,
    evidence: Path | None = None,
    texts: bool = True,
    objective: str | None = None,
    name: str | None = None,
) -> dict[str, Any]:
    """Score the model of a folder on a labelled file.

    Args:
        model_dir: the model folder; its thresholds and calibration are used as they are.
        data: JSONL or CSV with `text` and `labels` (or one 0/1 column per label).
        output: where to write the metrics as JSON.
        plots: a folder for pictures (precision-recall, reliability, confusion) and precision_recall.csv.
        only: `column=value`, to score only the rows that have it.
        evidence: where to write everything else as JSON: the metrics, and `conflict_claims.evidence.examine`'s bins,
            curves, slices and errors, with the words that moved the model to each error.
        texts: whether sentences, and words of them, may stand in the evidence; without them errors have ids alone.
        objective: what thresholds are for, `f1`, `recall>=0.95` or `precision>=0.95`; None: as the model was trained.
        name: what the data is called in tables and reports; None takes the file's name, and `only`.

    Returns:
        The metrics of `conflict_claims.metrics.scores`, with 95 % intervals of all of them by bootstrap over stories.

    Raises:
        ClaimsError: bad data or a bad model folder.
    """
    model = load(model_dir, objective=objective)
    sentences = read_sentences(data, model.labels, only)
    y_true = to_indicator((s.labels for s in sentences), model.labels)
    y_prob = model.predict_proba([s.text for s in sentences])
    judged = Judged(sentences, y_true, y_prob, model.labels, model.thresholds)
    figures = describe(judged) | {
        "model": model_dir.name,
        "kind": model.manifest.kind,
        "data": name or data.name + (f" ({only})" if only else ""),
        "objective": model.manifest.objective,
        "shortfalls": model.shortfalls,
    }
    if output is not None:
        _write(figures, output)
    if evidence is not None:
        found = examine(judged)
        found["errors"] = [_told(model, error) if texts else error | {"text": None} for error in found["errors"]]
        _write(figures | {"about": about(model.manifest)} | found, evidence)
    if plots is not None:
        from conflict_claims.plots import draw_all

        plots.mkdir(parents=True, exist_ok=True)
        write_precision_recall(y_true, y_prob, plots / "precision_recall.csv")
        draw_all(y_true, y_prob, model.labels, model.thresholds, plots)
    return figures


def about(manifest: Manifest) -> dict[str, Any]:
    """What a report says of the model itself; the README of its folder is left out, because a report may write it."""
    return {
        "package_version": manifest.package_version,
        "git_commit": manifest.git_commit,
        "format_version": manifest.format_version,
        "corpus_fingerprint": manifest.corpus_fingerprint,
        "training_stories": len(manifest.training_stories),
        "settings": manifest.settings,
        "training": manifest.training,
        "calibration": manifest.calibration,
        "validation": {key: manifest.validation.get(key) for key in ("n", "macro_f1")},
        "files": {name: digest for name, digest in manifest.files.items() if name != CARD},
    }


def _told(model: ClaimModel, error: dict[str, Any]) -> dict[str, Any]:
    """The error with the words that moved the model to it: for the label where given, against it where missed."""
    sign = 1 if error["error"] == "given wrongly" else -1
    weights = sorted(explain(model, error["text"])[error["label"]], key=lambda w: -sign * w.weight)[:WORDS]
    return error | {"words": [[w.word, round(w.weight, 2)] for w in weights if sign * w.weight > 0]}


def _write(values: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write_precision_recall(y_true: Array, y_prob: Array, path: Path, points: int = 200) -> None:
    """Micro-averaged precision and recall at up to `points` cuts, as CSV: one curve a model for `dvc plots`."""
    order = np.argsort(-y_prob.ravel(), kind="stable")
    found = y_true.ravel()[order].cumsum()
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["recall", "precision"])
        for i in np.unique(np.linspace(0, len(order) - 1, min(points, len(order))).astype(int)):
            writer.writerow([round(found[i] / max(1, found[-1]), 4), round(found[i] / (i + 1), 4)])
