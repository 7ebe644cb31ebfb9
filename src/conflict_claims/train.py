"""Train one model: fit, calibrate and set thresholds on validation data, save the folder, record the run."""

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from conflict_claims import __version__, tracking
from conflict_claims.champion import record_model
from conflict_claims.config import Config, TfidfConfig, TransformerConfig
from conflict_claims.corpus.records import Sentence, fingerprint
from conflict_claims.corpus.split import read_splits, write_splits
from conflict_claims.distillation import distil
from conflict_claims.engines import Reference
from conflict_claims.errors import ClaimsError
from conflict_claims.labels import to_indicator
from conflict_claims.metrics import Array, calibrate, choose_thresholds, fit_calibration, scores
from conflict_claims.model_folder import CARD, Manifest, git_commit, locked, machine, refuse_existing, save_model_folder
from conflict_claims.objective import FILE, Objective, cuts_for, shortfalls, to_json
from conflict_claims.runtime import ClaimModel, load

KINDS = ("tfidf", "transformer")
Say = tracking.Say


class Classifier(Protocol):
    """The one shape of both kinds of model."""

    kind: str
    history: list[dict[str, Any]]
    seconds: float

    def logits(self, texts: Sequence[str]) -> Array:
        """Logits of shape (n, K)."""

    def save_pretrained(self, folder: Path, reference: Reference | None = None) -> dict[str, Any] | None:
        """Write the model's own files; returns what was measured at export, of faster forms against a reference."""


@dataclass(frozen=True)
class Data:
    """The two splits that training sees."""

    train: list[Sentence]
    validation: list[Sentence]
    labels: tuple[str, ...]
    held_out: frozenset[str]
    """The stories of validation and test."""

    @classmethod
    def read(cls, folder: Path, labels: tuple[str, ...]) -> "Data":
        """Read a folder of splits."""
        splits = read_splits(folder, labels)
        held_out = frozenset(s.story for name in ("validation", "test") for s in splits[name])
        return cls(splits["train"], splits["validation"], labels, held_out)

    @property
    def fingerprint(self) -> str:
        """Identifies texts and labels of both splits, whatever their order."""
        return fingerprint([*self.train, *self.validation])

    @property
    def key(self) -> str:
        """Identifies what a checkpoint depends on: each split, its order, and the order of the labels."""
        parts = [[(s.id, s.text, s.labels) for s in split] for split in (self.train, self.validation)]
        return hashlib.sha256(json.dumps([self.labels, *parts]).encode()).hexdigest()

    def arrays(self, split: list[Sentence]) -> tuple[list[str], Array]:
        """Texts and indicator of a split."""
        return [s.text for s in split], to_indicator((s.labels for s in split), self.labels)


def train(
    kind: str,
    data_dir: Path,
    output_dir: Path,
    config: Config,
    *,
    encoder: str | None = None,
    objective: str = "f1",
    overwrite: bool = False,
    track: bool = True,
    say: Say = lambda message: None,
) -> Manifest | None:
    """Train a model and save its folder.

    Args:
        kind: `tfidf` or `transformer`.
        data_dir: a folder of splits (train.jsonl, validation.jsonl, test.jsonl), made by `splits`.
        output_dir: where the model folder shall be.
        config: params.yaml, read.
        encoder: another encoder than the one in params.yaml, with its preset.
        objective: what the thresholds are for: `f1`, `recall>=0.95` or `precision>=0.95`, any number.
        overwrite: replace an existing model folder.
        track: record the training in MLflow.
        say: receives progress messages.

    Returns:
        The manifest of the saved model; None in the helping processes of a distributed training.

    Raises:
        ClaimsError: bad data, an existing folder, a full disk.
    """
    if kind not in KINDS:
        raise ClaimsError(f"unknown kind of model {kind!r}; expected {' or '.join(KINDS)}")
    purpose = Objective.parse(objective)
    main = int(os.environ.get("RANK", "0")) == 0  # of several processes, the first one saves and records
    quiet: Say = lambda message: None  # noqa: E731
    say = say if main else quiet
    with locked(output_dir) if main else nullcontext():
        refuse_existing(output_dir, overwrite)
        data = Data.read(data_dir, config.labels)
        settings = config.train.tfidf if kind == "tfidf" else config.train.transformer.for_encoder(encoder)
        say(f"training {kind} on {len(data.train)} sentences, validating on {len(data.validation)}")
        with tracking.start_run(config.tracking, output_dir.name, say, track and main) as run:
            run.params({"kind": kind, "objective": str(purpose), kind: settings.model_dump(exclude={"presets"})})
            run.dataset(data.train, fingerprint(data.train), "train")
            run.dataset(data.validation, fingerprint(data.validation), "validation")
            checkpoint_dir = output_dir.with_name(f".{output_dir.name}.checkpoint")
            model = _fit(settings, data, checkpoint_dir, run, say)
            if not main:
                return None
            manifest = _save(model, settings, data, output_dir, purpose, overwrite, say)
            shutil.rmtree(checkpoint_dir, ignore_errors=True)
            score, seconds = manifest.validation["macro_f1"], model.seconds
            say(f"saved {output_dir}: validation macro-F1 {score:.3f}, {seconds:.0f} s of training")
            run.metrics({"validation": manifest.validation, "training_seconds": seconds})
            run.attempt("the plots", lambda: _record_plots(run, output_dir, data))
            run.attempt("the model", lambda: record_model(run, output_dir, manifest, data.validation, config, say))
    return manifest


