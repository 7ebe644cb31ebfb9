"""Train every contender and our own models on the same splits, and say how good each is and what it costs.

    python benchmarks/quality.py [--quick] [--seeds 3] [--also FILE...] [--only NAME...]

Each training is one row of the output file; rows that are there already are not trained again, so a run that was
stopped goes on. Times are comparable within one run on one machine and nowhere else.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false"}

import numpy as np
from contenders import CONTENDERS, NOTES, Task, Trained, size_of

from conflict_claims import markdown
from conflict_claims.config import Config, TfidfConfig, TransformerConfig, load_config
from conflict_claims.corpus.records import Sentence, fingerprint, read_sentences
from conflict_claims.corpus.split import read_splits
from conflict_claims.corpus.unlabelled import read_unlabelled
from conflict_claims.curve import sample_stories
from conflict_claims.encoders import find_encoder
from conflict_claims.evidence import Judged, describe
from conflict_claims.labels import to_indicator
from conflict_claims.model_folder import machine_name, sha256
from conflict_claims.train import train_on

QUICK = 1000
OURS: dict[str, tuple[str, dict[str, Any]]] = {
    "ours: TF-IDF, labels alone": ("tfidf", {"teacher": None}),
    "ours: TF-IDF": ("tfidf", {}),
    "ours: transformer, labels alone": (  # the Trainer's work, no more
        "transformer",
        {"teacher": None, "epochs": 3, "negative_focus": 0.0},
    ),
    "ours: transformer": ("transformer", {}),
}
KEY = ("contender", "seed", "corpus", "settings")
BEGIN, END = "<!-- benchmark: made by make bench-quality -->", "<!-- end of benchmark -->"


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", type=Path, default=Path("data/splits"))
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--also", type=Path, nargs="*", default=[], help="other labelled files to score on")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--only",
        nargs="*",
        choices=[*CONTENDERS, *OURS],
        help="train these alone; the table has all rows that are there",
    )
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} sentences, one seed: ten minutes")
    parser.add_argument("--output", type=Path, help="rows (.json); a table of the same name (.md) lies beside")
    parser.add_argument("--insert", type=Path, help="Markdown file whose marked block is replaced by the table")
    return parser.parse_args()


def main() -> None:
    """Train what is missing, then write the table."""
    given = arguments()
    config = load_config(given.params)
    splits = read_splits(given.splits, config.labels)
    name = "bench_quality_quick" if given.quick else "bench_quality"
    output = given.output or Path(f"experiments/{name}.json")
    paths = [given.splits / "test.jsonl", *given.also]
    files = {path.name: read_sentences(path, config.labels) for path in paths}  # a bad one stops us before training
    where = machine_name()
    rows: list[dict[str, Any]] = json.loads(output.read_text(encoding="utf-8")) if output.exists() else []
    wanted = set()
    for seed in range(1 if given.quick else given.seeds):
        part = splits | {"train": sample_stories(splits["train"], QUICK, seed)} if given.quick else splits
        for contender in [*CONTENDERS, *OURS]:
            settings = _settings(contender, config, seed)
            key = (contender, seed, fingerprint([s for split in part.values() for s in split]), settings)
            wanted.add(key)
            done = any(_key(row) == key and set(files) <= set(row["files"]) for row in rows)
            if done or contender not in (given.only or (contender,)):
                continue
            sys.stderr.write(f"{contender}, seed {seed}, {len(part['train'])} sentences\n")
            row = dict(zip(KEY, key, strict=True)) | run(contender, seed, part, files, config, given.quick)
            rows = [old for old in rows if _key(old) != key]  # it lacked a file
            rows.append(row | {"sentences": len(part["train"]), "date": str(date.today()), "machine": where})
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
            scored = ", ".join(f"{file} {row['files'][file]['macro_f1']:.3f}" for file in row["files"])
            sys.stderr.write(f"  {row['seconds']:.0f} s; macro-F1 {scored}\n")
    text = table([row for row in rows if _key(row) in wanted], list(files))
    output.with_suffix(".md").write_text(f"# Benchmark\n\n{text}\n", encoding="utf-8")
    if given.insert is not None:
        markdown.insert_block(given.insert, text, BEGIN, END)
    sys.stdout.write(text + "\n")


def _settings(contender: str, config: Config, seed: int) -> str:
    """What our own models are trained with; a contender's settings stand in its code."""
    if contender not in OURS:
        return ""
    kind, changes = OURS[contender]
    section: TfidfConfig | TransformerConfig = getattr(config.changed(kind, seed=seed, **changes).train, kind)
    teacher = "" if section.teacher is None else sha256(Path(section.teacher.probabilities))[:12]
    return section.model_dump_json(exclude={"presets"}) + teacher


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[k] for k in KEY)


