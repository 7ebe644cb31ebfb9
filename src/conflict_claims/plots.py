"""Pictures of an evaluation."""

from pathlib import Path

import matplotlib as mpl
import numpy as np

from conflict_claims.metrics import BINS, Array

mpl.use("agg")

from matplotlib import pyplot as plt


def draw_all(y_true: Array, y_prob: Array, labels: tuple[str, ...], thresholds: Array, folder: Path) -> None:
    """Write precision_recall.png, reliability.png and confusion.png into a folder."""
    _precision_recall(y_true, y_prob, labels, thresholds, folder / "precision_recall.png")
    _reliability(y_true, y_prob, labels, folder / "reliability.png")
    _confusion(y_true, y_prob >= thresholds, labels, folder / "confusion.png")


def _readable(label: str) -> str:
    return label.replace("_", " ")


def _precision_recall(y_true: Array, y_prob: Array, labels: tuple[str, ...], thresholds: Array, path: Path) -> None:
    figure, axis = plt.subplots(figsize=(6, 5), layout="constrained")
    for k, name in enumerate(labels):
        order = np.argsort(-y_prob[:, k], kind="stable")
        found = y_true[order, k].cumsum()
        recall, precision = found / max(1, found[-1]), found / np.arange(1, len(found) + 1)
        (line,) = axis.plot(recall, precision, label=_readable(name))
        cut = int((y_prob[:, k] >= thresholds[k]).sum()) - 1
        if cut >= 0:
            axis.plot(recall[cut], precision[cut], "o", color=line.get_color())
    axis.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02), title="Dots: at the threshold")
    axis.legend(loc="lower left")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _reliability(y_true: Array, y_prob: Array, labels: tuple[str, ...], path: Path) -> None:
    figure, axes = plt.subplots(1, len(labels), figsize=(3.2 * len(labels), 3.4), layout="constrained", squeeze=False)
    for k, (axis, name) in enumerate(zip(axes[0], labels, strict=True)):
        where = np.minimum((y_prob[:, k] * BINS).astype(int), BINS - 1)
        filled = [b for b in range(BINS) if (where == b).any()]
        said = [y_prob[where == b, k].mean() for b in filled]
        happened = [y_true[where == b, k].mean() for b in filled]
        size = [8 + 200 * (where == b).mean() for b in filled]
        axis.plot([0, 1], [0, 1], color="0.7", linewidth=1)
        axis.scatter(said, happened, s=size)
        axis.set(title=_readable(name), xlabel="probability given", xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    axes[0][0].set_ylabel("share that carries the label")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _confusion(y_true: Array, y_pred: Array, labels: tuple[str, ...], path: Path) -> None:
    figure, axes = plt.subplots(1, len(labels), figsize=(2.6 * len(labels), 2.9), layout="constrained", squeeze=False)
    for k, (axis, name) in enumerate(zip(axes[0], labels, strict=True)):
        table = np.zeros((2, 2), dtype=int)
        np.add.at(table, (y_true[:, k].astype(int), y_pred[:, k].astype(int)), 1)
        axis.imshow(table / np.maximum(1, table.sum(axis=1, keepdims=True)), cmap="Blues", vmin=0, vmax=1)
        for (i, j), count in np.ndenumerate(table):
            axis.text(j, i, str(count), ha="center", va="center", color="white" if i == j else "black")
        axis.set(title=_readable(name), xticks=[0, 1], yticks=[0, 1], xlabel="predicted")
        axis.set_xticklabels(["no", "yes"])
        axis.set_yticklabels(["no", "yes"])
    axes[0][0].set_ylabel("true")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def bars(counts: dict[str, int], unit: str, path: Path) -> None:
    """One horizontal bar a name, the first one on top."""
    figure, axis = plt.subplots(figsize=(7, 0.8 + 0.26 * len(counts)), layout="constrained")
    axis.barh(list(counts)[::-1], list(counts.values())[::-1])
    axis.set(xlabel=unit)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def histogram(values: list[int], unit: str, path: Path) -> None:
    """How often each value occurs."""
    figure, axis = plt.subplots(figsize=(7, 3), layout="constrained")
    axis.hist(values, bins=range(min(values), max(values) + 2))
    axis.set(xlabel=unit, ylabel="sentences")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def lines(curves: dict[str, dict[int, list[float]]], x: str, y: str, path: Path) -> None:
    """One line a curve through the means of its points, with bars from the least to the greatest value."""
    figure, axis = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for name, points in curves.items():
        means = [float(np.mean(values)) for values in points.values()]
        spread = [[m - min(v) for m, v in zip(means, points.values(), strict=True)]]
        spread += [[max(v) - m for m, v in zip(means, points.values(), strict=True)]]
        axis.errorbar(list(points), means, yerr=spread, marker="o", capsize=3, label=name)
    axis.set(xlabel=x, ylabel=y, xscale="log")
    ticks = sorted({size for points in curves.values() for size in points})
    axis.set_xticks(ticks, [f"{size:,}" for size in ticks], minor=False)
    axis.minorticks_off()
    axis.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)
