"""The same prediction on many machines: Ray Data reads the input's windows, its actors label them, each saves its own.

All machines see the same files under the same names (a shared disk), and have this package. Only windows travel between
them: what is labelled is saved where it was labelled (:mod:`conflict_claims.batch.shards`).
"""

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from conflict_claims import __version__
from conflict_claims.batch import COMMIT_EVERY, Summary, identity_of, look_at
from conflict_claims.batch.formats import Reading
from conflict_claims.batch.labelling import WINDOW_CHARACTERS, WINDOW_ROWS, Layout, Task, windows, work
from conflict_claims.batch.partial import Partial, held
from conflict_claims.batch.shards import Shard, finished, join, save
from conflict_claims.batch.sources import STDIN, Source, find_sources, kind_of
from conflict_claims.batch.state import Targets
from conflict_claims.batch.tables import output_kind
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


def predict_on_ray(
    inputs: Sequence[str],
    output: Path,
    model_folder: Path,
    *,
    reading: Reading = Reading(),  # noqa: B008 - frozen
    overwrite: bool = False,
    restart: bool = False,
    workers: int = 0,
    objective: str | None = None,
    report: Callable[[Summary], None] = lambda summary: None,
) -> Summary:
    """Label every sentence of tables on a Ray cluster, and go on where an earlier call was stopped.

    The rows are those of `predict_files`. The cluster is the one that this process is connected to, else that of
    `RAY_ADDRESS`, else one that is started here and ends with the call.

    Args:
        inputs: .jsonl, .parquet, .csv or .tsv files, also .gz and .zst; folders of such.
        output: a name ending in .parquet; or a folder of `part-*.parquet`, each of a million sentences.
        model_folder: the model.
        reading: which columns are read, and whether a row is a sentence already.
        overwrite: replace existing output, when the new one is whole.
        restart: throw away what a stopped call left.
        workers: how many actors label, with a core each; 0: as many as the cluster has cores.
        objective: what thresholds are for; see `conflict_claims.runtime.load`.
        report: called with the figures so far, again and again.

    Raises:
        ClaimsError: bad input or model, output that exists, or a failure on a machine; what is labelled is kept.
        ModuleNotFoundError: the extra `ray` is not installed.
    """
    targets = Targets(output, folder=not output.suffix)
    if not targets.folder and output_kind(output).format != "parquet":
        raise ClaimsError(f"{output}: --engine ray writes a file ending in .parquet, or a folder (without an ending)")
    kind = output_kind(Path("part.parquet"))
    sources = _tables(find_sources(inputs, None, (*targets.all, targets.partial)))
    if not targets.partial.exists():
        targets.check(overwrite)
    model_identity = identity_of(model_folder)
    manifest = load(model_folder, objective=objective).manifest
    several = len(sources) > 1 or Path(inputs[0]).is_dir()
    layout = Layout(kind, manifest.labels, several, reading.sentences, documents=False)
    look_at(sources, reading)
    identity = _identity(sources, several, model_identity, [asdict(reading), asdict(kind), manifest.objective])
    with held(targets, identity, overwrite=overwrite, restart=restart, stdin=False) as partial:
        shards = finished(partial.folder)
        run = _Run(partial, shards, sum(source.size for source in sources), report)
        if not partial.state.whole:
            job = Job(
                directory=str(Path.cwd()),
                sources=tuple(sources),
                reading=reading,
                layout=layout,
                model=str(model_folder),
                model_identity=model_identity,
                objective=manifest.objective,
                folder=str(partial.folder),
                finished=frozenset((shard.source, shard.number) for shard in shards),
            )
            run.label(job, workers)
            join(partial, finished(partial.folder), layout)
        partial.finish(layout)
        return run.summary()


def _tables(sources: list[Source]) -> list[Source]:
    for source in sources:
        if source.name == STDIN or kind_of(source.name)[0] == "txt":
            raise ClaimsError(
                f"{source.name}: --engine ray reads tables (.jsonl, .parquet, .csv, .tsv), an article or a sentence a "
                "row; leave --engine out for standard input and .txt"
            )
    return sources


def _identity(sources: Sequence[Source], several: bool, model: str, options: list[Any]) -> dict[str, str]:
    return {
        "inputs": sha256(repr([several, *map(asdict, sources)]).encode()).hexdigest(),
        "model": model,
        "options": repr(["ray", *options, __version__, WINDOW_ROWS, WINDOW_CHARACTERS]),
    }


class _Run:
    """One call: the shards come in as they are saved, in any order, and are counted."""

    def __init__(
        self, partial: Partial, shards: Sequence[Shard], total: int, report: Callable[[Summary], None]
    ) -> None:
        self._partial = partial
        self._total = total
        self._report = report
        if not partial.state.whole:
            state = partial.state
            state.rows = state.sentences = state.rejected = state.bytes = 0
            for shard in shards:
                self._count(shard)
        self._resumed = partial.state.rows

    def summary(self) -> Summary:
        state = self._partial.state
        return Summary(state.rows, state.sentences, state.rejected, state.bytes, self._total, self._resumed)

    def _count(self, shard: Shard) -> None:
        state = self._partial.state
        state.rows += shard.rows
        state.sentences += shard.sentences
        state.rejected += shard.rejected
        state.bytes += shard.bytes

    def label(self, job: Job, workers: int) -> None:
        self._partial.commit()
        committed = time.monotonic()
        self._report(self.summary())
        for shard in _labelled(job, workers):
            self._count(shard)
            if time.monotonic() - committed >= COMMIT_EVERY:
                self._partial.commit()
                committed = time.monotonic()
            self._report(self.summary())


# Ray


def _labelled(job: Job, workers: int) -> Iterator[Shard]:
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
                yield row["shard"]
        except ray.exceptions.RayError as error:
            raise _said(error) from error


def _read(batch: Batch, job: Job) -> Iterator[Batch]:
    """The windows of a source that are not labelled yet, one by one."""
    job.enter()
    for source in map(int, batch["id"]):
        before = 0
        for number, window in enumerate(windows([job.sources[source]], job.reading)):
            if (source, number) not in job.finished:
                yield {"source": [source], "number": [number], "bytes": [window.bytes - before], "window": _one(window)}
            before = window.bytes


class _Labeller:
    """An actor: loads the model once, then labels windows and saves what comes out."""

    def __init__(self, job: Job) -> None:
        job.enter()
        self._job = job
        self._model: ClaimModel = load(job.model, threads=1, objective=job.objective)
        self._unchanged()

    def _unchanged(self) -> None:
        if identity_of(Path(self._job.model)) != self._job.model_identity:
            raise ClaimsError(
                f"{self._job.model} on {os.uname().nodename} is not the model that the run began with; put that back "
                "and call the same command again, or pass --restart to start anew"
            )

    def __call__(self, batch: Batch) -> Batch:
        window, layout = batch["window"][0], self._job.layout
        kept = layout.kept_of(window)
        done = work(self._model, Task(window, tuple(kept), header=True), layout)
        source, number, size = (int(batch[name][0]) for name in ("source", "number", "bytes"))
        shard = Shard(source, number, done.rows, done.sentences, len(done.rejected), size, kept)
        self._unchanged()
        save(Path(self._job.folder), shard, done)
        return {"shard": _one(shard)}


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


def _said(error: BaseException) -> ClaimsError:
    """What was wrong on a machine, in our own words where it was found by us."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, ClaimsError):
            return ClaimsError(str(getattr(found, "cause", None) or found))
        found = getattr(found, "cause", None) or found.__cause__
    reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    return ClaimsError(f"Ray stopped ({reason}); what was labelled is kept: call the same command again to go on")
