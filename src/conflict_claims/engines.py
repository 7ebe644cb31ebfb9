"""The forms in which a transformer runs, and the libraries that run them: one full form, and faster ones.

`fp32`: the exported model, by ONNX Runtime, on every machine. `bf16`: the same file by OpenVINO, where it is installed
(extra `[fast]`) and the processor multiplies bf16. `int8`: a quantised copy, where the processor multiplies int8; by
OpenVINO, or by ONNX Runtime where that is not installed. A faster form is used only if training found that it decides
as the full one does (`kept`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from conflict_claims.errors import ClaimsError
from conflict_claims.metrics import Array

Engine = Callable[[Sequence[dict[str, Array]]], list[Array]]
"""From padded batches to their logits, each of shape (batch, K)."""


@dataclass(frozen=True)
class Reference:
    """What the full form says of sentences, and how decisions follow from it: faster forms must decide the same."""

    texts: Sequence[str]
    logits: Array
    """Shape (n, K)."""
    y: Array
    """The true 0/1 labels, shape (n, K)."""
    decide: Callable[[Array], Array]
    """From logits to 0/1, both of shape (n, K)."""


FILES = {"int8": "model.int8.onnx", "bf16": "model.onnx", "fp32": "model.onnx"}
"""The forms, the fastest first, and the file of the model folder that each one runs."""

RUNTIMES = {"int8": ("openvino", "onnxruntime"), "bf16": ("openvino",), "fp32": ("onnxruntime",)}
"""Who can run each form, the faster one first."""


@cache
def runnable(form: str) -> bool:
    """Whether this machine runs a form, and faster than `fp32`."""
    if form == "fp32":
        return True
    if form == "bf16":
        return bool(runtimes(form)) and _multiplies_bf16()
    return bool(_processor() & {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp"})


def runtimes(form: str) -> list[str]:
    """The installed ones among those that can run a form, the faster one first."""
    return [name for name in RUNTIMES[form] if find_spec(name) is not None]


def _multiplies_bf16() -> bool:
    return bool(_processor() & {"amx_bf16", "avx512_bf16", "bf16"})


def _processor() -> set[str]:
    """The processor's features by their Linux names; empty where they cannot be read."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    return {flag for line in lines if line.startswith(("flags", "Features")) for flag in line.split(":")[1].split()}


def choose(forms: dict[str, Any], wanted: str | None = None) -> str:
    """The form to run: the fastest that the model keeps and this machine runs, or the one that is wanted.

    Args:
        forms: what export measured of each faster form; see `transformer.export.measure`.
        wanted: a name in `FILES`.

    Raises:
        ClaimsError: the wanted form is unknown, or is not to be had.
    """
    had = [form for form in FILES if form == "fp32" or forms.get(form, {}).get("kept")]
    if wanted is None:
        return next(form for form in had if runnable(form))
    if wanted not in had:
        raise ClaimsError(f"the model has no form {wanted!r}; expected {' or '.join(had)}")
    if not runnable(wanted):
        raise ClaimsError(f"this machine does not run the form {wanted!r} (bf16 needs the extra [fast]); take fp32")
    return wanted


def start(path: Path, form: str, threads: int = 0, runtime: str | None = None) -> Engine:
    """Load a model's file in a form.

    Args:
        path: the file.
        form: a name in `FILES`.
        threads: 0 means all of the processor's.
        runtime: one of `RUNTIMES[form]`; by default the fastest that is installed.
    """
    if (runtime or runtimes(form)[0]) == "openvino":
        return _openvino(path, "bf16" if form == "bf16" or _multiplies_bf16() else "f32", threads)
    return _onnxruntime(path, threads)


def _onnxruntime(path: Path, threads: int) -> Engine:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda batches: [session.run(None, batch)[0] for batch in batches]


def _openvino(path: Path, precision: str, threads: int) -> Engine:
    """`precision` is that of what is not quantised."""
    import openvino

    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
    if threads:
        settings["INFERENCE_NUM_THREADS"] = threads
    model = openvino.Core().compile_model(str(path), "CPU", settings)
    return lambda batches: [model(batch)[0].copy() for batch in batches]
