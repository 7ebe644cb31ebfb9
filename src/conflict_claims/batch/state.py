"""What a run writes, and how far it is."""

from dataclasses import dataclass, field
from pathlib import Path

from conflict_claims.batch.labelling import Position
from conflict_claims.errors import ClaimsError

PARTS = "part-*.parquet"
"""The files of an output that is a folder."""


@dataclass
class State:
    """How far a run is. `identity` says what run it is: its inputs, model and options."""

    identity: dict[str, str]
    source: int = 0
    row: int = 0
    windows: int = 0
    rows: int = 0
    sentences: int = 0
    rejected: int = 0
    bytes: int = 0
    columns: list[str] = field(default_factory=list)
    parts: int = 0
    length: int = 0
    rejected_length: int = 0
    whole: bool = False

    @property
    def position(self) -> Position:
        """Where reading goes on."""
        return Position(self.source, self.row)


@dataclass(frozen=True)
class Targets:
    """The files that a run writes."""

    output: Path
    documents: Path | None = None
    folder: bool = False
    """The output is a folder of Parquet files."""

    @property
    def rejected(self) -> Path:
        """Where the rows go that could not be labelled."""
        return self.output.with_name(f"{self.output.name}.rejected.jsonl")

    @property
    def partial(self) -> Path:
        """The folder of a run that is not finished."""
        return self.output.with_name(f"{self.output.name}.partial")

    @property
    def all(self) -> tuple[Path, ...]:
        """What stands at the end."""
        return (self.output, self.rejected, *((self.documents,) if self.documents else ()))

    def check(self, overwrite: bool) -> None:
        """Raise a ClaimsError if something stands there that must not be replaced."""
        if len({path.resolve() for path in self.all}) < len(self.all):
            raise ClaimsError(f"{self.documents}: --documents and --output must be different files")
        for path in self.all:
            if self.folder and path == self.output:
                _refuse_files_of_others(path)
            elif path.is_dir():
                raise ClaimsError(f"{path} is a folder; expected the name of a file")
            if (any(path.iterdir()) if path.is_dir() else path.exists()) and not overwrite:
                raise ClaimsError(f"{path} exists already; pass --overwrite to replace it, or choose another --output")


def _refuse_files_of_others(folder: Path) -> None:
    """An output folder is replaced file by file: only what such a run wrote may stand in it."""
    if folder.exists() and not folder.is_dir():
        raise ClaimsError(f"{folder} is a file; expected the name of a folder, or one ending in .parquet")
    others = [path.name for path in folder.glob("*") if not path.match(PARTS)]
    if others:
        raise ClaimsError(f"{folder} holds other files than {PARTS} ({min(others)}); choose another --output")
