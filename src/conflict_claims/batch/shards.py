"""An output in shards: one Parquet file for each window of an input file, saved by whoever labelled it.

A shard's record is saved last, and every file is written beside and then renamed: what has a record is whole, and what
has none is labelled again. At the end the shards are put together, in the order of the input.
"""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from conflict_claims.batch.labelling import Done, Layout
from conflict_claims.batch.partial import Partial
from conflict_claims.batch.tables import common_schema, merge_parquet
from conflict_claims.model_folder import sync

PART_SENTENCES = 1_000_000
"""A file of an output folder is full when it has so many rows."""


@dataclass(frozen=True, slots=True)
class Shard:
    """What is remembered of a labelled window: where it stands, its figures, and the input's columns that it kept."""

    source: int
    number: int
    rows: int
    sentences: int
    rejected: int
    bytes: int
    columns: list[str]

    def path(self, folder: Path, ending: str) -> Path:
        """One of the shard's files; by name they are in the order of the input."""
        return folder / f"shard-{self.source:06}-{self.number:08}.{ending}"


def save(folder: Path, shard: Shard, done: Done) -> None:
    """Put a shard into the folder of the run, whole or not at all."""
    if done.rejected:
        lines = "".join(rejected.to_json() for rejected in done.rejected)
        _write(shard.path(folder, "rejected"), lines.encode("utf-8", "replace"))
    _write(shard.path(folder, "parquet"), done.data)
    _write(shard.path(folder, "json"), json.dumps(asdict(shard)).encode())


def _write(path: Path, data: bytes) -> None:
    beside = path.with_name(f"{path.name}.{os.uname().nodename}.{os.getpid()}.new")
    beside.write_bytes(data)
    sync(beside)
    beside.replace(path)


def finished(folder: Path) -> list[Shard]:
    """The shards that are whole, in the order of the input."""
    records = sorted(folder.glob("shard-*.json"))
    return [Shard(**json.loads(path.read_text(encoding="utf-8"))) for path in records]


def join(partial: Partial, shards: Sequence[Shard], layout: Layout) -> None:
    """Write the whole output into the folder of the run; killed in between, it is done again."""
    kept = {name: None for shard in shards for name in shard.columns}
    paths = [shard.path(partial.folder, "parquet") for shard in shards]
    schema = common_schema(paths, [*kept, *layout.own])
    whole = partial.folder / "output"
    if not partial.targets.folder:
        merge_parquet(paths, whole, schema)
    else:
        whole.mkdir(exist_ok=True)
        for number, part in enumerate(_parts(shards)):
            target = whole / f"part-{number:06}.parquet"
            merge_parquet([shard.path(partial.folder, "parquet") for shard in part], target, schema)
            sync(target)
    for shard in shards:
        if shard.rejected:
            partial.reject(shard.path(partial.folder, "rejected").read_bytes())


def _parts(shards: Sequence[Shard]) -> Iterator[list[Shard]]:
    part: list[Shard] = []
    size = 0
    for shard in shards:
        part.append(shard)
        size += shard.sentences
        if size >= PART_SENTENCES:
            yield part
            part, size = [], 0
    if part:
        yield part
