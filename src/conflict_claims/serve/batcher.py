"""One thread runs the model; requests that come while it works are answered together in its next batch."""

import contextlib
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from conflict_claims.errors import ClaimsError
from conflict_claims.explain import explain_many, word_spans
from conflict_claims.labels import to_names
from conflict_claims.runtime import ClaimModel
from conflict_claims.serve.limits import MAX_EXPLAINED, MAX_SENTENCES
from conflict_claims.serve.measures import Measures
from conflict_claims.text import normalise, split_sentences

BATCH = 256
"""Sentences from which on no further request is taken into a batch."""
Answer = list[list[dict[str, Any]]]


class Full(Exception):  # noqa: N818 - as queue.Full
    """No place is free, or none is given any more."""


@dataclass
class Job:
    """One request's texts, and the future of its answer."""

    texts: Sequence[str]
    sentences: bool
    explain: bool
    answer: "Future[Answer]" = field(default_factory=Future)


class Batcher:
    """A queue that cannot grow: from its head to its answer, a request needs one of a number of places."""

    def __init__(self, model: ClaimModel, places: int, measures: Measures) -> None:
        self._model = model
        self._places = places
        self._taken = 0
        self.stopping = False
        """Set it, and no place is given any more; those that are held stay."""
        self._measures = measures
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        measures.places.set(places)
        measures.waiting.set_function(lambda: self._taken)

    @property
    def alive(self) -> bool:
        """Whether the model's thread runs."""
        return self._thread.is_alive()

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place. Only the event loop's thread calls this, so no lock is needed.

        Raises:
            Full: none is free.
        """
        if self.stopping:
            raise Full("stopping: no new requests are taken")
        if self._taken >= self._places:
            raise Full(f"busy: {self._places} requests are waiting")
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1

    def submit(self, job: Job) -> "Future[Answer]":
        """Queue a job, for whose request a place is held."""
        self._queue.put(job)
        return job.answer

    def start(self) -> None:
        """Start the model's thread."""
        self._thread.start()

    def stop(self) -> None:
        """Answer what is queued, then end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        going = True
        while going:
            job = self._queue.get()
            jobs: list[_Prepared] = []
            size = 0
            while job is not None:
                if (prepared := _prepare(job)) is not None:
                    jobs.append(prepared)
                    size += len(prepared.texts)
                if size >= BATCH or self._queue.empty():
                    break
                job = self._queue.get()
            going = job is not None
            if jobs:
                self._answer(jobs)

    def _answer(self, jobs: "list[_Prepared]") -> None:
        begun = time.perf_counter()
        texts = [text for job in jobs for text in job.texts]
        try:
            rows = iter(self._rows(texts))
            answers = [[[next(rows) | {"start": s, "end": e} for s, e in spans] for spans in job.spans] for job in jobs]
            self._explain(jobs, answers)
        except Exception as error:  # whatever it was, these requests get an error and the thread lives on
            for job in jobs:
                job.answer.set_exception(error)
            return
        self._measures.batch_seconds.observe(time.perf_counter() - begun)
        self._measures.batch_sentences.observe(len(texts))
        self._measures.batch_requests.observe(len(jobs))
        for job, answer in zip(jobs, answers, strict=True):
            job.answer.set_result(answer)

    def _rows(self, texts: Sequence[str]) -> Iterator[dict[str, Any]]:
        model = self._model
        probabilities = model.predict_proba(texts)
        names = to_names(probabilities >= model.thresholds, model.labels)
        for text, labels, row in zip(texts, names, probabilities.tolist(), strict=True):
            values = dict(zip(model.labels, row, strict=True))
            yield {"text": text, "start": 0, "end": 0, "labels": labels, "probabilities": values}

    def _explain(self, jobs: "list[_Prepared]", answers: list[Answer]) -> None:
        chosen = [
            row for job, answer in zip(jobs, answers, strict=True) if job.explain for rows in answer for row in rows
        ]
        for row, explained in zip(chosen, explain_many(self._model, [row["text"] for row in chosen]), strict=True):
            columns = zip(*explained.values(), strict=True)  # one column a word, its weights in label order
            row["words"] = [
                {
                    "word": column[0].word,
                    "start": column[0].start,
                    "end": column[0].end,
                    "weights": {label: word.weight for label, word in zip(explained, column, strict=True)},
                }
                for column in columns
            ]


@dataclass
class _Prepared:
    texts: list[str]
    spans: list[list[tuple[int, int]]]
    explain: bool
    answer: "Future[Answer]"


def _prepare(job: Job) -> _Prepared | None:
    """The job's sentences; None where nobody waits any more, or the job was refused."""
    if not job.answer.set_running_or_notify_cancel():
        return None
    try:
        spans = [_one(text) if job.sentences else list(split_sentences(text)) for text in job.texts]
        texts = [text[start:end] for text, found in zip(job.texts, spans, strict=True) for start, end in found]
        _check(texts, job)
    except Exception as error:
        job.answer.set_exception(error)
        return None
    return _Prepared(texts, spans, job.explain, job.answer)


def _one(text: str) -> list[tuple[int, int]]:
    """A sentence as it is; none where there is nothing to read, as in an empty article."""
    return [(0, len(text))] if normalise(text) else []


def _check(texts: Sequence[str], job: Job) -> None:
    """Refuse alone what the model would refuse for the whole batch."""
    if len(texts) > MAX_SENTENCES:
        raise ClaimsError(
            f"expected at most {MAX_SENTENCES:,} sentences in one request, found {len(texts):,}; send fewer"
        )
    if job.explain and (words := sum(len(word_spans(text, i)) for i, text in enumerate(texts, 1))) > MAX_EXPLAINED:
        raise ClaimsError(
            f"expected at most {MAX_EXPLAINED:,} words to explain in one request, found {words:,}; send fewer"
        )
