"""Pictures of evidence, the same bytes for the same evidence: SVG in the colours of its page, and PNG."""

import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

Evidence = dict[str, Any]
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#b0579a", "#8c6d1f", "#56a0c9", "#6b6b6b", "#a33b3b")
"""Told apart by those who see red and green alike (after Okabe and Ito); a label's place decides its colour."""
MARKERS = "osD^vP*X"
PAGE = ("#123457", "#abcdee")
"""Stand-ins for the page's own colours of text and of faint lines."""
PAPER = ("#000000", "#d0d0d0")
SLICES = 24
STYLE = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "svg.fonttype": "none",
    "svg.hashsalt": "conflict-claims",
}


def scores(axis: Axes, evidence: Evidence) -> None:
    """Precision, recall and F1 of each label with their intervals."""
    labels = list(evidence["labels"])
    for row, name in enumerate(labels):
        for offset, metric in ((-0.22, "precision"), (0.0, "recall"), (0.22, "f1")):
            value, bounds = evidence["labels"][name][metric], evidence["intervals"]["labels"][name][metric]
            if value is None:
                continue
            word = {"f1": "F1"}.get(metric, metric)
            style = {"precision": ("<", COLOURS[0]), "recall": (">", COLOURS[1]), "f1": ("o", _ink())}[metric]
            if bounds:
                axis.plot(bounds, [row + offset] * 2, color=style[1], solid_capstyle="butt")
            axis.plot(value, row + offset, style[0], color=style[1], label=word if row == 0 else None)
    axis.set(title="Scores and their 95 % intervals", yticks=range(len(labels)), xlim=(None, 1.005))
    axis.set_yticklabels([_readable(name) for name in labels])
    axis.invert_yaxis()
    axis.grid(axis="x", linewidth=0.6)
    axis.legend(ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.1))


def precision_recall(axis: Axes, evidence: Evidence) -> None:
    """The curve of each label, and a mark at its threshold."""
    for k, (name, curve) in enumerate(evidence["precision_recall"].items()):
        axis.plot(curve["recall"], curve["precision"], color=COLOURS[k % 8], label=_readable(name))
        at = evidence["labels"][name]
        if at["precision"] is not None and at["recall"] is not None:
            axis.plot(at["recall"], at["precision"], MARKERS[k % 8], color=COLOURS[k % 8], markeredgecolor=_ink())
    axis.set(title="Precision and recall; marks: at the threshold", xlabel="recall", ylabel="precision")
    axis.set(xlim=(0, 1.01), ylim=(0, 1.01))
    axis.grid(linewidth=0.6)
    axis.legend(loc="lower left")


def risk_coverage(axis: Axes, evidence: Evidence) -> None:
    """The share of errors among the surest sentences, and among each label's surest decisions."""
    for k, (name, points) in enumerate(evidence["risk_coverage"].items()):
        coverage, risk = [100 * p["coverage"] for p in points], [100 * p["risk"] for p in points]
        colour = _ink() if k == 0 else COLOURS[(k - 1) % 8]
        marker = "o" if k == 0 else MARKERS[(k - 1) % 8]
        axis.plot(coverage, risk, marker=marker, markersize=3.5, color=colour, label=_readable(name))
        if k == 0:
            low, high = ([100 * p["interval"][side] for p in points] for side in (0, 1))
            axis.fill_between(coverage, low, high, color=_ink(), alpha=0.12, linewidth=0)
    axis.set(title="Risk and coverage", xlabel="the surest share (%)", ylabel="wrong among them (%)")
    axis.set(xlim=(5, 101), ylim=(0, None))
    axis.grid(linewidth=0.6)
    axis.legend(loc="upper left")


