"""How far a run is: a bar on a terminal, a line now and then in a log."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from conflict_claims.batch import Summary

LINE_EVERY = 60.0
"""Seconds between two lines of a log."""


@contextmanager
def shown(say: Callable[[str], None], terminal: bool | None = None) -> Iterator[Callable[[Summary], None]]:
    """Yield what to call with the figures so far.

    Args:
        say: prints a line.
        terminal: whether the error stream is one; None looks.
    """
    clock = _Clock(say)
    if not (os.isatty(2) if terminal is None else terminal):
        yield _lines(say, clock)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        *(BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[done]}"), TimeElapsedColumn()),
        *(TextColumn("left:"), TimeRemainingColumn()),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True, speed_estimate_period=300) as progress:
        task = progress.add_task("sentences", total=None, done="")

        def report(now: Summary) -> None:
            if clock.first is None:  # what an earlier run did says nothing about how fast this one is
                progress.reset(task, total=now.total or None, completed=now.bytes)
            progress.update(task, completed=now.bytes, done=clock.rate(now))

        yield report


class _Clock:
    """Time and figures since the work began: loading the model and what an earlier run did do not count."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.first: Summary | None = None
        self._say = say
        self._start = 0.0

    def rate(self, now: Summary) -> str:
        if self.first is None:
            self.first, self._start = now, time.monotonic()
            if now.resumed:
                self._say(f"goes on after {now.resumed:,} rows that are done")
        rate = (now.sentences - self.first.sentences) / max(self.seconds, 1e-9)
        return f"{now.sentences:,} sentences, {rate:,.0f} a second"

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start


def _lines(say: Callable[[str], None], clock: _Clock) -> Callable[[Summary], None]:
    said = time.monotonic()

    def report(now: Summary) -> None:
        nonlocal said
        rate = clock.rate(now)
        if time.monotonic() - said < LINE_EVERY:
            return
        said = time.monotonic()
        done = now.bytes - (clock.first or now).bytes
        share = f"{now.bytes / now.total:.0%}, " if now.total else ""
        left = clock.seconds * (now.total - now.bytes) / done / 60 if done > 0 else 0
        say(f"{share}{rate}" + (f", {left:,.0f} minutes left" if done > 0 and now.total else ""))

    return report
