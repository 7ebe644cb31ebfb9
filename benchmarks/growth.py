"""How cost grows with the input: rate and peak memory of `predict` at ten thousand to a million sentences.

    python benchmarks/growth.py [--sizes 10000 100000 1000000] [--insert docs/predict.md]

Each measurement is the whole command, from its start to the finished output, on sentences of the corpus drawn at random
with replacement. Memory is that of the command and all its workers together: the largest sum, looked at ten times a
second, of what each holds of its own and its share of what they hold in common (PSS). Each measurement is saved when it
is made, and those of the same model, version and machine are not made again: a run that was stopped goes on, and
`--again` measures anew.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import psutil

from conflict_claims import __version__
from conflict_claims.corpus.records import read_texts
from conflict_claims.markdown import insert_block, table
from conflict_claims.model_folder import machine_name, read_manifest

SIZES = (10_000, 100_000, 1_000_000)
LARGEST = {"transformer": 100_000}
"""A million sentences of the transformer say nothing that ten thousand did not, and take half an hour."""
BEGIN, END = "<!-- growth: made by make bench-growth -->", "<!-- end of growth -->"
KEY = ("kind", "weights", "sentences", "version", "machine")


def main() -> None:
    """Measure what is missing, save each figure at once, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="*", default=[Path("models/tfidf"), Path("models/transformer")])
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    parser.add_argument("--data", type=Path, default=Path("data/splits/train.jsonl"))
    parser.add_argument("--again", action="store_true", help="measure everything anew")
    parser.add_argument("--output", type=Path, default=Path("experiments/growth.json"))
    parser.add_argument("--insert", type=Path, help="Markdown file whose marked block is replaced by the table")
    given = parser.parse_args()
    texts, where = read_texts(given.data), machine_name()
    saved = given.output.exists() and not given.again
    rows: list[dict[str, Any]] = json.loads(given.output.read_text(encoding="utf-8")) if saved else []
    wanted = []
    for model in given.models:
        manifest = read_manifest(model)
        weights = next(sha for name, sha in sorted(manifest.files.items()) if name.startswith("model."))[:12]
        for size in (size for size in given.sizes if size <= LARGEST.get(manifest.kind, size)):
            key = (manifest.kind, weights, size, __version__, where)
            wanted.append(key)
            if key in map(_key, rows):
                continue
            sys.stderr.write(f"{model}, {size:,} sentences\n")
            rows.append(dict(zip(KEY, key, strict=True)) | measure(model, texts, size) | {"date": str(date.today())})
            given.output.parent.mkdir(parents=True, exist_ok=True)
            given.output.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    rows = [row for row in rows if _key(row) in wanted]
    given.output.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    text = growth_table(rows)
    if given.insert is not None:
        insert_block(given.insert, text, BEGIN, END)
    sys.stdout.write(text + "\n")


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[k] for k in KEY)


def measure(model: Path, texts: Sequence[str], size: int) -> dict[str, Any]:
    """Seconds and peak memory (bytes) of the command on so many sentences."""
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "in.jsonl"
        with source.open("w", encoding="utf-8") as file:
            for k in range(size):
                file.write(json.dumps({"id": k, "text": rng.choice(texts)}, ensure_ascii=False) + "\n")
        command = [sys.executable, "-m", "conflict_claims.cli", "predict", str(source), "--sentences"]
        command += ["--model", str(model), "--output", f"{name}/out.jsonl"]
        started, peak = time.perf_counter(), 0
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None:
                peak = max(peak, memory(process.pid))
                time.sleep(0.1)
        seconds = time.perf_counter() - started
        with Path(f"{name}/out.jsonl").open("rb") as file:
            written = sum(1 for _ in file)
    if process.returncode or written != size:
        raise SystemExit(f"{model}: exit status {process.returncode}, {written:,} of {size:,} sentences")
    return {"seconds": round(seconds, 2), "peak_memory": peak}


def memory(pid: int) -> int:
    """What a process and all its children hold, in bytes; what they share counts once."""
    total = 0
    with suppress(psutil.Error):
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            with suppress(psutil.Error):  # it ended just now
                total += process.memory_full_info().pss
    return total


def growth_table(rows: Sequence[dict[str, Any]]) -> str:
    """The measurements in Markdown."""
    about = "; ".join(sorted({f"{row['machine']}, {row['date']}" for row in rows}))
    cells = [
        [
            row["kind"],
            f"{row['sentences']:,}",
            f"{row['seconds']:,.1f}",
            f"{row['sentences'] / row['seconds']:,.0f}",
            f"{row['peak_memory'] / 1e6:,.0f}",
        ]
        for row in rows
    ]
    return f"{about}.\n\n" + table(["model", "sentences", "seconds", "sentences a second", "peak memory (MB)"], cells)


if __name__ == "__main__":
    main()
