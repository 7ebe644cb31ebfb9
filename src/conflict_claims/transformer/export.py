"""Leaving torch behind: the fine-tuned encoder as ONNX, with proof that it says the same."""

import io
import logging
import warnings
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from conflict_claims.metrics import Array

TOLERANCE = 1e-3
"""Largest logit difference between torch and ONNX that is rounding and no mistake."""

PROBE = (
    "Residents said the shelling killed at least four people.",
    "The army has retaken the town, the defence ministry said on Tuesday, two days after rebels overran it.",
    "Prices rose.",
    "GOVERNMENT TROOPS HAVE WITHDRAWN FROM THE NORTHERN SUBURBS, MILITARY SOURCES TOLD THE AGENCY.",
)


def to_onnx(model: torch.nn.Module, path: Path) -> None:
    """Export with free batch and length; weights stay inside the one file."""
    ids = torch.ones((2, 8), dtype=torch.int64)
    free = {0: torch.export.Dim("batch", min=1, max=4096), 1: torch.export.Dim("length", min=2, max=8192)}
    attention = getattr(model.config, "_attn_implementation", None)
    model.set_attn_implementation("eager")  # type: ignore[operator]
    quiet = logging.getLogger("torch.onnx")
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            torch.onnx.export(
                _Logits(model),
                (ids, torch.ones_like(ids)),
                path,
                dynamo=True,
                input_names=["input_ids", "attention_mask"],
                output_names=["logits"],
                dynamic_shapes={"input_ids": free, "attention_mask": free},
                external_data=False,
                verbose=False,
            )
    finally:
        quiet.setLevel(level)
        model.set_attn_implementation(attention)  # type: ignore[operator]


class _Logits(torch.nn.Module):
    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.model(input_ids=input_ids, attention_mask=attention_mask).logits  # type: ignore[no-any-return]


def check_parity(model: torch.nn.Module, path: Path, batch: dict[str, Array]) -> float:
    """The largest difference between torch's and ONNX's logits on one padded batch.

    Raises:
        RuntimeError: it is more than rounding; the export must not be used.
    """
    model.eval()
    with torch.inference_mode():
        expected = model(**{name: torch.from_numpy(values) for name, values in batch.items()}).logits.numpy()
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    difference = float(np.abs(session.run(None, batch)[0] - expected).max())
    if not difference <= TOLERANCE:
        raise RuntimeError(f"the ONNX export differs from torch by {difference:.2g} in a logit (at most {TOLERANCE:g})")
    return difference
