"""Leaving torch behind: the fine-tuned encoder as ONNX, with proof that it says the same."""

import io
import logging
import os
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from conflict_claims import engines
from conflict_claims.engines import Reference
from conflict_claims.metrics import Array, macro_f1
from conflict_claims.runtime import run_sorted

TOLERANCE = 1e-3
"""Largest logit difference between torch and ONNX that is rounding and no mistake."""

EQUAL_DECISIONS, MACRO_F1_CHANGE = 0.997, 0.003
"""What a faster form must reach on the validation split: share of equal decisions, and change of macro-F1 at most."""

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
    difference = float(np.abs(engines.start(path, "fp32")([batch])[0] - expected).max())
    if not difference <= TOLERANCE:
        raise RuntimeError(f"the ONNX export differs from torch by {difference:.2g} in a logit (at most {TOLERANCE:g})")
    return difference


def quantise(path: Path, output: Path, batches: Sequence[dict[str, Array]]) -> None:
    """Write a copy whose matrix products multiply int8, with fixed scales: a sentence's answer depends on it alone.

    Outliers among the inputs of a product are first moved into its weights (SmoothQuant: Xiao et al. 2023), without
    which several times as many decisions changed (experiments/LOG.md).

    Args:
        path: the exported model.
        output: the file to write.
        batches: padded batches of ordinary sentences; the values that they give set the scales.
    """
    os.environ.setdefault("NNCF_CI", "1")  # else nncf reports its use to its makers
    with redirect_stdout(io.StringIO()):  # its bars
        import nncf

        nncf.set_log_level(logging.ERROR)
        model = onnx.load(path)
        del model.graph.value_info[:]  # shapes of the full form; the quantiser would trust them
        quantised = nncf.quantize(
            model,
            nncf.Dataset(batches),
            preset=nncf.QuantizationPreset.PERFORMANCE,
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=len(batches),
        )
    onnx.save(quantised, output)


def measure(path: Path, form: str, ids: Sequence[Sequence[int]], pad: int, reference: Reference) -> dict[str, Any]:
    """How far a faster form is from the full one on validation sentences, and whether it is to be kept.

    Of several runtimes that can run it, the worst counts, for a user may have any of them.
    """
    before = reference.decide(reference.logits)
    differences, equals, changes = [], [], []
    for runtime in engines.runtimes(form):
        logits = run_sorted(engines.start(path, form, runtime=runtime), ids, pad)
        given = reference.decide(logits)
        differences.append(float(np.abs(logits - reference.logits).max()))
        equals.append(float((given == before).mean()))
        changes.append(macro_f1(reference.y, given) - macro_f1(reference.y, before))
    change = max(changes, key=abs)
    return {
        "largest_logit_difference": max(differences),
        "equal_decisions": min(equals),
        "macro_f1_change": change,
        "kept": bool(min(equals) >= EQUAL_DECISIONS and abs(change) <= MACRO_F1_CHANGE),
    }
