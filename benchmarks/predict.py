"""How fast predicting is, against what a user would otherwise write: the same weights, sentences and machine.

    python benchmarks/predict.py [--model models/transformer] [--baseline models/tfidf] [--rounds 5]

Rounds go through all contenders in turn, so that what else runs on the machine hits all alike; figures are medians over
rounds, and ratios hold within one run alone.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "true"}

import numpy as np
import onnxruntime
import torch
from tokenizers import Tokenizer

from conflict_claims import engines
from conflict_claims.corpus.records import read_texts
from conflict_claims.engines import FILES, runnable
from conflict_claims.fast_tfidf import VOCABULARY, with_vocabulary
from conflict_claims.markdown import insert_block, table
from conflict_claims.model_folder import machine_name
from conflict_claims.runtime import load, pad_batch, run_sorted

Run = Callable[[Sequence[str]], object]
BATCH = 32
BEGIN, END = "<!-- speed: made by make bench-predict -->", "<!-- end of speed -->"


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("models/transformer"))
    parser.add_argument("--baseline", type=Path, default=Path("models/tfidf"))
    parser.add_argument("--data", type=Path, default=Path("data/splits/test.jsonl"))
    parser.add_argument("--sentences", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path("experiments/bench_predict.json"))
    parser.add_argument("--insert", type=Path, help="Markdown file whose marked block is replaced by the tables")
    return parser.parse_args()


def main() -> None:
    """Measure everything, write figures and tables."""
    given = arguments()
    texts = read_texts(given.data)[: given.sentences]
    tokens = token_counts(given.model, texts)
    figures = {
        "machine": machine_name(),
        "date": str(date.today()),
        "sentences": len(texts),
        "mean_tokens": round(float(np.mean(tokens)), 1),
        "rates": rates(transformers_of(given.model), texts, given.rounds),
        "one_core": rates(linear_of(given.baseline), texts, given.rounds, core=True),
        "gflops_a_sentence": {kind: round(value / 1e9, 3) for kind, value in work(given.model, tokens).items()},
        "matrix_product_gflops": {name: matrix_products(kind) for name, kind in DTYPES.items()},
        "one_sentence_ms": {str(path): latency(path, texts) for path in (given.model, given.baseline)},
        "process_seconds": {
            "load and first answer, transformer": process(ANSWER.format(model=str(given.model)), given.rounds),
            "load and first answer, TF-IDF": process(ANSWER.format(model=str(given.baseline)), given.rounds),
            "--help": process(HELP, given.rounds),
        },
    }
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    text = tables(figures)
    given.output.with_suffix(".md").write_text(f"# Speed of predicting\n\n{text}\n", encoding="utf-8")
    if given.insert is not None:
        insert_block(given.insert, text, BEGIN, END)
    sys.stdout.write(text + "\n")


def token_counts(model: Path, texts: Sequence[str]) -> list[int]:
    """Word pieces of each sentence, as the model reads it."""
    tokenizer = _tokenizer(model)
    return [len(encoding.ids) for encoding in tokenizer.encode_batch(list(texts))]


def _tokenizer(model: Path) -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(128)
    return tokenizer


def transformers_of(model: Path) -> dict[str, Run]:
    """What runs the transformer: as others would write it, and each of our forms that this machine runs."""
    import transformers

    transformers.utils.logging.set_verbosity_error()
    pipe = transformers.pipeline("text-classification", model=str(model), device="cpu", top_k=None, dtype=torch.float32)
    session = onnxruntime.InferenceSession(str(model / "model.onnx"), providers=["CPUExecutionProvider"])
    tokenizer = _tokenizer(model)

    def unsorted(texts: Sequence[str]) -> None:
        for k in range(0, len(texts), BATCH):
            ids = [encoding.ids for encoding in tokenizer.encode_batch(list(texts[k : k + BATCH]))]
            session.run(None, pad_batch(ids, 0))

    runs: dict[str, Run] = {
        f"transformers pipeline, fp32, batches of {BATCH}": lambda texts: pipe(list(texts), batch_size=BATCH),
        f"onnxruntime, fp32, batches of {BATCH} as they come": unsorted,
    }
    forms = json.loads((model / "claims.json").read_text(encoding="utf-8"))["export"].get("forms", {})
    for form in reversed(FILES):
        if form == "fp32" or (runnable(form) and forms.get(form, {}).get("kept")):
            runs[f"ours, {form}"] = load(model, form=form).predict_proba
    if forms.get("int8", {}).get("kept"):  # a machine without the extra [fast]
        light = engines.start(model / FILES["int8"], "int8", runtime="onnxruntime")
        runs["ours, int8 without OpenVINO"] = lambda texts: run_sorted(
            light, [encoding.ids for encoding in tokenizer.encode_batch(list(texts))], 0
        )
    return runs


def linear_of(model: Path) -> dict[str, Run]:
    """The TF-IDF model by scikit-learn, and by us."""
    import skops.io

    pipeline = with_vocabulary(skops.io.load(model / "model.skops", trusted=[]), model / VOCABULARY)
    return {
        "scikit-learn's own pipeline": lambda texts: pipeline.decision_function(list(texts)),
        "ours, TF-IDF": load(model).predict_proba,
    }


def rates(runs: dict[str, Run], texts: Sequence[str], rounds: int, core: bool = False) -> dict[str, float]:
    """Sentences a second of each contender, the median over rounds; with `core` on one core only."""
    before = os.sched_getaffinity(0)
    if core:
        os.sched_setaffinity(0, {min(before)})
    try:
        found: dict[str, list[float]] = {name: [] for name in runs}
        for run in runs.values():
            run(texts[:BATCH])
        for _ in range(rounds):
            for name, run in runs.items():
                started = time.perf_counter()
                run(texts)
                found[name].append(len(texts) / (time.perf_counter() - started))
    finally:
        os.sched_setaffinity(0, before)
    return {name: round(statistics.median(values), 1) for name, values in found.items()}


DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def matrix_products(kind: torch.dtype, size: int = 1536) -> float:
    """Billions of operations a second of the processor's best matrix product, all cores."""
    a, b = torch.ones((size, size), dtype=kind), torch.ones((size, size), dtype=kind)
    best = 0.0
    for _ in range(12):
        started = time.perf_counter()
        torch.mm(a, b)
        best = max(best, 2 * size**3 / (time.perf_counter() - started) / 1e9)
    return round(best, 1)


