"""Leaving torch behind: the fine-tuned encoder as ONNX, with proof that it says the same."""

import io
import logging
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

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
    """Write a copy whose linear layers multiply int8, with fixed scales: a sentence's answer depends on it alone.

    The second layer of each feed-forward block stays in full precision: its inputs have outliers, and quantising it
    changed ten times as many decisions (experiments/LOG.md).

    Args:
        path: the exported model.
        output: the file to write.
        batches: padded batches of ordinary sentences; the largest values that they give set the scales.
    """
    model = onnx.load(path)
    del model.graph.value_info[:]  # shapes of the full form; the quantiser would trust them
    weights = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    linear = {node.name: _shape(node, weights) for node in model.graph.node if node.op_type in ("MatMul", "Gemm")}
    left = [name for name, shape in linear.items() if shape is None or shape[0] > shape[1]]
    remaining = iter(batches)

    class Sentences(CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> dict[str, Array] | None:
            return next(remaining, None)

    quantize_static(
        model,
        output,
        Sentences(),
        op_types_to_quantize=["MatMul", "Gemm"],
        nodes_to_exclude=left,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


def _shape(node: Any, weights: dict[str, list[int]]) -> list[int] | None:  # noqa: ANN401 - a node of the graph
    """Inputs and outputs of a linear layer; None for the products inside attention, which have no weights."""
    shape = next((weights[name] for name in node.input if len(weights.get(name, ())) == 2), None)
    transposed = node.op_type == "Gemm" and any(a.name == "transB" and a.i for a in node.attribute)
    return shape[::-1] if shape and transposed else shape


def measure(path: Path, form: str, ids: Sequence[Sequence[int]], pad: int, reference: Reference) -> dict[str, Any]:
    """How far a faster form is from the full one on validation sentences, and whether it is to be kept."""
    logits = run_sorted(engines.start(path, form), ids, pad)
    given, before = reference.decide(logits), reference.decide(reference.logits)
    equal = float((given == before).mean())
    change = macro_f1(reference.y, given) - macro_f1(reference.y, before)
    return {
        "largest_logit_difference": float(np.abs(logits - reference.logits).max()),
        "equal_decisions": equal,
        "macro_f1_change": change,
        "kept": bool(equal >= EQUAL_DECISIONS and abs(change) <= MACRO_F1_CHANGE),
    }
