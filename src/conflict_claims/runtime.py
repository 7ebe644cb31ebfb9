"""What predicting needs: the light loaders of both kinds of model. No torch, transformers, mlflow or dvc."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np

from conflict_claims.errors import ClaimsError
from conflict_claims.labels import to_names
from conflict_claims.metrics import Array, calibrate
from conflict_claims.model_folder import Manifest, check_file, read_manifest
from conflict_claims.objective import FILE, Cut, Objective, cuts_for, shortfalls
from conflict_claims.text import NORMALISATION, normalise, split_sentences

if TYPE_CHECKING:
    from conflict_claims.engines import Engine

BATCH = 64
MAX_CHARACTERS = 100_000
"""A single sentence longer than this is refused; articles may have any length."""
DEFAULT_MODELS = ("models/transformer", "models/tfidf")


@dataclass(frozen=True)
class Prediction:
    """One sentence: where it stands in its text, the claims it carries, and a probability for every claim type."""

    text: str
    start: int
    end: int
    labels: tuple[str, ...]
    probabilities: dict[str, float]


class ClaimModel:
    """A loaded model folder. Make one with :func:`load`."""

    def __init__(
        self, manifest: Manifest, logits: Callable[[Sequence[str]], Array], cuts: Mapping[str, Cut] | None = None
    ) -> None:
        self.manifest = manifest
        self.cuts = cuts or {}
        """What the thresholds gave on validation, by label, where they were chosen for an objective at loading."""
        self._logits = logits

    @property
    def labels(self) -> tuple[str, ...]:
        """The label set, in the order of all columns."""
        return self.manifest.labels

    @property
    def shortfalls(self) -> list[str]:
        """In words, the labels whose objective was out of reach on validation; none where it was trained with."""
        return shortfalls(self.cuts, self.manifest.objective)

    @property
    def thresholds(self) -> Array:
        """The probability of each label from which it is given, shape (K,)."""
        return self.manifest.threshold_array

    def predict_proba(self, texts: Sequence[str]) -> Array:
        """Calibrated probabilities of shape (n, K) for n sentences.

        Raises:
            ClaimsError: a text is no string, is empty or far too long for a sentence.
        """
        for i, text in enumerate(_checked(texts), 1):
            if len(text) > MAX_CHARACTERS:
                raise ClaimsError(
                    f"text {i} has {len(text):,} characters; a sentence has at most {MAX_CHARACTERS:,}: "
                    "have articles split (predict() without sentences, or without --sentences)"
                )
        clean = [normalise(text) for text in texts]
        if "" in clean:
            raise ClaimsError(f"text {clean.index('') + 1} is empty; leave it out")
        if not clean:
            return np.zeros((0, len(self.labels)))
        return calibrate(self._logits(clean), self.manifest.calibration_array)

    @overload
    def predict(self, text: str, *, sentences: bool = False) -> list[Prediction]: ...  # type: ignore[overload-overlap]
    @overload
    def predict(self, text: Sequence[str], *, sentences: bool = False) -> list[list[Prediction]]: ...
    def predict(
        self, text: str | Sequence[str], *, sentences: bool = False
    ) -> list[Prediction] | list[list[Prediction]]:
        """Say which claims each sentence of one article, or of each of several, carries.

        Args:
            text: one text or several.
            sentences: each text is one sentence already and is not split.

        Returns:
            For one text a list of predictions in reading order, for several a list of such lists.
        """
        texts = [text] if isinstance(text, str) else _checked(text)
        spans = [[(0, len(t))] if sentences else list(split_sentences(t)) for t in texts]
        flat = [t[start:end] for t, found in zip(texts, spans, strict=True) for start, end in found]
        predictions = self._predictions(flat, [span for found in spans for span in found])
        result = [[next(predictions) for _ in found] for found in spans]
        return result[0] if isinstance(text, str) else result

    def _predictions(self, texts: Sequence[str], spans: Sequence[tuple[int, int]]) -> Iterator[Prediction]:
        probabilities = self.predict_proba(texts)
        names = to_names(probabilities >= self.thresholds, self.labels)
        for text, (start, end), given, row in zip(texts, spans, names, probabilities, strict=True):
            pairs = zip(self.labels, row, strict=True)
            yield Prediction(text, start, end, tuple(given), {name: float(p) for name, p in pairs})


def _checked(texts: Sequence[str]) -> list[str]:
    if not isinstance(texts, Iterable):
        raise ClaimsError(f"expected a text or several, found {type(texts).__name__}")
    checked = list(texts)
    for i, text in enumerate(checked, 1):
        if not isinstance(text, str):
            raise ClaimsError(f"text {i}: expected a string, found {type(text).__name__}")
    return checked


def load(
    path: str | os.PathLike[str], *, threads: int = 0, form: str | None = None, objective: str | None = None
) -> ClaimModel:
    """Load a model folder.

    Args:
        path: the folder that `conflict-claims train` wrote.
        threads: processor threads to use; 0 means all.
        form: `fp32`, `bf16` or `int8` (see `engines`); by default the fastest that training found equal in its
            decisions and that this machine runs. TF-IDF has one form only.
        objective: what thresholds are for: `f1`, `recall>=0.95` or `precision>=0.95` (any number), chosen from the
            curves of the validation split in the folder; None takes those that the model was trained with.

    Raises:
        ClaimsError: no model folder, a changed file, a newer format, or an objective that the folder has no curves for.
    """
    folder = Path(path)
    manifest = read_manifest(folder)
    if manifest.text_normalisation != NORMALISATION:
        raise ClaimsError(
            f"{folder} needs the text normalisation {manifest.text_normalisation!r}, this version has "
            f"{NORMALISATION!r}; train the model again"
        )
    loaders = {"tfidf": _load_tfidf, "transformer": _load_transformer}
    if manifest.kind not in loaders:
        raise ClaimsError(f"{folder} holds a model of kind {manifest.kind!r}; expected {' or '.join(loaders)}")
    manifest, cuts = for_objective(folder, manifest, objective)
    return ClaimModel(manifest, loaders[manifest.kind](folder, manifest, threads, form), cuts)


def for_objective(folder: Path, manifest: Manifest, objective: str | None) -> tuple[Manifest, dict[str, Cut]]:
    """The manifest with an objective's thresholds, and what they gave on validation (nothing where it has them)."""
    purpose = None if objective is None else Objective.parse(objective)
    if purpose is None or str(purpose) == manifest.objective:
        return manifest, {}
    cuts = _cuts(folder, manifest, purpose)
    thresholds = {name: cuts[name].threshold for name in manifest.labels}
    return replace(manifest, thresholds=thresholds, objective=str(purpose)), cuts