def reliability(axes: Sequence[Axes], evidence: Evidence) -> None:
    """For each label: of the sentences that were given a probability, how many carry it."""
    for k, (axis, (name, bins)) in enumerate(zip(axes, evidence["reliability"].items(), strict=True)):
        axis.plot([0, 1], [0, 1], color=mpl.rcParams["grid.color"], linewidth=1)
        for row in bins:
            size = 18 + 150 * row["n"] / evidence["n"]
            if row["interval"]:
                axis.plot([row["said"]] * 2, row["interval"], color=COLOURS[k % 8], linewidth=1)
            axis.scatter(row["said"], row["happened"], s=size, color=COLOURS[k % 8], zorder=3)
        title = f"{_readable(name)}\nECE {evidence['labels'][name]['ece']:.3f}"
        axis.set(title=title, xlabel="probability given", xlim=(-0.04, 1.04), ylim=(-0.04, 1.04), aspect="equal")
        axis.set(xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    axes[0].set_ylabel("share that carries it")


def slices(axis: Axes, evidence: Evidence) -> None:
    """The worst slices that are not small, against all sentences."""
    rows = worst_slices(evidence)
    for k, row in enumerate(rows):
        axis.plot([100 * v for v in row["exact_match_interval"]], [k, k], color=COLOURS[0], solid_capstyle="butt")
        axis.plot(100 * row["exact_match"], k, "o", color=COLOURS[0])
    axis.axvline(100 * evidence["exact_match"], color=COLOURS[1], linewidth=1.2)
    axis.set(yticks=range(len(rows)), ylim=(len(rows) - 0.4, -0.6), xlabel="sentences without an error (%), 95 %")
    axis.set_yticklabels([f"{row['kind']}: {row['value']} ({row['n']:,})" for row in rows])
    axis.set_title("The worst slices; line: all sentences")
    axis.grid(axis="x", linewidth=0.6)


def worst_slices(evidence: Evidence) -> list[dict[str, Any]]:
    """The slices that are drawn."""
    return [row for row in evidence["slices"] if not row["small"] and row["exact_match_interval"]][:SLICES]


def svgs(evidence: Evidence) -> dict[str, str]:
    """Each figure as an SVG element, to stand inside a page that sets `--ink`, `--faint`, `--c0`, ... and the font."""
    many, height = len(evidence["labels"]), 1.0 + 0.21 * len(worst_slices(evidence))
    with plt.rc_context(STYLE):
        made = {
            "scores": _svg("scores", (6.4, 1.3 + 0.5 * many), lambda f: scores(f.subplots(), evidence)),
            "precision_recall": _svg("pr", (5.2, 4.2), lambda f: precision_recall(f.subplots(), evidence)),
            "risk_coverage": _svg("risk", (5.2, 4.2), lambda f: risk_coverage(f.subplots(), evidence)),
            "reliability": _svg(
                "reliability",
                (2.3 * many, 2.9),
                lambda f: reliability(f.subplots(1, many, squeeze=False)[0], evidence),
            ),
        }
        if evidence["slices"]:
            made["slices"] = _svg("slices", (7.2, height), lambda f: slices(f.subplots(), evidence))
    return made


def _svg(name: str, size: tuple[float, float], draw: Callable[[Any], None]) -> str:
    with plt.rc_context({**_colours(*PAGE), "svg.hashsalt": name}):
        figure = plt.figure(figsize=size, layout="constrained")
        draw(figure)
        file = io.StringIO()
        metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=metadata)
        plt.close(figure)
    text = file.getvalue()[file.getvalue().index("<svg") :]
    used = set(re.findall(r"#([\w-]+)[\")]", text))
    text = re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in used else "", text)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r"font: ?(?:bold )?([\d.]+)px [^;\"]*", lambda f: f"{_weight(f[0])}font-size: {f[1]}px", text)
    text = re.sub(r" font-family: [^;]*;", "", text)
    for k, colour in enumerate(COLOURS):
        text = text.replace(colour, f"var(--c{k})")
    text = text.replace(PAGE[0], "var(--ink)").replace(PAGE[1], "var(--faint)")
    return re.sub(r' (?:width|height)="[\d.]+pt"', "", text)


def _weight(font: str) -> str:
    return "font-weight: bold; " if "bold" in font or "700" in font else ""


def _ink() -> str:
    return str(mpl.rcParams["text.color"])


def _colours(ink: str, faint: str) -> dict[str, Any]:
    names = ("text.color", "axes.edgecolor", "axes.labelcolor", "axes.titlecolor", "xtick.color", "ytick.color")
    return dict.fromkeys(names, ink) | {"grid.color": faint}


def panel(evidence: Evidence, path: Path) -> None:
    """Every figure on one sheet, as PNG."""
    many = len(evidence["labels"])
    heights = [3.6, 3.0, 1.0 + 0.2 * len(worst_slices(evidence))]
    with plt.rc_context({**STYLE, **_colours(*PAPER)}):
        figure = plt.figure(figsize=(13, sum(heights)), layout="constrained")
        top, middle, bottom = figure.subfigures(3, 1, height_ratios=heights)
        for axis, draw in zip(top.subplots(1, 3), (scores, precision_recall, risk_coverage), strict=True):
            draw(axis, evidence)
        reliability(middle.subplots(1, many, squeeze=False)[0], evidence)
        slices(bottom.subplots(), evidence)
        figure.suptitle(f"{evidence['model']} on {evidence['data']}", fontsize=13, fontweight="bold")
        figure.savefig(path, dpi=110, metadata={"Software": None})
        plt.close(figure)


def _readable(label: str) -> str:
    return label.replace("_", " ")
