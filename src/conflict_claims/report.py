"""The results table, the report on each model and its card: made from metrics files and from nothing else."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from conflict_claims.blocks import blocks, fill
from conflict_claims.errors import ClaimsError
from conflict_claims.markdown import table
from conflict_claims.model_folder import CARD, Manifest, read_manifest, replace_file
from conflict_claims.pages import card, page
from conflict_claims.sections import sections


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


def report(
    paths: Sequence[Path],
    output: Path | None = None,
    insert: Sequence[Path] = (),
    *,
    evidence: Sequence[Path] = (),
    behaviour: Sequence[Path] = (),
    compared: Sequence[Path] = (),
    pages: Path | None = None,
) -> str:
    """Make the results table from metrics files, and pages from evidence.

    Args:
        paths: metrics files.
        output: a Markdown file to write.
        insert: Markdown files whose marked blocks (`conflict_claims.blocks`) are replaced.
        evidence: what `evaluate --evidence` wrote; those of one model make one report, in the order given.
        behaviour: what `check-behaviour --output` wrote, each file named as its model.
        compared: what `compare --metrics` wrote.
        pages: a folder for MODEL.html, MODEL.md (the model card) and MODEL.png (every figure on one sheet).

    Returns:
        The table.
    """
    text = results_table(read_metrics(paths))
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(f"# Results\n\n{text}\n", encoding="utf-8")
    models, tried = read_evidence(evidence), {path.stem: _read(path) for path in behaviour}
    made = blocks(text, models, tried, [_read(path) for path in compared])
    for target in insert:
        fill(target, made)
    if pages is not None:
        write_pages(models, tried, pages)
    return text


def _read(path: Path) -> Any:  # noqa: ANN401 - whatever the file holds
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ClaimsError(f"{path}: expected JSON that a command of conflict-claims wrote ({error})") from None


def read_evidence(paths: Sequence[Path]) -> dict[str, list[dict[str, Any]]]:
    """Evidence by model, in the order of the files.

    Raises:
        ClaimsError: a file is no evidence, or two of one name are of different trainings.
    """
    models: dict[str, list[dict[str, Any]]] = {}
    for path in paths:
        (found,) = read_metrics([path])
        if not {"about", "reliability", "slices", "errors"} <= set(found):
            raise ClaimsError(f"{path}: expected what `conflict-claims evaluate --evidence` wrote, found metrics alone")
        others = models.setdefault(found["model"], [])
        if others and others[0]["about"]["files"] != found["about"]["files"]:
            raise ClaimsError(
                f"{path}: this is another training of {found['model']} than that of {others[0]['data']}; evaluate one "
                "model on both"
            )
        others.append(found)
    return models


def write_pages(models: dict[str, list[dict[str, Any]]], tried: dict[str, Any], folder: Path) -> None:
    """Write the page, the card and the sheet of figures of each model."""
    from conflict_claims.figures import panel, svgs

    if not models:
        raise ClaimsError("pages are made from evidence; name files that `conflict-claims evaluate --evidence` wrote")
    folder.mkdir(parents=True, exist_ok=True)
    for name, evidence in models.items():
        parts = sections(evidence, tried.get(name))
        (folder / f"{name}.html").write_text(page(evidence, parts, svgs(evidence[0])), encoding="utf-8")
        (folder / f"{name}.md").write_text(card(evidence, parts), encoding="utf-8")
        panel(evidence[0], folder / f"{name}.png")


def install(folders: Sequence[Path], evidence: Sequence[Path], pages: Path | None) -> dict[Path, Manifest]:
    """Put the cards of `pages` into model folders as their README.md.

    Returns:
        The manifests after that, by folder.

    Raises:
        ClaimsError: a folder without a card, or whose card speaks of another training.
    """
    models = read_evidence(evidence)
    if pages is None:
        raise ClaimsError("cards to install are made with --pages FOLDER; name one")
    for folder in folders:
        if folder.name not in models:
            raise ClaimsError(f"{folder}: no evidence of a model named {folder.name!r} was given, so there is no card")
        files = {name: of for name, of in read_manifest(folder).files.items() if name != CARD}
        if files != models[folder.name][0]["about"]["files"]:
            raise ClaimsError(f"{folder} is not the model that the evidence speaks of; run evaluate on it again")
    cards = {folder: (pages / f"{folder.name}.md").read_text(encoding="utf-8") for folder in folders}
    return {folder: replace_file(folder, CARD, text) for folder, text in cards.items()}
