"""Two models on the same sentences: how far apart they are, and whether that is more than chance."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from conflict_claims.bootstrap import Resamples, interval, resampled
from conflict_claims.corpus.records import Sentence, read_sentences
from conflict_claims.errors import ClaimsError
from conflict_claims.labels import to_indicator, to_names
from conflict_claims.metrics import Array, scores
from conflict_claims.runtime import ClaimModel, load

Predicted = tuple[Array, Array]
"""Probabilities of shape (n, K) and thresholds of shape (K,)."""


def compare(
    first_dir: Path,
    second_dir: Path,
    data: Path,
    *,
    only: str | None = None,
    objective: str | None = None,
    output: Path | None = None,
    name: str | None = None,
) -> dict[str, Any]:
    """Compare two models on a labelled file.

    Args:
        first_dir: a model folder.
        second_dir: another one, with the same labels; differences are the second's figure less the first's.
        data: JSONL or CSV of labelled sentences.
        only: `column=value`, to compare on only the rows that have it.
        objective: what the thresholds of both are for; None: as each was trained.
        output: JSONL to write: the sentences that they label differently.
        name: what the data is called in tables; None takes the file's name, and `only`.

    Returns:
        What `paired` returns, with `n`, `stories`, `data`, `models`, and `differing`, the number of sentences that the
        two label differently.

    Raises:
        ClaimsError: bad data, a bad model folder, or models with different labels.
    """
    models = [load(folder, objective=objective) for folder in (first_dir, second_dir)]
    labels = models[0].labels
    if set(models[1].labels) != set(labels):
        raise ClaimsError(
            f"{first_dir} has the labels {', '.join(labels)}, {second_dir} has {', '.join(models[1].labels)}; expected "
            "two models of one label set"
        )
    sentences = read_sentences(data, labels, only)
    y_true = to_indicator((s.labels for s in sentences), labels)
    first, second = (_predicted(model, sentences, labels) for model in models)
    draws = Resamples(np.array([s.story for s in sentences]))
    rows = differing(sentences, first, second, labels)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return {
        "models": [first_dir.name, second_dir.name],
        "data": name or data.name + (f" ({only})" if only else ""),
        "n": len(sentences),
        "stories": draws.weights.shape[1],
        "differing": len(rows),
    } | paired(y_true, first, second, labels, draws)


def _predicted(model: ClaimModel, sentences: Sequence[Sentence], labels: Sequence[str]) -> Predicted:
    """Columns in the order of `labels`, whatever the model's own order."""
    columns = [model.labels.index(name) for name in labels]
    return model.predict_proba([s.text for s in sentences])[:, columns], model.thresholds[columns]


def paired(
    y_true: Array, first: Predicted, second: Predicted, labels: Sequence[str], draws: Resamples
) -> dict[str, Any]:
    """Paired bootstrap by story of every metric, and McNemar's test of each label's decisions.

    Returns:
        Under `metrics` each metric by its name (a label's as `labels.NAME.METRIC`): `first`, `second`, their
        `difference`, its 95 % `interval`, and `second_higher`, the share of resamples in which the second's figure is
        strictly higher. Under `mcnemar` each label: decisions that `only_first` and `only_second` had right, and the
        mid-p value `p`, which takes sentences for independent, as those of a story are not: where it and the
        bootstrap disagree, believe the bootstrap.
    """
    points = [_flat(scores(y_true, *_in_order(of, labels))) for of in (first, second)]
    resamples = [resampled(y_true, prob, labels, thresholds, draws) for prob, thresholds in (first, second)]
    found = {}
    for name, values in resamples[0].items():
        a, b = (point[name] for point in points)
        gains = resamples[1][name] - values
        found[name] = {
            "first": a,
            "second": b,
            "difference": None if a is None or b is None else b - a,
            "interval": interval(gains),
            "second_higher": float((gains > 0).mean()),
        }
    true = np.asarray(y_true, dtype=bool)
    right = [(prob >= thresholds) == true for prob, thresholds in (first, second)]
    return {
        "metrics": found,
        "mcnemar": {
            name: _mcnemar(int((right[0] & ~right[1])[:, k].sum()), int((right[1] & ~right[0])[:, k].sum()))
            for k, name in enumerate(labels)
        },
    }


def _in_order(predicted: Predicted, labels: Sequence[str]) -> tuple[Array, Sequence[str], Array]:
    return predicted[0], labels, predicted[1]


def _flat(figures: dict[str, Any]) -> dict[str, Any]:
    of_labels = {f"labels.{name}.{key}": v for name, values in figures["labels"].items() for key, v in values.items()}
    return figures | of_labels


def _mcnemar(only_first: int, only_second: int) -> dict[str, Any]:
    """The mid-p version of the exact test (Fagerland, Lydersen, Laake 2013)."""
    from scipy.stats import binom

    n, least = only_first + only_second, min(only_first, only_second)
    p = min(1.0, 2 * float(binom.cdf(least, n, 0.5)) - float(binom.pmf(least, n, 0.5))) if n else 1.0
    return {"only_first": only_first, "only_second": only_second, "p": p}


def differing(
    sentences: Sequence[Sentence], first: Predicted, second: Predicted, labels: Sequence[str]
) -> list[dict[str, Any]]:
    """The sentences that two models label differently: where only one is right first, then those furthest apart."""
    given = [prob >= thresholds for prob, thresholds in (first, second)]
    rows = np.flatnonzero((given[0] != given[1]).any(axis=1))
    found = []
    for i in map(int, rows):
        true = set(sentences[i].labels)
        names = [to_names(g[i : i + 1], labels)[0] for g in given]
        right = [name for name, of in zip(("first", "second"), names, strict=True) if set(of) == true]
        found.append(
            {
                "id": sentences[i].id,
                "text": sentences[i].text,
                "labels": list(sentences[i].labels),
                "first": names[0],
                "second": names[1],
                "right": right[0] if right else "neither",
                "apart": round(float(np.abs(first[0][i] - second[0][i]).max()), 4),
            }
        )
    return sorted(found, key=lambda row: (row["right"] == "neither", -row["apart"]))