def run(
    contender: str,
    seed: int,
    splits: dict[str, list[Sentence]],
    files: dict[str, list[Sentence]],
    config: Config,
    quick: bool,
) -> dict[str, Any]:
    """Train one contender; its seconds, its bytes, and its figures on every file."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = time.perf_counter()
        if contender in OURS:
            (predict, size), thresholds, seconds = ours(contender, seed, splits, config, folder, quick)
        else:
            data = {
                name: ([s.text for s in part], to_indicator((s.labels for s in part), config.labels))
                for name, part in splits.items()
            }
            encoder = find_encoder("minilm")
            task = Task(data["train"], data["validation"], config.labels, seed, encoder, folder)
            predict, size = CONTENDERS[contender](task)
            seconds, thresholds = time.perf_counter() - started, np.full(len(config.labels), 0.5)
        scores = {}
        for file, sentences in files.items():
            y_true = to_indicator((s.labels for s in sentences), config.labels)
            y_prob = np.asarray(predict([s.text for s in sentences]), dtype=float)
            scores[file] = describe(Judged(sentences, y_true, y_prob, config.labels, thresholds))
        return {"seconds": round(seconds, 1), "bytes": size, "files": scores}


def ours(
    contender: str, seed: int, splits: dict[str, list[Sentence]], config: Config, folder: Path, quick: bool
) -> tuple[Trained, "np.ndarray[Any, Any]", float]:
    """Our own model through the same door as a user's; export and calibration are part of its time."""
    kind, changes = OURS[contender]
    config = config.changed(kind, seed=seed, **changes)
    if quick:
        config = _with_less_unlabelled(kind, config, folder / "unlabelled")
    started = time.perf_counter()
    model = train_on(kind, splits, config, folder)
    seconds = time.perf_counter() - started
    return (model.predict_proba, size_of(folder / "model")), model.thresholds, seconds


def _with_less_unlabelled(kind: str, config: Config, folder: Path) -> Config:
    """As much less of the teacher's text as there is less of the corpus."""
    teacher = getattr(config.train, kind).teacher
    if teacher is None:
        return config
    everything = [item.sentence for item in read_unlabelled(Path(teacher.unlabelled))]
    folder.mkdir()
    lines = [json.dumps({"text": s.text}) + "\n" for s in sample_stories(everything, 2 * QUICK, 0)]
    (folder / "sample.jsonl").write_text("".join(lines), encoding="utf-8")
    return config.changed(kind, teacher=teacher.model_copy(update={"unlabelled": str(folder)}))


def table(rows: list[dict[str, Any]], files: list[str]) -> str:
    """Means over seeds: of the score and of its interval's bounds; the range goes from the worst to the best seed."""
    labels = list(rows[0]["files"][files[0]]["labels"])
    parts = [f"{rows[0]['sentences']:,} training sentences; {rows[-1]['machine']}; {rows[-1]['date']}."]
    for file in files:
        head = ["contender", "seeds", "macro-F1 (95 %)", "seeds' range", "micro-F1", "mAP", *labels, "training s", "MB"]
        cells = []
        groups = {name: [row for row in rows if row["contender"] == name] for name in [*CONTENDERS, *OURS]}
        for name, group in sorted(groups.items(), key=lambda item: _mean(item[1], file, "macro_f1")):
            if group:
                cells.append(_cells(name, group, file, labels))
        parts.append(f"**{file}**\n\n{markdown.table(head, cells)}")
    parts.append("\n".join(f"- {name}: {note}" for name, note in NOTES.items()))
    return "\n\n".join(parts)


def _mean(group: list[dict[str, Any]], file: str, metric: str) -> float:
    return statistics.fmean(row["files"][file][metric] for row in group) if group else 0.0


def _cells(name: str, group: list[dict[str, Any]], file: str, labels: list[str]) -> list[str]:
    f1 = [row["files"][file]["macro_f1"] for row in group]
    low, high = (statistics.fmean(row["files"][file]["intervals"]["macro_f1"][k] for row in group) for k in (0, 1))
    per_label = [statistics.fmean(row["files"][file]["labels"][label]["f1"] for row in group) for label in labels]
    return [
        name,
        str(len(group)),
        f"{statistics.fmean(f1):.3f} ({low:.2f} to {high:.2f})",
        f"{min(f1):.3f} to {max(f1):.3f}",
        f"{_mean(group, file, 'micro_f1'):.3f}",
        f"{_mean(group, file, 'mean_average_precision'):.3f}",
        *(f"{value:.3f}" for value in per_label),
        f"{statistics.median(row['seconds'] for row in group):.0f}",
        f"{statistics.median(row['bytes'] for row in group) / 1e6:.1f}",
    ]


if __name__ == "__main__":
    main()
