"""Progress on disk: safetensors and JSON, never a pickle; a half-written checkpoint is never seen."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from conflict_claims.errors import ClaimsError
from conflict_claims.model_folder import sync

if TYPE_CHECKING:
    from conflict_claims.transformer.loop import State

Tensors = dict[str, torch.Tensor]


@contextmanager
def as_os_error() -> Iterator[None]:
    """Safetensors reports a full disk with an exception of its own; make it the usual one."""
    try:
        yield
    except SafetensorError as error:
        raise OSError(str(error)) from error


@contextmanager
def _saving(folder: Path) -> Iterator[None]:
    try:
        with as_os_error():
            yield
    except OSError as error:
        raise ClaimsError(
            f"{folder}: progress could not be saved ({error.strerror or error}); free some space and call the same "
            "command again, it goes on from the last checkpoint"
        ) from error


class Checkpoints:
    """The checkpoints of one training in one folder.

    A checkpoint is a folder `step-N` that was written beside and renamed; the newest one counts. `key` says which
    settings and data it belongs to: another key starts afresh. With no folder, only the best weights are kept, in
    memory.
    """

    def __init__(self, folder: Path | None, key: str, main: bool = True) -> None:
        self.folder, self.key, self.main = folder, key, main
        self._best: Tensors | None = None
        self._best_name = ""
        self._count = 0

    def resume(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer, state: "State") -> "State":
        """Load the newest checkpoint of this key into model, optimiser and random state; else leave all as it is."""
        if self.folder is None:
            return state
        for path in sorted(self.folder.glob("step-*"), reverse=True):
            if path.suffix == ".saving":
                continue
            values = json.loads((path / "state.json").read_text(encoding="utf-8"))
            if values["key"] != self.key:
                break
            self._load(path, model, optimizer)
            self._best_name, self._count = values["best"], values["count"]
            return type(state)(**values["state"])
        if self.main:
            shutil.rmtree(self.folder, ignore_errors=True)
        return state

    def save(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer, state: "State") -> None:
        """Write a checkpoint and remove the one before it."""
        if self.folder is None or not self.main:
            return
        with _saving(self.folder):
            self._write(self.folder, model, optimizer, state)

    def _write(self, folder: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer, state: "State") -> None:
        self._count += 1
        path = folder / f"step-{self._count:06d}"
        beside = path.with_suffix(".saving")
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        save_file(_contiguous(model.state_dict()), beside / "model.safetensors")
        save_file(_optimizer_tensors(optimizer) | _random_state(), beside / "optimizer.safetensors")
        values = {"key": self.key, "count": self._count, "best": self._best_name, "state": asdict(state)}
        (beside / "state.json").write_text(json.dumps(values), encoding="utf-8")
        for file in beside.iterdir():
            sync(file)
        beside.rename(path)
        for old in folder.iterdir():
            if old != path and old.name != self._best_name:
                shutil.rmtree(old) if old.is_dir() else old.unlink()

    def keep_best(self, model: torch.nn.Module, epoch: int) -> None:
        """Keep these weights as the best so far; the next `save` makes it known."""
        weights = _contiguous(model.state_dict())
        if self.folder is None or not self.main:
            self._best = {name: value.detach().cpu().clone() for name, value in weights.items()}
            return
        name = f"best-{epoch:03d}.safetensors"
        with _saving(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            beside = self.folder / f"{name}.saving"
            save_file(weights, beside)
            sync(beside)
            beside.rename(self.folder / name)
        self._best_name = name

    def restore_best(self, model: torch.nn.Module) -> None:
        """Put the best weights back into the model."""
        if self._best is None and self.folder is not None and self._best_name:
            self._best = load_file(self.folder / self._best_name)
        if self._best is not None:
            model.load_state_dict(self._best)

    def _load(self, path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        model.load_state_dict(load_file(path / "model.safetensors"))
        tensors = load_file(path / "optimizer.safetensors")
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        for k, parameter in enumerate(parameters):
            moments = {n: tensors[f"{k}.{n}"] for n in ("step", "exp_avg", "exp_avg_sq") if f"{k}.{n}" in tensors}
            # fused AdamW wants its step counter beside the parameter
            optimizer.state[parameter] = {n: value.to(parameter.device) for n, value in moments.items()}
        torch.set_rng_state(tensors["random.cpu"])
        if "random.cuda" in tensors and torch.cuda.is_available():
            torch.cuda.set_rng_state(tensors["random.cuda"])


def _contiguous(tensors: dict[str, Any]) -> Tensors:
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> Tensors:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    return {
        f"{k}.{name}": value.detach().cpu().contiguous()
        for k, parameter in enumerate(parameters)
        for name, value in optimizer.state[parameter].items()
    }


def _random_state() -> Tensors:
    state = {"random.cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["random.cuda"] = torch.cuda.get_rng_state()
    return state
