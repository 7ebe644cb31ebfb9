"""How the encoder learns: one process or several, on CPU or GPU, resumable at any step.

The order of batches follows from (seed, epoch) alone, and everything else that moves (weights, optimiser moments,
random state) is in the checkpoint, so a run that was killed ends with the weights of one that was not: to the bit on
the CPU; on a GPU as far as its kernels repeat themselves.
"""

import os
import random
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import distributed
from torch.nn.functional import logsigmoid

from conflict_claims.config import TransformerConfig
from conflict_claims.metrics import Array, macro_f1
from conflict_claims.runtime import pad_batch
from conflict_claims.transformer.checkpoint import Checkpoints

Report = Callable[[dict[str, Any], bool], None]

POOL = 32
"""Batches are cut from pools of this many, sorted by length: little padding, still well mixed."""

LAYER = re.compile(r"\.(?:layers?|blocks?|h)\.(\d+)\.")

HEAD_PARTS = ("classifier", "pooler", "score", "head", "pre_classifier", "dense_head")


@dataclass
class Job:
    """One training: settings, encoded data, and where to keep progress."""

    config: TransformerConfig
    ids: list[list[int]]
    y: Array
    validation_ids: list[list[int]]
    validation_y: Array
    pad: int
    checkpoint_dir: Path | None
    key: str
    once_from: int | None = None
    """From this row on, rows are dealt out over the epochs, each read once; those before are read in every epoch."""

    def epoch_rows(self, epoch: int) -> list[int]:
        """The rows to read in an epoch."""
        always = len(self.ids) if self.once_from is None else self.once_from
        return [*range(always), *range(always + epoch % self.config.epochs, len(self.ids), self.config.epochs)]


@dataclass
class State:
    """Where the training stands. Everything that a checkpoint keeps beside tensors."""

    epoch: int = 0
    batch: int = 0
    loss: float = 0.0
    seconds: float = 0.0
    best_score: float = -1.0
    best_epoch: int = -1
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class World:
    """The processes that train together, as torchrun and accelerate launch describe them."""

    rank: int
    size: int
    device: torch.device

    @classmethod
    def join(cls) -> "World":
        """Read the launcher's variables; join its group where there is one."""
        size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
        device = torch.device("cpu")
        if torch.cuda.is_available():
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
            torch.cuda.set_device(device)
        if size > 1 and not distributed.is_initialized():
            distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return cls(rank, size, device)


