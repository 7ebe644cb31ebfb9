"""One training, one MLflow run; or a null run with the same methods. The only module that imports mlflow.

Where to record is MLflow's own business: MLFLOW_TRACKING_URI, else a SQLite file in the working directory. Nothing here
may cost the user a trained model: whatever cannot be recorded is said, and training goes on.
"""

import http.client
import logging
import os
import re
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from conflict_claims import __version__
from conflict_claims.config import TrackingConfig
from conflict_claims.corpus.records import Sentence
from conflict_claims.model_folder import Manifest, git_commit

Say = Callable[[str], None]
CHAMPION = "champion"
WEIGHTS = "weights"
"""The tag by which the run of a model folder is found again."""
RUNTIME_PACKAGES = ("numpy", "onnxruntime", "rich", "scikit-learn", "sentencex", "skops", "tokenizers")
ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # a server that is gone must not hold up a training for minutes
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
EXAMPLE = "Residents said the shelling killed at least four people in the rebel-held town."


class NullRun:
    """Records nothing; the methods are those of :class:`Run`."""

    recorded = False

    def params(self, values: dict[str, Any]) -> None:
        """Settings of the training."""

    def metrics(self, values: dict[str, Any], step: int | None = None) -> None:
        """Numbers; nested dicts become dotted names."""

    def dataset(self, sentences: Sequence[Sentence], fingerprint: str, name: str) -> None:
        """A split as a dataset input."""

    def artifacts(self, folder: Path) -> None:
        """Files of a folder."""

    def model(self, folder: Path, manifest: Manifest) -> str | None:
        """Log and register a model folder; the new version."""
        return None

    def champion_folder(self, into: Path) -> Path | None:
        """The champion's model folder, downloaded, if there is a champion."""
        return None

    def crown(self, model_version: str) -> bool:
        """Move the alias `champion`; whether it moved."""
        return False

    def attempt(self, what: str, action: Callable[[], Any]) -> Any:  # noqa: ANN401 - passes through the result
        """Do something that only serves the record; a failure is said and costs nothing else."""
        return None


class Run(NullRun):
    """An open MLflow run. The first failure is said once, and the rest of the run is not recorded."""

    recorded = True

    def __init__(self, config: TrackingConfig, say: Say) -> None:
        self._config, self._say = config, say

    def attempt(self, what: str, action: Callable[[], Any]) -> Any:  # noqa: ANN401 - passes through the result
        """Do something that only serves the record; a failure is said and costs nothing else."""
        if not self.recorded:
            return None
        try:
            return action()
        except Exception as error:  # MLflow raises whatever its store, its server or the network raises
            self.recorded = False
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            self._say(f"MLflow: {what} and what follows could not be recorded ({reason}); training goes on without")
            return None

    def params(self, values: dict[str, Any]) -> None:
        """Settings of the training; nested dicts become dotted names."""
        import mlflow

        self.attempt("the parameters", lambda: mlflow.log_params(dict(_flat(values))))

    def metrics(self, values: dict[str, Any], step: int | None = None) -> None:
        """Numbers; nested dicts become dotted names, and what is no number is left out."""
        import mlflow

        numbers = {k: float(v) for k, v in _flat(values) if isinstance(v, int | float)}
        self.attempt("the metrics", lambda: mlflow.log_metrics(numbers, step=step))

    def dataset(self, sentences: Sequence[Sentence], fingerprint: str, name: str) -> None:
        """A split as a dataset input, its digest the corpus fingerprint."""
        import datasets
        import mlflow
        import mlflow.data

        def log() -> None:
            rows = datasets.Dataset.from_list([{"text": s.text, "labels": list(s.labels)} for s in sentences])
            source = mlflow.data.from_huggingface(rows, name=name, digest=fingerprint[:36])
            mlflow.log_input(source, context=name)

        self.attempt("the dataset", log)

    def artifacts(self, folder: Path) -> None:
        """Files of a folder."""
        import mlflow

        self.attempt("the plots", lambda: mlflow.log_artifacts(str(folder), "evaluation"))

    def model(self, folder: Path, manifest: Manifest) -> str | None:
        """Log the model folder as one pyfunc, with signature and pinned requirements, and register it."""
        import mlflow.pyfunc
        import pandas
        from mlflow.models import ModelSignature
        from mlflow.types.schema import ColSpec, Schema

        package = Path(__file__).parent
        signature = ModelSignature(
            inputs=Schema([ColSpec("string", "text")]),
            outputs=Schema([ColSpec("double", name) for name in manifest.labels]),
        )

        def log() -> str:
            mlflow.set_tag(WEIGHTS, _weights(manifest))
            info = mlflow.pyfunc.log_model(
                name="model",
                python_model=str(package / "mlflow_model.py"),
                artifacts={"model_folder": str(folder)},
                code_paths=[str(package)],
                model_config={"threads": 0},
                signature=signature,
                input_example=pandas.DataFrame({"text": [EXAMPLE]}),
                pip_requirements=[f"{name}=={version(name)}" for name in RUNTIME_PACKAGES],
                registered_model_name=self._config.registered_model,
                metadata={"kind": manifest.kind, "corpus_fingerprint": manifest.corpus_fingerprint},
            )
            return str(info.registered_model_version)

        with _env_default("MLFLOW_REQUIREMENTS_INFERENCE_TIMEOUT", "1"):
            logged: str | None = self.attempt("the model", log)
        return logged

    def champion_folder(self, into: Path) -> Path | None:
        """Download the champion's model folder; None where there is no champion yet."""
        import mlflow.artifacts
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        def fetch() -> Path | None:
            try:
                found = MlflowClient().get_model_version_by_alias(self._config.registered_model, CHAMPION)
            except MlflowException as error:
                if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    return None
                raise
            name = f"models:/{self._config.registered_model}/{found.version}"
            root = Path(mlflow.artifacts.download_artifacts(name, dst_path=str(into)))
            return next(path.parent for path in root.rglob("claims.json"))

        folder: Path | None = self.attempt("the comparison with the champion", fetch)
        return folder

    def crown(self, model_version: str) -> bool:
        """Move the alias `champion` to this version."""
        from mlflow import MlflowClient

        def move() -> bool:
            MlflowClient().set_registered_model_alias(self._config.registered_model, CHAMPION, model_version)
            return True

        return bool(self.attempt("the champion", move))


