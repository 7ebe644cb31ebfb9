"""What each idea does to the small transformer: the same training with one thing changed, three seeds each.

    python benchmarks/recipe.py [--only NAME...]

Every variant learns from the same sentences (a sample of labelled stories, and of unlabelled ones that the teacher has
read), and is judged on the validation split alone.
Each training is one row of the output file; rows that are there are not trained again. The sample is smaller than what
`train` learns from: the table says what an idea does to a short training, not to every one.
"""

import argparse
import json
import os
import random
import re
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false"}

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cosine_similarity, normalize
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer
from transformers import logging as transformers_logging

from conflict_claims import markdown
from conflict_claims.config import TransformerConfig, load_config
from conflict_claims.corpus.records import Sentence, fingerprint
from conflict_claims.corpus.split import read_splits
from conflict_claims.corpus.unlabelled import read_unlabelled
from conflict_claims.curve import sample_stories
from conflict_claims.distillation import Teacher, text_key
from conflict_claims.encoders import find_encoder
from conflict_claims.labels import to_indicator
from conflict_claims.metrics import Array, choose_thresholds, scores, sigmoid
from conflict_claims.model_folder import machine_name
from conflict_claims.runtime import pad_batch, run_sorted
from conflict_claims.transformer.loop import asymmetric_loss, batches_of, computes_bf16, positive_weight, rate_at

LABELLED, UNLABELLED = 2500, 2500
BF16 = computes_bf16(torch.device("cpu"))
Batch = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Recipe:
    """One variant; the defaults are what `train` did before any of these ideas was taken into params.yaml."""

    epochs: int = 2
    batch_size: int = 32
    learning_rate: float = 3e-4
    head_learning_rate: float = 3e-3
    dropout: float = 0.0
    class_weight_power: float = 0.25
    label_smoothing: float = 0.0
    teacher_weight: float = 0.5  # of the teacher against the annotators
    unlabelled: bool = True
    pooling: str = "first"  # the first token through the pooler; "mean" of all tokens; "bare" first token
    pooler: str = "pretrained"  # weights that the pooler starts from; "identity" or "random"
    slow_pooler: bool = False  # the pretrained pooler learns at the encoder's rate, not at the head's
    layer_decay: float = 1.0  # each layer below learns at this share of the rate above it
    fresh_layers: int = 0  # top layers that start from random weights
    frozen_layers: int = 0  # bottom layers that do not learn
    focal: float = 0.0  # focal loss with this gamma
    asymmetric: float = 0.0  # asymmetric loss: gamma of the negatives, 0 for the positives
    logit_error: float = 0.0  # weight of the squared error of logits against the teacher's
    fgm: float = 0.0  # fast gradient method: length of the step on the word vectors
    smart: float = 0.0  # weight of smoothness: the answer may not move when word vectors do
    r_drop: float = 0.0  # weight of the difference between two passes with dropout
    average: float = 0.0  # decay of the moving average of weights that is judged at the end
    contrastive: float = 0.0  # weight of a supervised contrastive loss (similarity of label sets) beside
    hidden: float = 0.0  # weight of 1 - cosine to the teacher's mean hidden state
    perturb: float = 0.0  # share of names and numbers exchanged for others, anew in each epoch
    masked_epochs: int = 0  # passes of masked-language training on the same sentences before
    context: bool = False  # the sentence before it in its story as a second segment