def _cuts(folder: Path, manifest: Manifest, objective: Objective) -> dict[str, Cut]:
    if FILE not in manifest.files:
        raise ClaimsError(
            f"{folder} has no {FILE}, from which thresholds for {objective} would be chosen (model format "
            f"{manifest.format_version}); train the model again, or leave --objective out"
        )
    try:
        return cuts_for(json.loads(check_file(folder, manifest, FILE).read_text(encoding="utf-8")), objective)
    except (KeyError, TypeError, ValueError) as error:
        raise ClaimsError(f"{folder / FILE} is corrupted ({error}); train or copy the model again") from None


def default_model() -> Path:
    """The folder of the model to use when none is named.

    `CONFLICT_CLAIMS_MODEL`, else the pipeline's transformer, else its TF-IDF, seen from the working directory.
    """
    named = os.environ.get("CONFLICT_CLAIMS_MODEL")
    candidates = [Path(named)] if named else [Path(p) for p in DEFAULT_MODELS]
    for candidate in candidates:
        if (candidate / "claims.json").is_file():
            return candidate
    raise ClaimsError(
        f"no model found ({', '.join(map(str, candidates))}); name a model folder, or train one with `make run`"
    )


def _load_tfidf(folder: Path, manifest: Manifest, threads: int, form: str | None) -> Callable[[Sequence[str]], Array]:
    import skops.io

    from conflict_claims.fast_tfidf import VOCABULARY, FastTfidf, with_vocabulary

    path = check_file(folder, manifest, "model.skops")
    unknown = skops.io.get_untrusted_types(file=path)
    if unknown:
        raise ClaimsError(f"{path} holds types that a TF-IDF model has no use for ({', '.join(unknown)}); not loaded")
    pipeline = skops.io.load(path, trusted=[])
    if VOCABULARY in manifest.files:  # format 1 has it inside
        pipeline = with_vocabulary(pipeline, check_file(folder, manifest, VOCABULARY))
    return FastTfidf(pipeline)


def _load_transformer(
    folder: Path, manifest: Manifest, threads: int, form: str | None
) -> Callable[[Sequence[str]], Array]:
    from tokenizers import Tokenizer

    from conflict_claims import engines

    tokenizer = Tokenizer.from_file(str(check_file(folder, manifest, "tokenizer.json")))
    tokenizer.no_padding()
    tokenizer.enable_truncation(manifest.settings["max_tokens"])
    pad = json.loads(check_file(folder, manifest, "config.json").read_text(encoding="utf-8")).get("pad_token_id") or 0
    form = engines.choose(manifest.export.get("forms", {}), form)
    engine = engines.start(check_file(folder, manifest, engines.FILES[form]), form, threads)

    def logits(texts: Sequence[str]) -> Array:
        return run_sorted(engine, [encoding.ids for encoding in tokenizer.encode_batch_fast(list(texts))], pad)

    return logits


def run_sorted(engine: "Engine", ids: Sequence[Sequence[int]], pad: int) -> Array:
    """Logits of shape (n, K) of encoded sentences, in their order; like lengths together: half of the padding goes."""
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    batches = [order[first : first + BATCH] for first in range(0, len(order), BATCH)]
    found = engine([pad_batch([ids[i] for i in rows], pad) for rows in batches])
    result = np.empty((len(ids), found[0].shape[1]))
    result[order] = np.concatenate(found)
    return result


def pad_batch(ids: Sequence[Sequence[int]], pad: int) -> dict[str, Array]:
    """`input_ids` and `attention_mask` of shape (batch, longest), int64."""
    longest = max(len(row) for row in ids)
    input_ids = np.full((len(ids), longest), pad, dtype=np.int64)
    mask = np.zeros((len(ids), longest), dtype=np.int64)
    for i, row in enumerate(ids):
        input_ids[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return {"input_ids": input_ids, "attention_mask": mask}
