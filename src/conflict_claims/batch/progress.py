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
    first: Summary | None = None

    def begun(now: Summary) -> Summary:
        nonlocal first
        if first is None:
            first = now
            if now.resumed:
                say(f"goes on after {now.resumed:,} rows that are done")
        return first

    if not (os.isatty(2) if terminal is None else terminal):
        yield _lines(say, begun)
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
    start = time.monotonic()
    with Progress(*columns, console=Console(stderr=True), transient=True, speed_estimate_period=300) as progress:
        task = progress.add_task("sentences", total=None, done="")

        def report(now: Summary) -> None:
            if first is None:  # what an earlier run did says nothing about how fast this one is
                progress.reset(task, total=now.total or None, completed=now.bytes)
            progress.update(task, completed=now.bytes, done=_rate(begun(now), now, time.monotonic() - start))

        yield report


def _lines(say: Callable[[str], None], begun: Callable[[Summary], Summary]) -> Callable[[Summary], None]:
    start = said = time.monotonic()

    def report(now: Summary) -> None:
        nonlocal said
        first, clock = begun(now), time.monotonic()
        if clock - said >= LINE_EVERY:
            said = clock
            share = now.bytes - first.bytes
            left = (clock - start) * (now.total - now.bytes) / share / 60 if share > 0 else 0
            known = f"{now.bytes / now.total:.0%}, " if now.total else ""
            say(f"{known}{_rate(first, now, clock - start)}" + (f", {left:,.0f} minutes left" if now.total else ""))

    return report


def _rate(first: Summary, now: Summary, seconds: float) -> str:
    rate = (now.sentences - first.sentences) / max(seconds, 1e-9)
    return f"{now.sentences:,} sentences, {rate:,.0f} a second"