@contextmanager
def start_run(config: TrackingConfig, name: str, say: Say, enabled: bool = True) -> Iterator[NullRun]:
    """Open a run; a null run where tracking is off or its server cannot be reached, and then that is said.

    Args:
        config: names of the experiment and of the registered model.
        name: name of the run.
        say: how to tell the user.
        enabled: False switches tracking off.
    """
    if not enabled:
        say("MLflow: tracking is off; this training is not recorded")
        yield NullRun()
        return
    unreachable = _unreachable(os.environ.get("MLFLOW_TRACKING_URI", ""))
    if unreachable:
        say(f"MLflow: {unreachable}; parameters, metrics and the model of this training are not recorded")
        yield NullRun()
        return
    with ExitStack() as environment:
        for variable, value in ENVIRONMENT.items():
            environment.enter_context(_env_default(variable, value))
        import mlflow

        _quiet()
        run = Run(config, say)
        run.attempt("the experiment", lambda: mlflow.set_experiment(config.experiment))
        run.attempt("the run", lambda: mlflow.start_run(run_name=name, tags=_tags()))
        status = "FAILED"
        try:
            yield run
            status = "FINISHED"
        finally:
            with suppress(Exception):  # the server may be gone; the user was told when the first call failed
                mlflow.end_run(status)


def record_report(manifest: Manifest, pages: Path, name: str, say: Say) -> None:
    """Add a model's report to the run that trained it; where there is none, or no server, that is said."""
    reason = _unreachable(os.environ.get("MLFLOW_TRACKING_URI", ""))
    if reason:
        say(f"MLflow: {reason}; the report is not recorded")
        return
    with _env_default("MLFLOW_DISABLE_TELEMETRY", "true"):
        import mlflow

        _quiet()
        try:
            wanted = f"tags.{WEIGHTS} = '{_weights(manifest)}'"
            runs = mlflow.search_runs(search_all_experiments=True, filter_string=wanted, output_format="list")
            for run in runs[:1]:
                for ending in ("html", "md", "png"):
                    mlflow.log_artifact(str(pages / f"{name}.{ending}"), "report", run_id=run.info.run_id)
        except Exception as error:  # MLflow raises whatever its store, its server or the network raises
            say(f"MLflow: the report could not be recorded ({(str(error).splitlines() or [''])[0]})")
            return
    say(f"MLflow: the report is with the run {runs[0].info.run_id}" if runs else f"MLflow: no run trained {name}")


def _weights(manifest: Manifest) -> str:
    """What tells one training from another: the sha256 of its weights."""
    return next(manifest.files[file] for file in ("model.skops", "model.safetensors") if file in manifest.files)


def _tags() -> dict[str, str]:
    return {"mlflow.source.git.commit": git_commit(), "package_version": __version__}


def _unreachable(uri: str) -> str:
    """Why the tracking server cannot be used, in words; empty where it can, or where there is no server."""
    if not uri.startswith(("http://", "https://")):
        return ""
    try:
        with urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=10):
            return ""
    except urllib.error.HTTPError:
        return ""  # somebody answers; what it forbids is said by the first call
    except (OSError, ValueError, http.client.HTTPException) as error:
        shown = re.sub(r"//[^/@]*@", "//", uri)  # a password in the address is nobody's business
        return f"no server answers at {shown} ({getattr(error, 'reason', None) or type(error).__name__})"


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _quiet() -> None:
    for name in ("mlflow", "alembic", "mlflow.utils.requirements_utils", "mlflow.models.model"):
        logging.getLogger(name).setLevel(logging.ERROR)


@contextmanager
def _env_default(name: str, value: str) -> Iterator[None]:
    """Set an environment variable for a while unless the user has set it."""
    if name in os.environ:
        yield
        return
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name, None)


def temporary_folder() -> "tempfile.TemporaryDirectory[str]":
    """A folder for a download, gone when closed."""
    return tempfile.TemporaryDirectory(prefix="conflict-claims-")
