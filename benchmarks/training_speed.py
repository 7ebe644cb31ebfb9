"""Where the time of training goes: the same steps with one thing changed at a time.

    python benchmarks/training_speed.py [--rounds 5]

Variants take turns in one process, so their ratios hold, whatever else the machine does; the figures are medians.
"""

import argparse
import itertools
import json
import os
import statistics
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from transformers import logging as transformers_logging

from conflict_claims.corpus.records import read_texts
from conflict_claims.encoders import find_encoder
from conflict_claims.markdown import table
from conflict_claims.model_folder import machine_name
from conflict_claims.runtime import pad_batch
from conflict_claims.transformer.first_token import only_first_token
from conflict_claims.transformer.loop import batches_of, computes_bf16

OURS: dict[str, Any] = {
    "attention": "eager", "dropout": 0.0, "frozen": True, "batch": 32, "sorted": True, "bf16": True, "first": True
}  # fmt: skip
VARIANTS: dict[str, dict[str, Any]] = {
    "ours": {},
    "word embeddings trained": {"frozen": False},
    "dropout 0.1": {"dropout": 0.1},
    "fused attention": {"attention": "sdpa"},
    "batches of 8": {"batch": 8},
    "batches of 64": {"batch": 64},
    "lengths mixed": {"sorted": False},
    "fp32": {"bf16": False},
    "last layer for all tokens": {"first": False},
    "none of it: as the Trainer's defaults": {
        "attention": "sdpa", "dropout": 0.1, "frozen": False, "batch": 8, "sorted": False, "bf16": False,
        "first": False,
    },
}  # fmt: skip


class Stepper:
    """Training steps of one variant."""

    def __init__(self, ids: list[list[int]], encoder: str, settings: dict[str, Any]) -> None:
        self.ids, self.settings = ids, OURS | settings
        torch.manual_seed(0)
        self.model = AutoModelForSequenceClassification.from_pretrained(
            encoder,
            num_labels=4,
            attn_implementation=self.settings["attention"],
            hidden_dropout_prob=self.settings["dropout"],
            attention_probs_dropout_prob=self.settings["dropout"],
        )
        if self.settings["first"]:
            only_first_token(self.model)
        self.model.get_input_embeddings().requires_grad_(not self.settings["frozen"])
        self.model.train()
        learned = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(learned, lr=1e-4, fused=True)
        lengths = [len(row) if self.settings["sorted"] else 1 for row in ids]
        self.batches = itertools.cycle(batches_of(lengths, self.settings["batch"], 0, 0))

    def rate(self, sentences: int) -> float:
        """Sentences a second over at least so many."""
        done, started = 0, time.perf_counter()
        while done < sentences:
            rows = next(self.batches)
            inputs = {k: torch.from_numpy(v) for k, v in pad_batch([self.ids[i] for i in rows], 0).items()}
            with torch.autocast("cpu", torch.bfloat16, enabled=self.settings["bf16"]):
                logits = self.model(**inputs).logits
            torch.nn.functional.binary_cross_entropy_with_logits(logits.float(), torch.zeros(len(rows), 4)).backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            done += len(rows)
        return done / (time.perf_counter() - started)


def main() -> None:
    """Measure, write figures and a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data/splits/train.jsonl"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sentences", type=int, default=320, help="sentences a variant and round")
    parser.add_argument("--output", type=Path, default=Path("experiments/training_speed.json"))
    given = parser.parse_args()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    encoder = find_encoder("minilm")
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    ids = tokenizer(read_texts(given.data)[:4000], truncation=True, max_length=128)["input_ids"]
    steppers = {name: Stepper(ids, encoder, settings) for name, settings in VARIANTS.items()}
    found: dict[str, list[float]] = {name: [] for name in steppers}
    for turn in range(given.rounds + 1):
        for name, stepper in steppers.items():
            rate = stepper.rate(given.sentences)
            if turn:  # the first one warms up
                found[name].append(rate)
    rates = {name: round(statistics.median(values), 1) for name, values in found.items()}
    native = computes_bf16(torch.device("cpu"))
    where = machine_name()
    figures = {"machine": where, "date": str(date.today()), "bf16_native": native, "sentences_a_second": rates}
    given.output.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    rows = ([name, f"{rate:.0f}", f"{rate / rates['ours']:.2f}"] for name, rate in rates.items())
    sys.stdout.write(table(["training steps", "sentences a second", "against ours"], rows) + "\n")


if __name__ == "__main__":
    main()