BASE = "as it is"
KEPT = ("asymmetric loss, gamma 2", "layer-wise rates, 0.8 a layer")  # what params.yaml has taken over since
METRICS = ("macro_f1", "mean_average_precision")
IDEAS: dict[str, dict[str, Any]] = {
    BASE: {},
    "mean of the tokens instead of the pooler": {"pooling": "mean"},
    "first token without the pooler": {"pooling": "bare"},
    "pooler at the encoder's rate": {"slow_pooler": True},
    "pooler from random weights": {"pooler": "random"},
    "pooler from the identity": {"pooler": "identity"},
    "layer-wise rates, 0.8 a layer": {"layer_decay": 0.8},
    "top layer from random weights": {"fresh_layers": 1},
    "two bottom layers frozen": {"frozen_layers": 2},
    "rates doubled": {"learning_rate": 6e-4, "head_learning_rate": 6e-3},
    "rates halved": {"learning_rate": 1.5e-4, "head_learning_rate": 1.5e-3},
    "batches of 16": {"batch_size": 16},
    "dropout 0.1": {"dropout": 0.1},
    "no class weights": {"class_weight_power": 0.0},
    "focal loss, gamma 1": {"focal": 1.0},
    "asymmetric loss, gamma 2": {"asymmetric": 2.0},
    "asymmetric loss, gamma 4": {"asymmetric": 4.0},
    "asymmetric loss, gamma 2, no class weights": {"asymmetric": 2.0, "class_weight_power": 0.0},
    "label smoothing 0.05": {"label_smoothing": 0.05},
    "adversarial (FGM)": {"fgm": 0.5},
    "adversarial (FGM), a fifth of the step": {"fgm": 0.1},
    "smoothness (SMART)": {"smart": 1.0},
    "R-Drop, dropout 0.1": {"dropout": 0.1, "r_drop": 0.5},
    "weight averaging, 0.99": {"average": 0.99},
    "supervised contrastive loss beside": {"contrastive": 0.1},
    "names and numbers exchanged": {"perturb": 0.5},
    "masked-language training before": {"masked_epochs": 1},
    "the sentence before as context": {"context": True},
    "without unlabelled text": {"unlabelled": False},
    "without the teacher": {"unlabelled": False, "teacher_weight": 0.0},
    "the teacher alone": {"teacher_weight": 1.0},
    "logits against the teacher's": {"logit_error": 0.02},
    "hidden states of the teacher": {"hidden": 1.0},
    "read twice as often": {"epochs": 4},
    "first token without the pooler, asymmetric loss": {"pooling": "bare", "asymmetric": 2.0},
    "pooler from the identity, asymmetric loss": {"pooler": "identity", "asymmetric": 2.0},
    "layer-wise rates, 0.8 a layer, asymmetric loss": {"layer_decay": 0.8, "asymmetric": 2.0},
    "layer-wise rates, 0.8 a layer, asymmetric loss, mean of the tokens": {
        "layer_decay": 0.8,
        "asymmetric": 2.0,
        "pooling": "mean",
    },
}


@dataclass(frozen=True)
class Sample:
    """The sentences that every variant learns from, labelled ones first, and those it is judged on."""

    texts: list[str]
    before: list[str]
    y: Array
    """Annotators' labels, NaN for unlabelled sentences; shape (n, K)."""
    soft: Array
    """The teacher's probabilities, shape (n, K)."""
    labelled: int
    validation: list[str]
    validation_before: list[str]
    validation_y: Array
    labels: tuple[str, ...]


def _start_anew(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.LayerNorm):
        module.reset_parameters()


