"""The model folder is the contract: claims.json, written last and checked first.

Whoever holds a folder can predict, evaluate, serve and audit with it, without the code that trained it.
"""

import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from conflict_claims.errors import ClaimsError
from conflict_claims.metrics import Array
from conflict_claims.text import NORMALISATION

FORMAT_VERSION = 2
MANIFEST = "claims.json"
CARD = "README.md"


@dataclass(frozen=True)
class Manifest:
    """What claims.json holds. `files` maps each other file of the folder to its sha256."""

    kind: str
    labels: tuple[str, ...]
    thresholds: dict[str, float]
    calibration: dict[str, tuple[float, float]]
    package_version: str
    git_commit: str
    corpus_fingerprint: str
    training_stories: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    validation: dict[str, Any] = field(default_factory=dict)
    export: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    objective: str = "f1"
    text_normalisation: str = NORMALISATION
    format_version: int = FORMAT_VERSION
    files: dict[str, str] = field(default_factory=dict)

    @property
    def threshold_array(self) -> Array:
        """Thresholds of shape (K,), in label order."""
        return np.array([self.thresholds[name] for name in self.labels])

    @property
    def calibration_array(self) -> Array:
        """Slope and intercept of each label, shape (K, 2), in label order."""
        return np.array([self.calibration[name] for name in self.labels])

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Build a manifest; KeyError or TypeError where the values are not one."""
        values = dict(values)
        for name in ("labels", "training_stories"):
            values[name] = tuple(values[name])
        values["calibration"] = {name: (float(a), float(b)) for name, (a, b) in values["calibration"].items()}
        manifest = cls(**values)
        if set(manifest.thresholds) != set(manifest.labels) or set(manifest.calibration) != set(manifest.labels):
            raise KeyError("thresholds and calibration must name every label")
        if not isinstance(manifest.files, dict) or any(Path(name).name != name for name in manifest.files):
            raise KeyError("files must be plain names")
        for threshold in manifest.thresholds.values():
            if not isinstance(threshold, float | int):
                raise TypeError("thresholds must be numbers")
        return manifest


def sha256(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def refuse_existing(output_dir: Path, overwrite: bool) -> None:
    """Raise a ClaimsError if the folder exists and must not be replaced."""
    if output_dir.exists() and not overwrite:
        raise ClaimsError(f"{output_dir} exists already; pass --overwrite to replace it, or choose another --output")
    if output_dir.exists() and any(output_dir.iterdir()) and not (output_dir / MANIFEST).exists():
        raise ClaimsError(f"{output_dir} is no model folder ({MANIFEST} is missing); it is not replaced")


@contextmanager
def locked(output_dir: Path) -> Iterator[None]:
    """Hold a model folder's place: two trainings that write one folder would destroy each other.

    Raises:
        ClaimsError: another process holds it.
    """
    output_dir.parent.mkdir(parents=True, exist_ok=True)
    with output_dir.with_name(f".{output_dir.name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ClaimsError(
                f"another process is training {output_dir}; wait for it, or choose another --output"
            ) from None
        _recover(output_dir)
        yield


def _recover(output_dir: Path) -> None:
    """Put the old model back if a process was killed between the two renames of a save."""
    old = output_dir.with_name(f".{output_dir.name}.old")
    if old.exists() and not output_dir.exists():
        old.rename(output_dir)


def save_model_folder(
    output_dir: Path,
    manifest: Manifest,
    write_files: Callable[[Path], dict[str, Any] | None],
    overwrite: bool = False,
) -> Manifest:
    """Write a model folder beside its place, then rename it there: at any failure the old model survives.

    Args:
        output_dir: where the model shall be.
        manifest: everything but `files`, which are hashed here, and `export`.
        write_files: writes the model's own files into the folder that it is given; what it returns is `export`.
        overwrite: replace an existing model.

    Raises:
        ClaimsError: the folder exists and `overwrite` is not set, or the disk is full.
    """
    refuse_existing(output_dir, overwrite)
    beside = output_dir.with_name(f".{output_dir.name}.saving")
    old = output_dir.with_name(f".{output_dir.name}.old")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        beside.mkdir(parents=True)
        export = write_files(beside) or {}
        files = {path.name: sha256(path) for path in sorted(beside.iterdir())}
        manifest = replace(manifest, export=export, files=files)
        (beside / MANIFEST).write_text(_to_json(manifest), encoding="utf-8")
        for path in beside.iterdir():
            sync(path)
        shutil.rmtree(old, ignore_errors=True)
        if output_dir.exists():
            output_dir.rename(old)
        beside.rename(output_dir)
    except OSError as error:
        raise ClaimsError(
            f"{output_dir}: the model could not be saved ({error.strerror or error}); nothing that stood there is "
            "lost; free some space and train again, which goes on from its last checkpoint"
        ) from error
    finally:
        _recover(output_dir)
        shutil.rmtree(beside, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
    return manifest


def replace_file(folder: Path, name: str, content: str) -> Manifest:
    """Replace a text file of a model folder that no loader reads, and its sha256 in claims.json.

    Raises:
        ClaimsError: no model folder, or another process holds it.
    """
    with locked(folder):
        manifest = read_manifest(folder)
        _write(folder / name, content)
        manifest = replace(manifest, files=manifest.files | {name: sha256(folder / name)})
        _write(folder / MANIFEST, _to_json(manifest))
    return manifest


def _write(path: Path, content: str) -> None:
    """Beside, then rename."""
    beside = path.with_name(f".{path.name}.saving")
    beside.write_text(content, encoding="utf-8")
    sync(beside)
    beside.replace(path)


def _to_json(manifest: Manifest) -> str:
    return json.dumps(asdict(manifest), indent=1, ensure_ascii=False) + "\n"


def read_manifest(folder: Path) -> Manifest:
    """Read claims.json.

    Raises:
        ClaimsError: no model folder, broken, or of a newer format.
    """
    path = folder / MANIFEST
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise ClaimsError(
            f"{folder} is no model folder ({MANIFEST} is missing); train one with `conflict-claims train`"
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ClaimsError(f"{path} is corrupted ({error}); train or copy the model again") from None
    version = values.get("format_version") if isinstance(values, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise ClaimsError(
            f"{folder} has model format {version}, this version reads up to {FORMAT_VERSION}; update conflict-claims"
        )
    try:
        return Manifest.from_json(values)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ClaimsError(f"{path} is corrupted ({error}); train or copy the model again") from None


def check_file(folder: Path, manifest: Manifest, name: str) -> Path:
    """The path of a file of the model, after its sha256 was compared with the manifest.

    Raises:
        ClaimsError: the file is missing or was changed.
    """
    path = folder / name
    expected = manifest.files.get(name)
    if expected is None or not path.is_file():
        raise ClaimsError(f"{path} is missing from the model folder; train or copy the model again")
    if sha256(path) != expected:
        raise ClaimsError(f"{path} does not match its sha256 in {MANIFEST}: it was corrupted or changed; copy it again")
    return path


def sync(path: Path) -> None:
    """Flush a written file to the disk, so that a rename after it cannot overtake it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def machine() -> dict[str, Any]:
    """`processor`, its name, and `cores`: what seconds are worth nothing without."""
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text(encoding="utf-8").splitlines() if cpu.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return {"processor": names[0] if names else platform.processor(), "cores": os.cpu_count()}


def machine_name() -> str:
    """The same in words, for tables."""
    return "{processor}, {cores} cores".format(**machine())


def git_commit() -> str:
    """The commit of the working directory's repository, with `+changes` where files differ; empty outside one."""
    try:
        run = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty=+changes", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return run.stdout.strip() if run.returncode == 0 else ""