def work(model: Path, tokens: Sequence[int]) -> dict[str, float]:
    """Operations of a sentence's matrix products without padding, the mean: linear layers, and attention.

    `exported` is the file of ours, whose last layer is computed for the first token alone (BERT, MPNet).
    """
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    hidden, layers, inner = (config[k] for k in ("hidden_size", "num_hidden_layers", "intermediate_size"))
    n = np.asarray(tokens, dtype=float)
    keys, rest = 4 * hidden**2, 4 * hidden**2 + 4 * hidden * inner  # of a token: keys and values; all other products
    layer, last = n * (keys + rest + 4 * n * hidden), n * keys + rest + 4 * n * hidden
    return {"whole": float((layers * layer).mean()), "exported": float(((layers - 1) * layer + last).mean())}


def latency(model: Path, texts: Sequence[str]) -> float:
    """Milliseconds of `predict()` for one sentence after loading, the median."""
    loaded = load(model)
    found = []
    for text in texts[:220]:
        started = time.perf_counter()
        loaded.predict(text, sentences=True)
        found.append(1000 * (time.perf_counter() - started))
    return round(statistics.median(found[20:]), 2)


ANSWER = "import conflict_claims; conflict_claims.load({model!r}).predict('Two people were killed, police said.')"
HELP = "import sys, conflict_claims.cli; sys.argv = ['conflict-claims', '--help']; conflict_claims.cli.main()"


def process(code: str, rounds: int) -> float:
    """Seconds of a new Python process that does this, the median."""
    found = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=False, stdout=subprocess.DEVNULL)
        found.append(time.perf_counter() - started)
    return round(statistics.median(found[1:]), 2)


def tables(figures: dict[str, Any]) -> str:
    """The figures in Markdown: rates with ratios, then times."""
    rated = figures["rates"]
    pipeline, unsorted = (next(v for k, v in rated.items() if k.startswith(name)) for name in ("trans", "onnx"))
    peak, operations = figures["matrix_product_gflops"], figures["gflops_a_sentence"]
    rows = []
    for name, rate in rated.items():
        share = (
            rate
            * operations["whole" if name.startswith("trans") else "exported"]
            / peak["bf16" if "int8" in name or "bf16" in name else "fp32"]
        )
        rows.append([name, f"{rate:,.0f}", f"{rate / pipeline:.1f}", f"{rate / unsorted:.1f}", f"{share:.0%}"])
    head = [
        "transformer",
        "sentences a second",
        "against the pipeline",
        "against onnxruntime",
        "of the peak",
    ]
    plain = figures["one_core"]["scikit-learn's own pipeline"]
    linear = [[name, f"{rate:,.0f}", f"{rate / plain:.1f}"] for name, rate in figures["one_core"].items()]
    times = [[f"one sentence, {Path(k).name} (ms)", f"{v:.1f}"] for k, v in figures["one_sentence_ms"].items()]
    times += [[f"{name} (s)", f"{value:.2f}"] for name, value in figures["process_seconds"].items()]
    about = (
        f"{figures['machine']}; Python {platform.python_version()}; {figures['date']}; {figures['sentences']:,} "
        f"sentences of {figures['mean_tokens']} word pieces on average, {operations['whole']} billion operations each, "
        f"{operations['exported']} in the exported file, which onnxruntime and ours run. Peak: the best matrix "
        f"products of torch, {peak['fp32']:,.0f} (fp32) and {peak['bf16']:,.0f} (bf16, against which int8 is held too) "
        "billion operations a second; more than all of it means that the library multiplies faster than torch."
    )
    parts = [about, table(head, rows), table(["one core", "sentences a second", "ratio"], linear)]
    return "\n\n".join([*parts, table(["time", "median"], times)])


if __name__ == "__main__":
    main()