def seed_everything(seed: int) -> None:
    """Seed every source of chance that training uses."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def computes_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bf16 natively, so that it pays."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))


def batches_of(
    lengths: Sequence[int], size: int, seed: int, epoch: int, rows: Sequence[int] | None = None
) -> list[list[int]]:
    """Row numbers of each batch of one epoch: shuffled, like lengths together, the same for the same arguments."""
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(lengths) if rows is None else rows)
    batches = []
    for first in range(0, len(order), size * POOL):
        pool = sorted(order[first : first + size * POOL].tolist(), key=lambda i: lengths[i])
        batches += [pool[k : k + size] for k in range(0, len(pool), size)]
    return [batches[k] for k in rng.permutation(len(batches))]


def predict(model: torch.nn.Module, ids: Sequence[Sequence[int]], pad: int, autocast: bool, size: int = 64) -> Array:
    """Logits of shape (n, K), computed in length order and returned in input order."""
    device = next(model.parameters()).device
    model.eval()
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    rows: list[Array] = []
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=autocast):
        for k in range(0, len(order), size):
            inputs = _tensors(pad_batch([ids[i] for i in order[k : k + size]], pad), device)
            rows.append(model(**inputs).logits.float().cpu().numpy())
    result = np.empty((len(ids), rows[0].shape[1])) if rows else np.empty((0, 0))
    result[order] = np.concatenate(rows) if rows else result
    return result


def _tensors(batch: dict[str, Array], device: torch.device) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(values).to(device) for name, values in batch.items()}


def parameter_groups(model: torch.nn.Module, config: TransformerConfig) -> list[dict[str, Any]]:
    """The head learns faster than the encoder, each layer slower than the one above; no norm is decayed."""
    layers = {name: int(found[1]) for name, _ in model.named_parameters() if (found := LAYER.search(name))}
    depth = max(layers.values(), default=-1) + 1
    groups: dict[tuple[float, bool], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if any(part in name.split(".") for part in HEAD_PARTS):
            rate = config.head_learning_rate
        else:
            below = depth - 1 - layers.get(name, -1)  # what lies in no layer, the embeddings, lies below them all
            rate = config.learning_rate * config.layer_decay**below
        groups.setdefault((rate, parameter.ndim > 1), []).append(parameter)
    return [
        {"params": parameters, "initial_lr": rate, "weight_decay": config.weight_decay if decayed else 0.0}
        for (rate, decayed), parameters in groups.items()
    ]


def rate_at(step: int, total: int, warmup: float) -> float:
    """The share of the learning rate at a step of `total`: linear warm-up, then linear decay to zero."""
    rise = max(1, int(total * warmup))
    return (step + 1) / rise if step < rise else max(0.0, (total - step) / max(1, total - rise))


def asymmetric_loss(
    logits: torch.Tensor, target: torch.Tensor, positive_weight: torch.Tensor, focus: float
) -> torch.Tensor:
    """Binary cross-entropy in which the negative part weighs p ** focus (Ridnik et al. 2021): easy negatives fade.

    Args:
        logits: shape (n, K).
        target: between 0 and 1, shape (n, K).
        positive_weight: of the positive part, shape (K,).
        focus: 0 gives plain cross-entropy.
    """
    positive = positive_weight * target * logsigmoid(logits)
    negative = (1 - target) * torch.sigmoid(logits) ** focus * logsigmoid(-logits)
    return -(positive + negative).mean()


def positive_weight(y: Array, power: float) -> torch.Tensor:
    """(negatives / positives) ** power of each label, shape (K,), from targets of shape (n, K)."""
    positive = np.maximum(y.sum(axis=0), 1.0)
    return torch.tensor(((len(y) - positive).clip(1.0) / positive) ** power, dtype=torch.float32)


def train(model: torch.nn.Module, job: Job, report: Report) -> list[dict[str, Any]]:
    """Fine-tune `model` in place and leave it with the weights of its best epoch.

    Returns:
        The figures of each epoch: `epoch, loss, validation_macro_f1, seconds`.
    """
    config = job.config
    world = World.join()
    if config.threads:
        torch.set_num_threads(config.threads)
    model.to(world.device)
    if config.freeze_embeddings:
        model.get_input_embeddings().requires_grad_(False)  # type: ignore[operator]
    autocast = config.precision == "bf16" or (config.precision == "auto" and computes_bf16(world.device))
    optimizer = torch.optim.AdamW(parameter_groups(model, config), fused=True)
    checkpoints = Checkpoints(job.checkpoint_dir, job.key, main=world.rank == 0)
    state = _resume(checkpoints, model, optimizer, world)
    for figures in state.history:
        report(figures, True)
    learner = _Learner(model, optimizer, job, world, autocast)
    lengths = [len(row) for row in job.ids]
    starts = [0]  # the first step of each epoch, and one past the last
    for epoch in range(config.epochs):
        starts.append(starts[-1] - (-len(job.epoch_rows(epoch)) // config.batch_size))

    with _progress(world.rank == 0, starts[-1], starts[state.epoch] + state.batch) as advance:
        while state.epoch < config.epochs and state.epoch - state.best_epoch <= config.patience:
            batches = batches_of(lengths, config.batch_size, config.seed, state.epoch, job.epoch_rows(state.epoch))
            while state.batch < len(batches):
                step, started = starts[state.epoch] + state.batch, time.perf_counter()
                if world.size > 1:  # each process has dropout of its own, and a resumed one the same as before
                    torch.manual_seed(hash((config.seed, step, world.rank)) & 0x7FFFFFFF)
                state.loss += learner.step(batches[state.batch], rate_at(step, starts[-1], config.warmup))
                state.batch += 1
                state.seconds += time.perf_counter() - started
                advance()
                if step % config.checkpoint_every == config.checkpoint_every - 1:
                    checkpoints.save(model, optimizer, state)
            _end_epoch(model, job, state, checkpoints, autocast, len(batches))
            checkpoints.save(model, optimizer, state)
            report(state.history[-1], False)
    checkpoints.restore_best(model)
    return state.history


def _resume(checkpoints: Checkpoints, model: torch.nn.Module, optimizer: torch.optim.Optimizer, world: World) -> State:
    """The first process looks first: it removes checkpoints that do not fit, and the others must not read them."""
    if world.size > 1 and world.rank > 0:
        distributed.barrier()
    state = checkpoints.resume(model, optimizer, State())
    if world.size > 1 and world.rank == 0:
        distributed.barrier()
    return state


def _end_epoch(
    model: torch.nn.Module, job: Job, state: State, checkpoints: Checkpoints, autocast: bool, batches: int
) -> None:
    started = time.perf_counter()
    logits = predict(model, job.validation_ids, job.pad, autocast)
    score = macro_f1(job.validation_y, logits > 0)
    seconds = state.seconds + time.perf_counter() - started
    figures = {"epoch": state.epoch + 1, "loss": state.loss / batches, "validation_macro_f1": score, "seconds": seconds}
    state.history.append(figures)
    if score > state.best_score:
        state.best_score, state.best_epoch = score, state.epoch
        checkpoints.keep_best(model, state.epoch)
    state.epoch, state.batch, state.loss, state.seconds = state.epoch + 1, 0, 0.0, 0.0


class _Learner:
    """One optimiser step on one batch, shared between the processes of the world."""

    def __init__(
        self, model: torch.nn.Module, optimizer: torch.optim.Optimizer, job: Job, world: World, autocast: bool
    ) -> None:
        self.model, self.optimizer, self.job, self.world, self.autocast = model, optimizer, job, world, autocast
        self.positive_weight = positive_weight(job.y, job.config.class_weight_power).to(world.device)

    def step(self, rows: list[int], rate: float) -> float:
        """Learn from the rows of one batch; returns the loss on this process's share."""
        mine = rows[self.world.rank :: self.world.size] or rows[:1]
        self.model.train()
        inputs = _tensors(pad_batch([self.job.ids[i] for i in mine], self.job.pad), self.world.device)
        smoothing = self.job.config.label_smoothing
        target = torch.from_numpy(self.job.y[mine] * (1 - smoothing) + smoothing / 2).to(self.world.device)
        with torch.autocast(self.world.device.type, torch.bfloat16, enabled=self.autocast):
            logits = self.model(**inputs).logits
        loss = asymmetric_loss(logits.float(), target, self.positive_weight, self.job.config.negative_focus)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.world.size > 1:
            self._average_gradients()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss.item()

    def _average_gradients(self) -> None:
        """Average in one message; weights start equal (same seed) and so stay equal."""
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        distributed.all_reduce(flat)
        flat /= self.world.size
        parts = torch.split(flat, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))


class _progress:  # noqa: N801 - used like a function
    """A bar with the time left, on the terminal's error stream; silent where there is no terminal."""

    def __init__(self, visible: bool, total: int, done: int) -> None:
        console = Console(stderr=True)
        columns = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.bar = Progress(*columns, console=console, disable=not (visible and console.is_terminal))
        self.task = self.bar.add_task("training", total=total, completed=done)

    def __enter__(self) -> Callable[[], None]:
        self.bar.start()
        return lambda: self.bar.advance(self.task)

    def __exit__(self, *exception: object) -> None:
        self.bar.stop()
