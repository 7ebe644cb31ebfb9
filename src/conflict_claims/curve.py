"""The learning curve: how good both kinds of model get with more and more stories."""

import json
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from conflict_claims.config import Config
from conflict_claims.corpus.records import Sentence, fingerprint
from conflict_claims.corpus.split import read_splits
from conflict_claims.evaluate import evaluate
from conflict_claims.plots import lines
from conflict_claims.train import KINDS, Say, train_on

SIZES = (1000, 2000, 4000, 8000)
KEY = ("corpus", "kind", "sentences", "seed")


def learning_curve(
    data_dir: Path,
    output: Path,
    config: Config,
    also: Sequence[Path] = (),
    sizes: Sequence[int] = SIZES,
    seeds: int = 3,
    say: Say = lambda message: None,
) -> list[dict[str, Any]]:
    """Train on growing samples of whole stories, score on the test split and on other labelled files.

    Args:
        data_dir: a folder of splits; validation and test stay whole.
        output: a JSON file. Trainings that it holds already are not repeated, so a killed run goes on. A picture of
            the same name is drawn beside it.
        config: params.yaml, read; the models learn from labels alone, whatever it says of a teacher.
        also: other labelled files to score on.
        sizes: sentences to train on; a size above that of the train split means all of it.
        seeds: trainings of each size; each seed draws its own stories and its own start.
        say: receives progress messages.

    Returns:
        One row a training: `corpus, kind, sentences, seed`, and the macro-F1 on each file by its name. `sentences` is
        the size asked for; whole stories may make it a few more.
    """
    splits = read_splits(data_dir, config.labels)
    corpus = fingerprint([s for part in splits.values() for s in part])
    rows: list[dict[str, Any]] = json.loads(output.read_text(encoding="utf-8")) if output.exists() else []
    done = {tuple(row[name] for name in KEY) for row in rows}
    for size in (min(size, len(splits["train"])) for size in sizes):
        for seed in range(seeds):
            chosen = sample_stories(splits["train"], size, seed)
            for kind in KINDS:
                key = (corpus, kind, size, seed)
                if key in done:
                    continue
                scores = _scores(kind, splits | {"train": chosen}, seed, config, also)
                rows.append(dict(zip(KEY, key, strict=True)) | scores)
                done.add(key)
                output.parent.mkdir(parents=True, exist_ok=True)
                output.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
                said = ", ".join(f"{name} {value:.3f}" for name, value in scores.items())
                say(f"{kind}, {len(chosen)} sentences, seed {seed}: {said}")
    draw([row for row in rows if row["corpus"] == corpus], output.with_suffix(".png"))
    return rows


def sample_stories(sentences: Sequence[Sentence], size: int, seed: int) -> list[Sentence]:
    """Whole stories in random order until `size` sentences are reached."""
    stories: dict[str, list[Sentence]] = {}
    for sentence in sentences:
        stories.setdefault(sentence.story, []).append(sentence)
    names = sorted(stories)
    random.Random(seed).shuffle(names)
    chosen: list[Sentence] = []
    for name in names:
        if len(chosen) >= size:
            break
        chosen += stories[name]
    return chosen


def _scores(
    kind: str, splits: dict[str, list[Sentence]], seed: int, config: Config, also: Sequence[Path]
) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        train_on(kind, splits, config.from_labels_alone(kind, seed=seed), folder)
        files = (folder / "splits/test.jsonl", *also)
        return {path.name: evaluate(folder / "model", path)["macro_f1"] for path in files}


def draw(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """One line for each kind of model and file: the mean over seeds, with their range."""
    curves: dict[str, dict[int, list[float]]] = {}
    for row in sorted(rows, key=lambda row: (row["kind"], row["sentences"])):
        for name in (name for name in row if name not in KEY):
            curves.setdefault(f"{row['kind']}, {name}", {}).setdefault(row["sentences"], []).append(row[name])
    lines(curves, "sentences trained on", "macro-F1", path)
