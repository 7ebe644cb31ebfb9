"""Knowledge distillation: a small model learns from what larger ones think, on more text than anyone has labelled.

The larger models' probabilities are kept in a file (`conflict-claims teach`), so that whoever trains the small model
needs neither them nor their hours. The small model learns from soft targets (Hinton, Vinyals, Dean 2015): the teachers'
mean calibrated probability, mixed with the annotators' labels where there are any.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from conflict_claims.config import TeacherConfig
from conflict_claims.corpus.unlabelled import read_unlabelled
from conflict_claims.errors import ClaimsError
from conflict_claims.metrics import Array
from conflict_claims.runtime import ClaimModel, load
from conflict_claims.text import normalise

REMAKE = "make it anew with `conflict-claims teach`, or train without it (teacher: null)"


def text_key(text: str) -> str:
    """Sixteen hexadecimal digits that identify a text after normalisation."""
    return hashlib.sha256(normalise(text).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Teacher:
    """What larger models think of texts: probabilities by `text_key`, and the stories that they were trained on."""

    labels: tuple[str, ...]
    stories: frozenset[str]
    probabilities: dict[str, list[float]]

    @classmethod
    def read(cls, path: Path, labels: Sequence[str]) -> "Teacher":
        """Read a file that `teach` wrote.

        Raises:
            ClaimsError: it is missing, broken, or for another label set.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            teacher = cls(tuple(values["labels"]), frozenset(values["training_stories"]), values["probabilities"])
            if any(len(row) != len(teacher.labels) for row in teacher.probabilities.values()):
                raise KeyError("each text needs one probability a label")
        except FileNotFoundError:
            raise ClaimsError(f"{path}: no such file of a teacher's probabilities; {REMAKE}") from None
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
            raise ClaimsError(f"{path} is not a file of a teacher's probabilities ({error}); {REMAKE}") from None
        if teacher.labels != tuple(labels):
            found, expected = ", ".join(teacher.labels), ", ".join(labels)
            raise ClaimsError(f"{path} was made for the labels {found}; expected {expected}: {REMAKE}")
        return teacher

    def soft(self, texts: Sequence[str]) -> Array:
        """Probabilities of shape (n, K); NaN where the teacher has not read a text."""
        unread = [float("nan")] * len(self.labels)
        rows = [self.probabilities.get(text_key(text), unread) for text in texts]
        return np.array(rows, dtype=float).reshape(-1, len(self.labels))


def distil(
    texts: Sequence[str], y: Array, held_out: frozenset[str], labels: Sequence[str], config: TeacherConfig
) -> tuple[list[str], Array]:
    """Mix a teacher's probabilities into the labels of `texts`, and add the unlabelled texts that it has read.

    Args:
        texts: labelled training sentences.
        y: their 0/1 indicator, shape (n, K).
        held_out: stories to validate and test on; the teacher must not have been trained on any.
        labels: the label set.
        config: where the teacher's file and the unlabelled texts are, and how much the teacher counts.

    Returns:
        All texts, and targets between 0 and 1 of shape (n + unlabelled, K).
    """
    teacher = Teacher.read(Path(config.probabilities), labels)
    leaked = sorted(teacher.stories & held_out)
    if leaked:
        raise ClaimsError(
            f"{config.probabilities}: its teacher was trained on the story {leaked[0]!r}, held out here; {REMAKE}"
        )
    soft = teacher.soft(texts)
    mixed = np.where(np.isnan(soft), y, (1 - config.weight) * y + config.weight * soft)
    unlabelled = [item.sentence.text for item in read_unlabelled(Path(config.unlabelled))]
    more = [text for text in unlabelled if text_key(text) in teacher.probabilities]
    return [*texts, *more], np.concatenate([mixed, teacher.soft(more)])


def teach(models: Sequence[Path], texts: Sequence[str], output: Path) -> int:
    """Write what models think of texts: the mean of their calibrated probabilities.

    Texts that an older file of the same teachers holds already are not read again.

    Args:
        models: model folders with the same labels in the same order.
        texts: sentences; equal ones count once.
        output: the JSON file to write.

    Returns:
        The number of distinct texts.
    """
    loaded = [load(folder) for folder in models]
    for folder, model in zip(models, loaded, strict=True):
        if model.labels != loaded[0].labels:
            raise ClaimsError(f"{folder} has other labels than {models[0]}; teachers must agree on them")
    about = {
        "labels": list(loaded[0].labels),
        "teachers": [_identity(model) for model in loaded],
        "training_stories": sorted({story for model in loaded for story in model.manifest.training_stories}),
    }
    keys = {text_key(text): text for text in texts}
    known = _already_read(output, about)
    new = {key: text for key, text in keys.items() if key not in known}
    if new:
        mean = np.mean([model.predict_proba(list(new.values())) for model in loaded], axis=0)
        known |= {key: [round(float(value), 3) for value in row] for key, row in zip(new, mean, strict=True)}
    values = about | {"probabilities": {key: known[key] for key in keys}}
    output.parent.mkdir(parents=True, exist_ok=True)
    saving = output.with_name(f".{output.name}.saving")
    saving.write_text(json.dumps(values, separators=(",", ":")).replace("],", "],\n") + "\n", encoding="utf-8")
    saving.replace(output)
    return len(keys)


def _identity(model: ClaimModel) -> dict[str, Any]:
    manifest = model.manifest
    return {
        "encoder": manifest.settings.get("encoder", manifest.kind),
        "seed": manifest.settings.get("seed"),
        "corpus": manifest.corpus_fingerprint,
        "weights": manifest.files.get("model.onnx", manifest.files.get("model.skops")),
        "validation_macro_f1": round(manifest.validation["macro_f1"], 4),
    }


def _already_read(path: Path, about: dict[str, Any]) -> dict[str, list[float]]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        same = all(values[key] == value for key, value in about.items())
        return dict(values["probabilities"]) if same else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
