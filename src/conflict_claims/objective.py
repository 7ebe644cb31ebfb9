"""Thresholds for a purpose: who must miss nothing and who must print nothing false need different ones.

A model folder keeps, for each label, the cuts of the validation split that are worth choosing from: those where no
other cut has both more precision and more recall. Any objective is answered from them, without data or training.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from conflict_claims.errors import ClaimsError
from conflict_claims.metrics import Array

FILE = "curves.json"
DEFAULT = "f1"
_FORM = re.compile(r"(recall|precision)\s*>=\s*(0?\.\d+|[01](?:\.0*)?)")


@dataclass(frozen=True)
class Cut:
    """A threshold, and what it gave on the validation split. `reached` is False where no cut meets the objective."""

    threshold: float
    precision: float
    recall: float
    reached: bool = True

    @property
    def f1(self) -> float:
        """The harmonic mean of both."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


@dataclass(frozen=True)
class Objective:
    """What thresholds are for: the best F1, or a floor under `metric` and then as much as can be had of the other."""

    metric: str
    target: float = 0.0

    @classmethod
    def parse(cls, text: str) -> "Objective":
        """Read `f1`, `recall>=0.95` or `precision>=0.95`.

        Raises:
            ClaimsError: the text is none of them.
        """
        if text.strip() == DEFAULT:
            return cls(DEFAULT)
        found = _FORM.fullmatch(text.strip())
        if not found or not 0 < float(found[2]) <= 1:
            raise ClaimsError(
                f"unknown objective {text!r}; expected f1, recall>=X or precision>=X, X above 0 and at most 1 "
                "(in quotation marks: the shell reads > as its own)"
            )
        return cls(found[1], float(found[2]))

    def __str__(self) -> str:
        return self.metric if self.metric == DEFAULT else f"{self.metric}>={self.target:g}"

    def choose(self, cuts: Sequence[Cut]) -> Cut:
        """The cut that serves best; where none reaches the target, the one that comes nearest to it."""
        if self.metric == DEFAULT:
            return max(cuts, key=lambda cut: (cut.f1, cut.threshold))
        other = "recall" if self.metric == "precision" else "precision"
        enough = [cut for cut in cuts if getattr(cut, self.metric) >= self.target]
        if enough:
            return max(enough, key=lambda cut: (getattr(cut, other), cut.threshold))
        nearest = max(cuts, key=lambda cut: (getattr(cut, self.metric), getattr(cut, other)))
        return Cut(nearest.threshold, nearest.precision, nearest.recall, reached=False)


def curve(y_true: Array, y_prob: Array) -> list[Cut]:
    """The cuts of one label (n,) that are worth choosing from, thresholds falling, precision falling, recall rising.

    A threshold lies in the middle between two neighbouring probabilities, so that rounding turns no decision around.
    """
    order = np.argsort(-y_prob, kind="stable")
    prob, found = y_prob[order], np.asarray(y_true)[order].cumsum()
    ends = np.flatnonzero(np.append(np.diff(prob) != 0, True))
    below = np.append(prob[ends[:-1] + 1], 0.0)
    thresholds = (prob[ends] + below) / 2
    precision, recall = found[ends] / (ends + 1), found[ends] / max(1, found[-1])
    kept: list[Cut] = []
    for k in range(len(ends) - 1, -1, -1):  # from full recall upwards: kept is what beats every lower cut's precision
        if not kept or precision[k] > kept[-1].precision:
            if kept and recall[k] == kept[-1].recall:
                kept.pop()
            kept.append(Cut(float(thresholds[k]), float(precision[k]), float(recall[k])))
    return kept[::-1]


def to_json(y_true: Array, y_prob: Array, labels: Sequence[str], thresholds: Array) -> dict[str, Any]:
    """What curves.json holds: of each label its cuts, and the thresholds `f1` that training set with more care."""
    curves = {name: curve(y_true[:, k], y_prob[:, k]) for k, name in enumerate(labels)}
    return {
        "n": len(y_true),
        "f1": {name: float(t) for name, t in zip(labels, thresholds, strict=True)},
        "labels": {
            name: {
                "support": int(y_true[:, k].sum()),
                "threshold": [cut.threshold for cut in curves[name]],
                "precision": [round(cut.precision, 6) for cut in curves[name]],
                "recall": [round(cut.recall, 6) for cut in curves[name]],
            }
            for k, name in enumerate(labels)
        },
    }


def cuts_for(values: Mapping[str, Any], objective: Objective) -> dict[str, Cut]:
    """Each label's cut for an objective, from what curves.json holds.

    `f1` takes the thresholds that training chose; what is said of them is what the nearest cut gave.
    """
    result = {}
    for name, of in values["labels"].items():
        cuts = [Cut(*row) for row in zip(of["threshold"], of["precision"], of["recall"], strict=True)]
        result[name] = objective.choose(cuts) if objective.metric != DEFAULT else _near(values["f1"][name], cuts)
    return result


def _near(threshold: float, cuts: Sequence[Cut]) -> Cut:
    near = min(cuts, key=lambda cut: abs(cut.threshold - threshold))
    return Cut(threshold, near.precision, near.recall)


def shortfalls(cuts: Mapping[str, Cut], objective: object) -> list[str]:
    """In words, the labels whose target was out of reach on validation, and how far it went."""
    return [
        f"{name}: no threshold reaches {objective} on the validation split; taken is the one with "
        f"precision {cut.precision:.2f} at recall {cut.recall:.2f}"
        for name, cut in cuts.items()
        if not cut.reached
    ]
