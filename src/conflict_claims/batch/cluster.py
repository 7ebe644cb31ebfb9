"""The same prediction on many machines: Ray Data reads the input's windows, its actors label them, each saves its own.

All machines see the same files under the same names (a shared disk), and have this package. Only windows travel between
them: what is labelled is saved where it was labelled (:mod:`conflict_claims.batch.shards`).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from conflict_claims import __version__
from conflict_claims.batch import COMMIT_EVERY, Summary, identity_of, look_at
from conflict_claims.batch.actors import Job, labelled
from conflict_claims.batch.formats import Reading
from conflict_claims.batch.labelling import WINDOW_CHARACTERS, WINDOW_ROWS, Layout
from conflict_claims.batch.partial import Partial, held
from conflict_claims.batch.shards import Shard, finished, join
from conflict_claims.batch.sources import STDIN, Source, find_sources, kind_of
from conflict_claims.batch.state import Targets
from conflict_claims.batch.tables import output_kind
from conflict_claims.errors import ClaimsError
from conflict_claims.runtime import load


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
    `RAY_ADDRESS`, else one that runs on this machine, else one that is started here and ends with the call.

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
        for shard in labelled(job, workers):
            self._count(shard)
            if time.monotonic() - committed >= COMMIT_EVERY:
                self._partial.commit()
                committed = time.monotonic()
            self._report(self.summary())
