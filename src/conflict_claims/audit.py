"""The label audit: which labels does a model that has not seen the sentence find unlikely?"""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from conflict_claims.config import Config
from conflict_claims.corpus.records import Sentence, fingerprint, read_corpus
from conflict_claims.corpus.split import folds_by_story, split_by_story
from conflict_claims.errors import ClaimsError
from conflict_claims.labels import to_indicator, to_names
from conflict_claims.metrics import Array
from conflict_claims.runtime import load
from conflict_claims.train import Say, train_on

FOLDS = 5


def audit(
    corpus: Path,
    work: Path,
    output: Path,
    config: Config,
    kind: str = "transformer",
    model: Path | None = None,
    say: Say = lambda message: None,
) -> int:
    """Flag the sentences whose labels a cross-validated model doubts, to be read again.

    Five models are trained, each on four fifths of the stories; each gives probabilities to the fifth that it has not
    seen. Confident learning (Northcutt, Jiang, Chuang 2021; cleanlab's multi-label filter, one label against the rest)
    then says which labels are likelier wrong than right.

    Args:
        corpus: a corpus folder.
        work: where the probabilities of each fold are kept; folds that are there already are not trained again.
        output: JSONL to write, the most doubtful sentence first: `id, text, labels, doubted, probabilities`.
        config: params.yaml, read.
        kind: kind of model.
        model: a trained model to ask instead; then only stories that it was not trained on are audited.
        say: receives progress messages.

    Returns:
        How many sentences were flagged.
    """
    try:
        from cleanlab.multilabel_classification.filter import find_multilabel_issues_per_class
        from cleanlab.multilabel_classification.rank import get_label_quality_scores
    except ModuleNotFoundError:
        raise ClaimsError("the label audit needs cleanlab; install it with pip install -e '.[train,dev]'") from None

    sentences = read_corpus(corpus, config.labels)
    if model is None:
        probabilities = cross_validated(sentences, work, config, kind, say)
    else:
        auditor = load(model)
        seen = set(auditor.manifest.training_stories)
        sentences = [s for s in sentences if s.story not in seen]
        probabilities = auditor.predict_proba([s.text for s in sentences])
    y = to_indicator((s.labels for s in sentences), config.labels)
    given = [[int(k) for k in np.flatnonzero(row)] for row in y]
    doubted = np.array(find_multilabel_issues_per_class(given, probabilities), dtype=bool)
    quality = get_label_quality_scores(given, probabilities)
    rows = [
        {
            "id": sentences[k].id,
            "text": sentences[k].text,
            "labels": list(sentences[k].labels),
            "doubted": to_names(doubted[k : k + 1], config.labels)[0],
            "probabilities": [round(float(p), 3) for p in probabilities[k]],
        }
        for k in np.argsort(quality)
        if doubted[k].any()
    ]
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return len(rows)


def cross_validated(sentences: Sequence[Sentence], work: Path, config: Config, kind: str, say: Say) -> Array:
    """Probabilities of shape (n, K), each from a model that was not trained on the sentence's story."""
    home = work / f"{kind}-{fingerprint(sentences)[:12]}"
    home.mkdir(parents=True, exist_ok=True)
    result = np.zeros((len(sentences), len(config.labels)))
    for k, held_out in enumerate(folds_by_story(sentences, config.splits, FOLDS)):
        path = home / f"fold-{k}.npy"
        if not path.exists():
            rest = [s for i, s in enumerate(sentences) if i not in set(held_out)]
            probabilities = _held_out(rest, [sentences[i] for i in held_out], config, kind, say)
            with (home / f".fold-{k}.saving").open("wb") as file:
                np.save(file, probabilities, allow_pickle=False)
            (home / f".fold-{k}.saving").replace(path)
            say(f"fold {k + 1} of {FOLDS}: {len(held_out)} sentences read")
        result[held_out] = np.load(path, allow_pickle=False)
    return result


def _held_out(rest: list[Sentence], held_out: list[Sentence], config: Config, kind: str, say: Say) -> Array:
    """Train on `rest`, less a little to validate on; probabilities of `held_out`."""
    shares = config.splits.model_copy(update={"validation": 0.08, "test": 0.02})  # training wants three parts
    splits = split_by_story(rest, config.labels, shares)
    with tempfile.TemporaryDirectory() as folder:
        model = train_on(kind, splits, config.from_labels_alone(kind), Path(folder), say)
        return model.predict_proba([s.text for s in held_out])
