"""The Ray side of :mod:`conflict_claims.batch.cluster`: tasks that read windows, actors that label and save them."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from conflict_claims.batch import identity_of
from conflict_claims.batch.formats import Reading
from conflict_claims.batch.labelling import Layout, Task, Window, windows, work
from conflict_claims.batch.shards import Shard, save
from conflict_claims.batch.sources import Source
from conflict_claims.errors import ClaimsError
from conflict_claims.runtime import ClaimModel, load

Batch = dict[str, Any]
"""What goes from one step of Ray Data to the next: columns by name."""
READERS = 4
"""Input files that are read beside each other: a reader is many times as quick as an actor."""


@dataclass(frozen=True, slots=True)
class Job:
    """What every machine has to know. Paths may be relative: they are seen from `directory`."""

    directory: str
    sources: tuple[Source, ...]
    reading: Reading
    layout: Layout
    model: str
    model_identity: str
    objective: str
    folder: str
    finished: frozenset[tuple[int, int]]

    def enter(self) -> None:
        """Make relative paths mean here what they mean where the command was called.

        Raises:
            ClaimsError: this machine does not see the same disk.
        """
        if not Path(self.directory).is_dir() or not (self.directory / Path(self.folder)).is_dir():
            raise ClaimsError(
                f"{os.uname().nodename} does not see {self.directory}/{self.folder}; every machine of the cluster "
                "needs input, model and output under the same names, on a shared disk"
            )
        os.chdir(self.directory)


def labelled(job: Job, workers: int) -> Iterator[Shard]:
    """Have the windows labelled and saved; yields what was saved."""
    with _connected() as ray:
        cores = max(1, int(ray.cluster_resources().get("CPU", 1)))
        readers = ray.data.TaskPoolStrategy(size=min(READERS, len(job.sources)))
        actors = ray.data.ActorPoolStrategy(size=min(workers or cores, cores))
        found = (
            ray.data.from_items([{"id": k} for k in range(len(job.sources))], override_num_blocks=len(job.sources))
            .map_batches(_read, fn_args=(job,), batch_size=1, num_cpus=0, compute=readers)
            .map_batches(_Labeller, fn_constructor_args=(job,), batch_size=1, num_cpus=1, compute=actors)
        )
        try:
            for row in found.iter_rows():
                if isinstance(row["shard"], str):
                    raise ClaimsError(row["shard"])
                yield row["shard"]
        except ray.exceptions.RayError as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ClaimsError(
                f"Ray stopped ({reason}); what was labelled is kept: call the same command again to go on"
            ) from error


def _read(batch: Batch, job: Job) -> Iterator[Batch]:
    """The windows of a source that are not labelled yet, one by one; at an error its words."""
    source, number, before = int(batch["id"][0]), 0, 0
    try:
        job.enter()
        for number, window in enumerate(windows([job.sources[source]], job.reading)):
            if (source, number) not in job.finished:
                yield {"source": [source], "number": [number], "bytes": [window.bytes - before], "window": _one(window)}
            before = window.bytes
    except ClaimsError as error:  # as an exception Ray would wrap it in its own, and say it at length
        yield {"source": [source], "number": [number], "bytes": [0], "window": _one(str(error))}


class _Labeller:
    """An actor: loads the model once, then labels windows and saves what comes out; at an error it gives its words."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._model: ClaimModel | None = None

    def __call__(self, batch: Batch) -> Batch:
        source, number, size = (int(batch[name][0]) for name in ("source", "number", "bytes"))
        window = batch["window"][0]
        try:
            if isinstance(window, str):
                raise ClaimsError(window)
            return {"shard": _one(self._label(window, source, number, size))}
        except ClaimsError as error:
            return {"shard": _one(str(error))}
        except OSError as error:
            where = f"{self._job.folder} could not be written on {os.uname().nodename} ({error.strerror or error})"
            return {"shard": _one(f"{where}; what was labelled is kept: make room, and call the same command again")}

    def _label(self, window: Window, source: int, number: int, size: int) -> Shard:
        job = self._job
        if self._model is None:
            job.enter()
            self._model = load(job.model, threads=1, objective=job.objective)
            self._refuse_changed()
        kept = job.layout.kept_of(window)
        done = work(self._model, Task(window, tuple(kept), header=True), job.layout)
        self._refuse_changed()
        shard = Shard(source, number, done.rows, done.sentences, len(done.rejected), size, kept)
        save(Path(job.folder), shard, done)
        return shard

    def _refuse_changed(self) -> None:
        if identity_of(Path(self._job.model)) != self._job.model_identity:
            raise ClaimsError(
                f"{self._job.model} on {os.uname().nodename} is not the model that the run began with; put that back "
                "and call the same command again, or pass --restart to start anew"
            )


def _one(value: object) -> Any:  # noqa: ANN401 - an array
    """A column of one object."""
    column = np.empty(1, dtype=object)
    column[0] = value
    return column


@contextmanager
def _connected() -> Iterator[Any]:
    """Ray with its data library, connected to a cluster; quiet, and without statistics to its makers."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what goes wrong is said by us
    import ray
    import ray.data

    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    ours = not ray.is_initialized()
    if ours:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    context = ray.data.DataContext.get_current()
    before = (context.enable_progress_bars, context.target_max_block_size)
    context.enable_progress_bars = False
    context.enable_fallback_to_arrow_object_ext_type = True
    context.target_max_block_size = 1  # a block for each window: an actor takes the next when it is done with one
    try:
        yield ray
    finally:
        context.enable_progress_bars, context.target_max_block_size = before
        if ours:
            ray.shutdown()