def train_on(
    kind: str,
    splits: dict[str, list[Sentence]],
    config: Config,
    folder: Path,
    say: Say = lambda message: None,
) -> ClaimModel:
    """Train on sentences in memory, as an experiment does: nothing is recorded.

    Writes `splits` and `model` into `folder`.
    """
    write_splits(splits, folder / "splits")
    train(kind, folder / "splits", folder / "model", config, track=False, say=say)
    return load(folder / "model")


def _fit(
    settings: TfidfConfig | TransformerConfig, data: Data, checkpoint_dir: Path, run: tracking.NullRun, say: Say
) -> Classifier:
    texts, y = data.arrays(data.train)
    validation = data.arrays(data.validation)
    key = data.key
    labelled = len(texts)
    if settings.teacher is not None:
        texts, y = distil(texts, y, data.held_out, data.labels, settings.teacher)
        key = hashlib.sha256(json.dumps([key, texts, y.tolist()]).encode()).hexdigest()
        say(f"learning from a teacher too, and from {len(texts) - labelled} unlabelled sentences that it has read")
    if isinstance(settings, TfidfConfig):
        from conflict_claims.tfidf import TfidfClassifier

        baseline = TfidfClassifier(data.labels, settings).fit(texts, y, validation)
        for step, figures in enumerate(baseline.history):
            run.metrics(figures, step=step)
        return baseline

    from conflict_claims.transformer import TransformerClassifier

    def report(figures: dict[str, Any], before: bool) -> None:
        score, loss = figures["validation_macro_f1"], figures["loss"]
        note = " (before this run was interrupted)" if before else ""
        say(f"epoch {figures['epoch']}: loss {loss:.4f}, validation macro-F1 {score:.3f}{note}")
        run.metrics({k: v for k, v in figures.items() if k != "epoch"}, step=figures["epoch"])

    encoder = TransformerClassifier(data.labels, settings)
    return encoder.fit(texts, y, validation, checkpoint_dir, key, report, once_from=labelled)


def _save(
    model: Classifier,
    settings: TfidfConfig | TransformerConfig,
    data: Data,
    output_dir: Path,
    objective: Objective,
    overwrite: bool,
    say: Say,
) -> Manifest:
    """Calibrate and set thresholds on validation data, then write the folder."""
    texts, y = data.arrays(data.validation)
    logits = model.logits(texts)
    calibration = fit_calibration(y, logits)
    probabilities = calibrate(logits, calibration)
    curves = to_json(y, probabilities, data.labels, choose_thresholds(y, probabilities))
    cuts = cuts_for(curves, objective)
    for line in shortfalls(cuts, objective):
        say(line)
    thresholds = np.array([cuts[name].threshold for name in data.labels])

    def decide(logits: Array) -> Array:
        return calibrate(logits, calibration) >= thresholds

    manifest = Manifest(
        kind=model.kind,
        labels=data.labels,
        thresholds={name: float(t) for name, t in zip(data.labels, thresholds, strict=True)},
        calibration={name: (float(a), float(b)) for name, (a, b) in zip(data.labels, calibration, strict=True)},
        package_version=__version__,
        git_commit=git_commit(),
        corpus_fingerprint=data.fingerprint,
        training_stories=tuple(sorted({s.story for s in data.train})),
        settings=json.loads(settings.model_dump_json(exclude={"presets"})),
        validation=scores(y, probabilities, data.labels, thresholds),
        training={"seconds": round(model.seconds, 1), "sentences": len(data.train)} | machine(),
        objective=str(objective),
    )

    def write_files(folder: Path) -> dict[str, Any] | None:
        exported = model.save_pretrained(folder, Reference(texts, logits, y, decide))
        (folder / FILE).write_text(json.dumps(curves) + "\n", encoding="utf-8")
        (folder / CARD).write_text(_model_card(manifest), encoding="utf-8")
        return exported

    return save_model_folder(output_dir, manifest, write_files, overwrite)


def _model_card(manifest: Manifest) -> str:
    figures = manifest.validation
    rows = "\n".join(
        f"| {name} | {values['f1']:.3f} | {values['threshold']:.2f} | {values['support']} |"
        for name, values in figures["labels"].items()
    )
    return f"""---
language: en
license: apache-2.0
tags: [text-classification, multi-label, conflict, news]
---
# Claim types in conflict reporting ({manifest.kind})

Reads one English sentence and gives a calibrated probability for each of: {", ".join(manifest.labels)}.
A label is given from its threshold on. Labels say what is claimed and who is shown to claim it, never whether it is
true.

Trained by conflict-claims {manifest.package_version} (commit {manifest.git_commit or "unknown"}) on the corpus
{manifest.corpus_fingerprint[:12]}. On its validation split (macro-F1 {figures["macro_f1"]:.3f}, {figures["n"]}
sentences; the data on which thresholds were set, so not an estimate for real news):

| label | F1 | threshold | support |
|---|---|---|---|
{rows}
"""


def _record_plots(run: tracking.NullRun, folder: Path, data: Data) -> None:
    """The pictures of the validation split, from the model as it was saved."""
    from conflict_claims.plots import draw_all

    model = load(folder)
    texts, y = data.arrays(data.validation)
    with tracking.temporary_folder() as into:
        draw_all(y, model.predict_proba(texts), model.labels, model.thresholds, Path(into))
        run.artifacts(Path(into))