class Net(nn.Module):
    """An encoder and a linear layer on a pooled vector."""

    def __init__(self, encoder: str, recipe: Recipe, labels: int, hidden: int) -> None:
        super().__init__()
        drop = {"hidden_dropout_prob": recipe.dropout, "attention_probs_dropout_prob": recipe.dropout}
        self.encoder = AutoModel.from_pretrained(encoder, attn_implementation="eager", dtype=torch.float32, **drop)
        width = self.encoder.config.hidden_size
        self.drop = nn.Dropout(recipe.dropout)
        self.classifier = nn.Linear(width, labels)
        nn.init.normal_(self.classifier.weight, std=0.02)
        nn.init.zeros_(self.classifier.bias)
        self.to_teacher = nn.Linear(width, hidden) if hidden else None
        self.pooling = recipe.pooling
        self.nudge: torch.Tensor | None = None  # added to the word vectors
        words = self.encoder.get_input_embeddings()
        words.requires_grad_(False)
        words.register_forward_hook(lambda _module, _given, out: out if self.nudge is None else out + self.nudge)
        layers = self.encoder.encoder.layer
        for layer in layers[len(layers) - recipe.fresh_layers :]:
            layer.apply(_start_anew)
        if recipe.pooler != "pretrained":
            _start_anew(self.encoder.pooler.dense)
        if recipe.pooler == "identity":
            nn.init.eye_(self.encoder.pooler.dense.weight)
        if recipe.frozen_layers:
            self.encoder.embeddings.requires_grad_(False)
            layers[: recipe.frozen_layers].requires_grad_(False)

    def forward(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (n, K) and the mean hidden state (n, width)."""
        out = self.encoder(**batch)
        mean = mean_state(out.last_hidden_state, batch)
        pooled = {"first": out.pooler_output, "bare": out.last_hidden_state[:, 0], "mean": mean}[self.pooling]
        return self.classifier(self.drop(pooled)), mean

    def groups(self, recipe: Recipe, weight_decay: float) -> list[dict[str, Any]]:
        """Parameters with the rate and the decay that each one learns with."""
        depth = len(self.encoder.encoder.layer)
        groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
        for name, parameter in self.named_parameters():
            if not parameter.requires_grad:
                continue
            layer = re.search(r"encoder\.layer\.(\d+)\.", name)
            head = name.startswith(("classifier", "to_teacher")) or ("pooler" in name and not recipe.slow_pooler)
            below = 0 if head or "pooler" in name else depth - (int(layer[1]) if layer else -1) - 1
            rate = recipe.head_learning_rate if head else recipe.learning_rate * recipe.layer_decay**below
            groups.setdefault((rate, parameter.ndim > 1), []).append(parameter)
        return [
            {"params": parameters, "initial_lr": rate, "weight_decay": weight_decay if decayed else 0.0}
            for (rate, decayed), parameters in groups.items()
        ]


class Training:
    """One training of one variant."""

    def __init__(
        self, recipe: Recipe, sample: Sample, config: TransformerConfig, hidden: Array | None, seed: int
    ) -> None:
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        self.recipe, self.sample, self.config, self.seed = recipe, sample, config, seed
        encoder = find_encoder(config.encoder)
        self.tokenizer = AutoTokenizer.from_pretrained(encoder)
        self.hidden = torch.from_numpy(hidden) if hidden is not None and recipe.hidden else None
        width = 0 if self.hidden is None else self.hidden.shape[1]
        self.net = Net(encoder, recipe, len(sample.labels), width)
        target = np.where(np.isnan(sample.y), sample.soft, self._mixed())
        self.target = torch.from_numpy(target * (1 - recipe.label_smoothing) + recipe.label_smoothing / 2).float()
        self.soft = torch.from_numpy(sample.soft).float()
        self.positive_weight = positive_weight(target, recipe.class_weight_power)
        self.names = sorted({name for text in sample.texts for name in NAME.findall(text)})

    def _mixed(self) -> Array:
        weight = self.recipe.teacher_weight
        return (1 - weight) * self.sample.y + weight * self.sample.soft

    def run(self) -> Array:
        """Learn; returns the logits of the validation sentences."""
        recipe, sample = self.recipe, self.sample
        if recipe.masked_epochs:
            self._learn_language()
        optimizer = torch.optim.AdamW(self.net.groups(recipe, self.config.weight_decay), fused=True)
        epochs = [self._rows(epoch) for epoch in range(recipe.epochs)]
        total = sum(-(-len(rows) // recipe.batch_size) for rows in epochs)
        step, averaged = 0, None
        for epoch, rows in enumerate(epochs):
            texts = [self._perturbed(text) for text in sample.texts] if recipe.perturb else sample.texts
            ids = self._encode(texts, sample.before)
            for batch in batches_of([len(row) for row in ids], recipe.batch_size, self.seed, epoch, rows):
                rate = rate_at(step, total, self.config.warmup)
                for group in optimizer.param_groups:
                    group["lr"] = group["initial_lr"] * rate
                self._step(self._as_input(pad_batch([ids[k] for k in batch], 0)), torch.tensor(batch), optimizer)
                step += 1
                if recipe.average:
                    now = [p.detach().clone() for p in self.net.parameters()]
                    decay = min(recipe.average, step / (step + 10))
                    averaged = now if averaged is None else torch._foreach_lerp(averaged, now, 1 - decay)
        if averaged is not None:
            for parameter, value in zip(self.net.parameters(), averaged, strict=True):
                parameter.data.copy_(value)
        return self._logits(self._encode(sample.validation, sample.validation_before))

    def _rows(self, epoch: int) -> list[int]:
        """As `train` does: labelled rows in every epoch, unlabelled ones dealt out over two."""
        labelled = list(range(self.sample.labelled))
        if not self.recipe.unlabelled:
            return labelled
        return labelled + list(range(self.sample.labelled + epoch % 2, len(self.sample.texts), 2))

    def _encode(self, texts: Sequence[str], before: Sequence[str]) -> list[list[int]]:
        second = list(before) if self.recipe.context else None
        cut = "only_second" if self.recipe.context else True
        encoded = self.tokenizer(list(texts), second, truncation=cut, max_length=self.config.max_tokens)
        return [list(row) for row in encoded["input_ids"]]

    def _as_input(self, padded: dict[str, Array]) -> Batch:
        batch = tensors(padded)
        if self.recipe.context:
            ends = (batch["input_ids"] == self.tokenizer.sep_token_id).long()
            batch["token_type_ids"] = ((ends.cumsum(1) - ends) > 0).long() * batch["attention_mask"]
        return batch

    def _forward(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.autocast("cpu", torch.bfloat16, enabled=BF16):
            logits, mean = self.net(batch)
        return logits.float(), mean.float()

    def _step(self, batch: Batch, rows: torch.Tensor, optimizer: torch.optim.Optimizer) -> None:
        recipe = self.recipe
        self.net.train()
        if recipe.fgm:
            self.net.nudge = torch.zeros(*batch["input_ids"].shape, self.net.encoder.config.hidden_size)
            self.net.nudge.requires_grad_()
        logits, mean = self._forward(batch)
        loss = self._loss(logits, mean, rows)
        if recipe.r_drop:
            loss = loss + recipe.r_drop * difference(logits, self._forward(batch)[0])
        if recipe.smart:
            loss = loss + recipe.smart * difference(logits, self._nudged(batch, logits))
        loss.backward()  # type: ignore[no-untyped-call]
        if recipe.fgm:
            assert self.net.nudge is not None and self.net.nudge.grad is not None
            self.net.nudge = recipe.fgm * normalize(self.net.nudge.grad.flatten(1)).view_as(self.net.nudge)
            self._loss(*self._forward(batch), rows).backward()  # type: ignore[no-untyped-call]
            self.net.nudge = None
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def _nudged(self, batch: Batch, logits: torch.Tensor) -> torch.Tensor:
        """Logits with the word vectors moved a little in the direction that changes the answer most."""
        step = torch.randn(*batch["input_ids"].shape, self.net.encoder.config.hidden_size) * 1e-3
        self.net.nudge = step.requires_grad_()
        (gradient,) = torch.autograd.grad(difference(self._forward(batch)[0], logits.detach()), self.net.nudge)
        self.net.nudge = (step + 0.1 * normalize(gradient.flatten(1)).view_as(step)).detach()
        moved = self._forward(batch)[0]
        self.net.nudge = None
        return moved

    def _loss(self, logits: torch.Tensor, mean: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        recipe, target = self.recipe, self.target[rows]
        weight = self.positive_weight
        if recipe.focal:  # the easy positives fade too
            weight = weight * torch.sigmoid(-logits) ** recipe.focal
        loss = asymmetric_loss(logits, target, weight, recipe.focal or recipe.asymmetric)
        if recipe.logit_error:
            loss = loss + recipe.logit_error * (logits - torch.logit(self.soft[rows], 0.002)).square().mean()
        if self.hidden is not None:
            assert self.net.to_teacher is not None
            loss = loss + recipe.hidden * (1 - cosine_similarity(self.net.to_teacher(mean), self.hidden[rows])).mean()
        if recipe.contrastive:
            loss = loss + recipe.contrastive * self._contrast(mean, target)
        return loss

    @staticmethod
    def _contrast(vectors: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Sentences with like label sets (Jaccard similarity) lie near each other."""
        both = torch.minimum(target[:, None], target[None]).sum(-1) + 0.1  # two sentences without a label are alike
        alike = both / (torch.maximum(target[:, None], target[None]).sum(-1) + 0.1)
        vectors = normalize(vectors)
        near = (vectors @ vectors.T) / 0.1
        apart = torch.eye(len(vectors), dtype=torch.bool)
        near = near.masked_fill(apart, -1e4)
        alike = alike.masked_fill(apart, 0.0)
        return -(alike * near.log_softmax(1)).sum(1).div(alike.sum(1)).mean()

    def _perturbed(self, text: str) -> str:
        """Some names exchanged for others of as many words, some digits for others."""
        share = self.recipe.perturb

        def other(found: re.Match[str]) -> str:
            if random.random() > share:
                return found[0]
            drawn = random.choices(self.names, k=50)
            return next((name for name in drawn if name.count(" ") == found[0].count(" ")), found[0])

        text = NAME.sub(other, text)
        return re.sub(r"\d", lambda m: random.choice("123456789") if random.random() < share else m[0], text)

    def _learn_language(self) -> None:
        """Masked-language training of the encoder on all sentences of the sample."""
        model = AutoModelForMaskedLM.from_pretrained(find_encoder(self.config.encoder), attn_implementation="eager")
        model.bert.load_state_dict(self.net.encoder.state_dict(), strict=False)
        model.get_input_embeddings().requires_grad_(False)
        ids = self._encode(self.sample.texts, self.sample.before)
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4, fused=True)
        model.train()
        for epoch in range(self.recipe.masked_epochs):
            for rows in batches_of([len(row) for row in ids], 32, self.seed, 100 + epoch):
                batch = self._as_input(pad_batch([ids[k] for k in rows], 0))
                inside = batch["attention_mask"].bool() & (batch["input_ids"] > self.tokenizer.mask_token_id)
                hidden = inside & (torch.rand(inside.shape) < 0.15)
                labels = batch["input_ids"].masked_fill(~hidden, -100)
                given = batch | {"input_ids": batch["input_ids"].masked_fill(hidden, self.tokenizer.mask_token_id)}
                with torch.autocast("cpu", torch.bfloat16, enabled=BF16):
                    loss = model(**given, labels=labels).loss
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
        self.net.encoder.load_state_dict(model.bert.state_dict(), strict=False)

    def _logits(self, ids: list[list[int]]) -> Array:
        self.net.eval()
        with torch.inference_mode():
            return run_sorted(lambda batches: [self._forward(self._as_input(b))[0].numpy() for b in batches], ids, 0)


NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]+(?: [A-Z][a-z]+)*")
"""A run of capitalised words that does not open the sentence."""


def difference(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Symmetric Kullback-Leibler divergence of the labels' probabilities."""
    p, q = torch.sigmoid(a), torch.sigmoid(b)
    return ((p - q) * (a - b)).sum(-1).mean()


def take_sample(given: argparse.Namespace, labels: tuple[str, ...], config: TransformerConfig) -> Sample:
    """Whole stories of the training split and of the unlabelled text, until there are as many sentences as asked."""
    assert config.teacher is not None
    splits = read_splits(given.splits, labels)
    teacher = Teacher.read(Path(config.teacher.probabilities), labels)
    train = sample_stories(splits["train"], LABELLED, 0)
    unlabelled = [item.sentence for item in read_unlabelled(Path(config.teacher.unlabelled))]
    more = sample_stories([s for s in unlabelled if text_key(s.text) in teacher.probabilities], UNLABELLED, 0)
    both = [*train, *more]
    y = to_indicator((s.labels for s in both), labels).astype(float)
    y[len(train) :] = np.nan
    soft = teacher.soft([s.text for s in both])
    held = splits["validation"]
    return Sample(
        [s.text for s in both], before(both), y, np.where(np.isnan(soft), y, soft), len(train),
        [s.text for s in held], before(held), to_indicator((s.labels for s in held), labels), labels,
    )  # fmt: skip


def before(sentences: Sequence[Sentence]) -> list[str]:
    """The text of the sentence before each one in its story; empty for the first."""
    by_id = {s.id: s.text for s in sentences}

    def previous(name: str) -> str:
        stem, _, number = name.rpartition("-")
        return by_id.get(f"{stem}-{int(number) - 1:0{len(number)}d}", "") if number.isdigit() else ""

    return [previous(s.id) for s in sentences]


def hidden_states(texts: Sequence[str], folder: Path) -> Array:
    """The mean last hidden state of the teacher, shape (n, its width)."""
    model, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(list(texts), truncation=True, max_length=128)["input_ids"]

    def states(batch: Batch) -> Array:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=BF16):
            return mean_state(model(**batch).last_hidden_state.float(), batch).numpy()

    return run_sorted(lambda batches: [states(tensors(b)) for b in batches], ids, tokenizer.pad_token_id).astype("f4")


