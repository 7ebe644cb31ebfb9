"""Is the model still on known ground? Two batches of texts, or of predictions, held against each other."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from conflict_claims.batch.rows import sound_rows
from conflict_claims.bootstrap import Resamples, interval
from conflict_claims.corpus.realism import auc
from conflict_claims.errors import ClaimsError
from conflict_claims.metrics import Array, confidence
from conflict_claims.runtime import ClaimModel, Prediction
from conflict_claims.text import split_sentences

FEWEST = 50
"""With fewer sentences on a side nothing can be said."""
MOST = 1000
"""So many sentences of each side are enough for the classifier that tells them apart."""
RATE, LENGTH, DOUBT, UNKNOWN, TOLD_APART = 0.05, 0.25, 1.5, 0.05, 0.75
"""From where a change counts: of a label's rate, of the mean length (relative), of the doubt (a factor), of the share
of unknown words, and the AUC of words. Beyond that, all but the last two must be more than chance."""


@dataclass(frozen=True)
class Batch:
    """The sentences of one side; `given` and `y_prob` (n, K) are None where no model has spoken."""

    texts: list[str]
    documents: list[str]
    labels: tuple[str, ...] = ()
    given: Array | None = None
    sure: Array | None = None


def drift(
    reference: Path, new: Path, model: ClaimModel | None = None, *, sentences: bool = False, seed: int = 0
) -> dict[str, Any]:
    """Compare two batches.

    Args:
        reference: a file of what is known, for instance what the model was validated on: texts, or predictions as
            `conflict-claims predict --output` writes them.
        new: a file of what is to be judged, of either form.
        model: labels the texts of a file that holds no predictions. Without it, and without predictions, only texts are
            compared.
        sentences: each row of texts is one sentence already.
        seed: of samples and resamples.

    Returns:
        `label_rates`, `doubt` (how often the model itself expects to be wrong, decisions in 100) and `words` (a
        sentence), each with `reference, new, difference, interval` (95 %, bootstrap over documents); `unknown_words`
        (share of running words that the reference does not have; `reference` is that of a part of itself held out);
        `auc` of a classifier of words; `ground`: `known`, `leaving` or `new`; and `said`, all that in sentences.

    Raises:
        ClaimsError: bad input, too few sentences, or predictions on one side only.
    """
    sides = [_read(path, model, sentences) for path in (reference, new)]
    for path, side in zip((reference, new), sides, strict=True):
        if len(side.texts) < FEWEST:
            raise ClaimsError(f"{path}: expected at least {FEWEST} sentences to compare, found {len(side.texts)}")
    if (sides[0].given is None) != (sides[1].given is None):
        without = reference if sides[0].given is None else new
        raise ClaimsError(f"{without} holds no predictions and the other file does; name the model with --model")
    if set(sides[0].labels) != set(sides[1].labels):
        raise ClaimsError(
            f"{reference} has the labels {', '.join(sides[0].labels)}, {new} has {', '.join(sides[1].labels)}; "
            "expected predictions of one model"
        )
    found = _measure(sides[0], sides[1], seed)
    flags = _flags(found)
    serious = [name for name in ("doubt", "unknown_words", "auc") if name in flags]
    found["ground"] = ("known", "leaving", "new")[min(len(serious), 2)]
    return found | {"flags": list(flags), "said": [*flags.values(), _verdict(found["ground"], bool(flags))]}


def _read(path: Path, model: ClaimModel | None, sentences: bool) -> Batch:
    rows = [{"text": row.text} | row.columns for row in sound_rows(str(path))]
    predicted = [_prediction(row) for row in rows]
    named = [_document(row, str(k)) for k, row in enumerate(rows)]
    if all(predicted):
        found = [p for p in predicted if p is not None]
        return _batch([row["text"] for row in rows], named, found)
    if model is not None:
        each = model.predict([row["text"] for row in rows], sentences=sentences)
        flat = [(p, document) for found, document in zip(each, named, strict=True) for p in found]
        texts, documents = [p.text for p, _ in flat], [document for _, document in flat]
        return _batch(texts, documents, [_own(p) for p, _ in flat])
    spans = [[(0, len(r["text"]))] if sentences else list(split_sentences(r["text"])) for r in rows]
    cut = [(r["text"][a:b], d) for r, d, found in zip(rows, named, spans, strict=True) for a, b in found]
    return Batch([text for text, _ in cut], [document for _, document in cut])


Predicted = tuple[frozenset[str], dict[str, float]]


def _own(p: Prediction) -> Predicted:
    return frozenset(p.labels), p.probabilities


def _prediction(row: dict[str, Any]) -> Predicted | None:
    """Labels and probabilities of a row that `predict` wrote as JSONL or CSV; None of any other row."""
    if isinstance(row.get("probabilities"), dict) and isinstance(row.get("labels"), list):
        return frozenset(row["labels"]), {name: float(p) for name, p in row["probabilities"].items()}
    if not {"row", "start", "end", "labels"} <= set(row) or not isinstance(row["labels"], str):
        return None
    columns = list(row)
    try:
        probabilities = {name: float(row[name]) for name in columns[columns.index("labels") + 1 :]}
    except ValueError:
        return None
    return frozenset(name for name in row["labels"].split(";") if name), probabilities


def _document(row: dict[str, Any], own: str) -> str:
    """What a sentence stands in: resamples draw whole documents."""
    return str(next((row[name] for name in ("story", "document", "row") if row.get(name) not in (None, "")), own))


def _batch(texts: list[str], documents: list[str], predicted: list[Predicted]) -> Batch:
    labels = tuple(sorted(predicted[0][1])) if predicted else ()
    try:
        y_prob = np.array([[probabilities[name] for name in labels] for _, probabilities in predicted])
    except KeyError as error:
        raise ClaimsError(f"a row has no probability of {error}, which the first row has; predict again") from None
    given = np.array([[name in of for name in labels] for of, _ in predicted], dtype=float)
    return Batch(texts, documents, labels, given, confidence(y_prob, np.where(given > 0, 0.0, 2.0)))


def _measure(reference: Batch, new: Batch, seed: int) -> dict[str, Any]:
    """Each measure of both sides, without a judgement."""
    draws = [Resamples(np.array(side.documents), seed=seed + k) for k, side in enumerate((reference, new))]

    def means(values: list[Array]) -> list[dict[str, Any]]:
        """Means of columns (n, M) of either side, and their differences."""
        points = [v.mean(axis=0) for v in values]
        totals = [d.sums(np.hstack([v, np.ones((len(v), 1))])) for d, v in zip(draws, values, strict=True)]
        shifts = totals[1][:, :-1] / totals[1][:, -1:] - totals[0][:, :-1] / totals[0][:, -1:]
        return [
            {"reference": float(a), "new": float(b), "difference": float(b - a), "interval": interval(shifts[:, k])}
            for k, (a, b) in enumerate(zip(*points, strict=True))
        ]

    words = [np.array([[len(t.split())] for t in side.texts], dtype=float) for side in (reference, new)]
    found: dict[str, Any] = {
        "sentences": {"reference": len(reference.texts), "new": len(new.texts)},
        "documents": {"reference": len(set(reference.documents)), "new": len(set(new.documents))},
        "words": means(words)[0],
        "unknown_words": unknown_words(reference, new, seed),
        "auc": auc(reference.texts, new.texts, seed, (reference.documents, new.documents), MOST),
    }
    sides = (reference, new)
    given, sure = [s.given for s in sides if s.given is not None], [s.sure for s in sides if s.sure is not None]
    if len(given) == len(sure) == 2:
        found["label_rates"] = dict(zip(reference.labels, means(given), strict=True))
        found["doubt"] = means([100 * (1 - s.mean(axis=1, keepdims=True)) for s in sure])[0]
    return found


def unknown_words(reference: Batch, new: Batch, seed: int) -> dict[str, float]:
    """Share of running words that do not occur in four fifths of the reference's documents: in the rest, and in new."""
    names = sorted(set(reference.documents))
    held_out = set(np.random.default_rng(seed).permutation(names)[: max(1, len(names) // 5)])
    known: set[str] = set()
    kept: list[str] = []
    for text, document in zip(reference.texts, reference.documents, strict=True):
        if document in held_out:
            kept.append(text)
        else:
            known.update(_words(text))

    def share(texts: Sequence[str]) -> float:
        words = [word for text in texts for word in _words(text)]
        return sum(word not in known for word in words) / max(1, len(words))

    return {"reference": share(kept), "new": share(new.texts)}


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text.lower())


def _flags(found: dict[str, Any]) -> dict[str, str]:
    """What has changed by more than chance and by enough to matter, in words."""
    said = {}
    for name, row in found.get("label_rates", {}).items():
        if abs(row["difference"]) > RATE and _sure(row):
            said[f"label_rates.{name}"] = (
                f"{name} is given to {row['new']:.0%} of the sentences; in the reference to {row['reference']:.0%}"
            )
    words = found["words"]
    if abs(words["difference"]) > LENGTH * words["reference"] and _sure(words):
        said["words"] = f"sentences have {words['new']:.0f} words on average; in the reference {words['reference']:.0f}"
    doubt = found.get("doubt")
    if doubt and doubt["new"] > DOUBT * doubt["reference"] and _sure(doubt):
        said["doubt"] = (
            f"the model itself expects {doubt['new']:.1f} of 100 decisions to be wrong; in the reference "
            f"{doubt['reference']:.1f}"
        )
    unknown = found["unknown_words"]
    if unknown["new"] > unknown["reference"] + UNKNOWN:
        said["unknown_words"] = (
            f"{unknown['new']:.0%} of the words do not occur in the reference; of other documents of the reference "
            f"itself {unknown['reference']:.0%}"
        )
    if found["auc"] > TOLD_APART:
        said["auc"] = f"words alone tell the two apart with an AUC of {found['auc']:.2f} (0.5: not at all, 1: always)"
    return said


def _sure(row: dict[str, Any]) -> bool:
    bounds = row["interval"]
    return bounds is not None and (bounds[0] > 0 or bounds[1] < 0)


def _verdict(ground: str, changed: bool) -> str:
    if ground == "known":
        return "Known ground: " + (
            "the news is another, but the model reads it as surely as before and its words are known."
            if changed
            else "nothing has changed that would matter."
        )
    if ground == "leaving":
        return (
            "The model is leaving known ground: read a sample of its labels; if they look worse than before, label a "
            "hundred sentences and run `conflict-claims evaluate`."
        )
    return (
        "New ground: figures measured on the reference say little here. Label a hundred of these sentences and run "
        "`conflict-claims evaluate` before you rely on the labels or on the probabilities."
    )
