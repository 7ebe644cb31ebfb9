"""Time what `evaluate` does after its predictions: every metric, interval, curve and slice.

    python benchmarks/evaluate.py [--sentences 10000] [--stories 800]

Sentences are those of the test split, drawn again and again; probabilities are drawn around their labels.
"""

import argparse
import dataclasses
import sys
import time
from pathlib import Path

import numpy as np

from conflict_claims.config import load_config
from conflict_claims.corpus.records import read_sentences
from conflict_claims.evidence import Judged, describe, examine
from conflict_claims.labels import to_indicator
from conflict_claims.metrics import sigmoid
from conflict_claims.model_folder import machine_name


def main() -> None:
    """Draw, score, and say how long it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data/splits/test.jsonl"))
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--sentences", type=int, default=10_000)
    parser.add_argument("--stories", type=int, default=800, help="as many as sentences: the slowest case")
    given = parser.parse_args()
    labels = load_config(given.params).labels
    real = read_sentences(given.data, labels)
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(real), given.sentences)
    sentences = [
        dataclasses.replace(real[i], id=str(k), story=str(k % given.stories)) for k, i in enumerate(map(int, drawn))
    ]
    y = to_indicator((s.labels for s in sentences), labels)
    y_prob = sigmoid(6 * y - 3 + rng.normal(0, 1.8, y.shape))
    started = time.perf_counter()
    judged = Judged(sentences, y, y_prob, labels, np.full(len(labels), 0.5))
    figures = describe(judged)
    described = time.perf_counter() - started
    found = examine(judged)
    total = time.perf_counter() - started
    sys.stdout.write(
        f"{len(sentences):,} sentences, {figures['stories']:,} stories, {len(found['slices'])} slices, "
        f"{len(judged.draws.weights):,} resamples: metrics and their intervals {described:.1f} s, with curves, "
        f"slices and errors {total:.1f} s\n{machine_name()}\n"
    )


if __name__ == "__main__":
    main()
