"""The champion: the registered model that others are held against. It changes only for a better one."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from conflict_claims import tracking
from conflict_claims.bootstrap import Resamples
from conflict_claims.compare import paired
from conflict_claims.config import Config
from conflict_claims.corpus.records import Sentence
from conflict_claims.errors import ClaimsError
from conflict_claims.labels import to_indicator
from conflict_claims.model_folder import Manifest
from conflict_claims.runtime import load


def record_model(
    run: tracking.NullRun,
    folder: Path,
    manifest: Manifest,
    validation: Sequence[Sentence],
    config: Config,
    say: tracking.Say,
) -> None:
    """Register the model; it becomes champion if it beats the champion on validation beyond chance."""
    with tracking.temporary_folder() as into:
        champion = run.champion_folder(Path(into))
        better, why = beats(folder, champion, validation, config) if champion else (True, "there was none before")
    registered = run.model(folder, manifest)
    if registered is None:
        return
    if better and run.crown(registered):
        say(f"MLflow: registered as version {registered}; it is the champion ({why})")
    else:
        say(f"MLflow: registered as version {registered}; the champion stays ({why})")


def beats(folder: Path, champion: Path, validation: Sequence[Sentence], config: Config) -> tuple[bool, str]:
    """Whether a model beats the champion on the validation stories that the champion was not trained on, and why."""
    try:
        old, new = load(champion), load(folder)
    except ClaimsError as error:
        return False, f"it cannot be loaded: {error}"
    if old.labels != new.labels:
        return False, f"it has other labels ({', '.join(old.labels)}); move the alias by hand if that is meant"
    seen = set(old.manifest.training_stories)
    unseen = [s for s in validation if s.story not in seen]
    if len({s.story for s in unseen}) < 10:
        return False, "fewer than 10 validation stories are new to it; move the alias by hand if that is meant"
    texts, y = [s.text for s in unseen], to_indicator((s.labels for s in unseen), new.labels)
    first, second = ((model.predict_proba(texts), model.thresholds) for model in (old, new))
    draws = Resamples(np.array([s.story for s in unseen]), config.tracking.resamples)
    found = paired(y, first, second, new.labels, draws)["metrics"]["macro_f1"]
    gain, certainty = found["difference"], found["second_higher"]
    why = f"macro-F1 {gain:+.3f} on {len(unseen)} validation sentences, better in {certainty:.0%} of resamples"
    return certainty >= config.tracking.confidence, why