def tensors(padded: dict[str, Array]) -> Batch:
    """A padded batch for torch."""
    return {name: torch.from_numpy(values) for name, values in padded.items()}


def mean_state(states: torch.Tensor, batch: Batch) -> torch.Tensor:
    """The mean over a sentence's tokens, shape (n, width)."""
    mask = batch["attention_mask"].unsqueeze(-1)
    return (states * mask).sum(1) / mask.sum(1)


def main() -> None:
    """Train what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", type=Path, default=Path("data/splits"))
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=IDEAS, help="train these alone; the table has all rows")
    parser.add_argument("--teacher", type=Path, default=Path("models/mpnet"), help="for its hidden states")
    parser.add_argument("--output", type=Path, default=Path("experiments/recipe.json"))
    given = parser.parse_args()
    config = load_config(given.params)
    settings = config.train.transformer
    sample = take_sample(given, config.labels, settings)
    corpus = fingerprint([Sentence(str(k), t, (), "") for k, t in enumerate([*sample.texts, *sample.validation])])
    rows: list[dict[str, Any]] = json.loads(given.output.read_text()) if given.output.exists() else []
    states: Array | None = None
    wanted = []
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    for seed in range(given.seeds):
        for idea, changes in IDEAS.items():
            recipe = Recipe(**changes)
            key = {"idea": idea, "seed": seed, "corpus": corpus, "recipe": differences(recipe)}
            wanted.append(key)
            if any(key.items() <= row.items() for row in rows) or idea not in (given.only or (idea,)):
                continue
            if recipe.hidden and states is None:
                states = hidden_states(sample.texts, given.teacher)
            training = Training(recipe, sample, settings, states, seed)
            started = time.perf_counter()
            logits = training.run()
            found = judge(sample, logits) | {"seconds": round(time.perf_counter() - started, 1)}
            rows.append(key | found | {"date": str(date.today()), "machine": machine_name()})
            given.output.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
            sys.stderr.write(f"{idea}, seed {seed}: {found}\n")
    text = table([row for row in rows if any(key.items() <= row.items() for key in wanted)], sample)
    given.output.with_suffix(".md").write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(text + "\n")


def differences(recipe: Recipe) -> str:
    """What a variant changes of the defaults; a field added later does not make old rows stale."""
    plain = asdict(Recipe())
    return json.dumps({name: value for name, value in asdict(recipe).items() if value != plain[name]})


def judge(sample: Sample, logits: Array) -> dict[str, float]:
    """Macro-F1 at the thresholds that `train` would choose on the validation split, and mean average precision."""
    probabilities = sigmoid(logits)
    thresholds = choose_thresholds(sample.validation_y, probabilities)
    found = scores(sample.validation_y, probabilities, sample.labels, thresholds)
    return {name: found[name] for name in METRICS}


def table(rows: list[dict[str, Any]], sample: Sample) -> str:
    """Each idea against the base of the same seed, best first."""
    base = {row["seed"]: row for row in rows if row["idea"] == BASE}
    found = []
    for idea in IDEAS:
        own = sorted((r for r in rows if r["idea"] == idea and r["seed"] in base), key=lambda r: r["seed"])
        if own:
            parts = {m: [row[m] - base[row["seed"]][m] for row in own] for m in METRICS}
            # Different days had different work beside: the first seed of one day tells more than a mean.
            timed = next((row for row in own if row["date"] == base[row["seed"]]["date"]), own[0])
            ratio = timed["seconds"] / base[timed["seed"]]["seconds"]
            found.append((statistics.fmean(parts["macro_f1"]), idea, own, parts, ratio))
    cells = [
        [
            idea,
            len(own),
            f"{statistics.fmean(row['macro_f1'] for row in own):.4f}",
            f"{gain:+.4f} ({', '.join(f'{part:+.3f}' for part in parts['macro_f1'])})",
            f"{statistics.fmean(row['mean_average_precision'] for row in own):.4f}",
            f"{statistics.fmean(parts['mean_average_precision']):+.4f}",
            f"{ratio:.2f}",
        ]
        for gain, idea, own, parts, ratio in sorted(found, reverse=True, key=lambda item: item[0])
    ]
    head = ["idea", "seeds", "macro-F1", "gain (seed by seed)", "mAP", "gain", "time"]
    about = (
        f"Judged on the validation split; trained on {sample.labelled:,} labelled and "
        f"{len(sample.texts) - sample.labelled:,} unlabelled sentences; {rows[-1]['machine']}; {rows[-1]['date']}. "
        f"Gains are against the same seed of '{BASE}' (`train` before any of these ideas), time is a share of its, at "
        "the first seed for which both were trained on one day. "
        f"Kept since: {'; '.join(KEPT)}."
    )
    return f"# What each idea does\n\n`python benchmarks/recipe.py`. {about}\n\n{markdown.table(head, cells)}"


if __name__ == "__main__":
    main()
