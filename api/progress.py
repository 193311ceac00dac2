"""Progress of an ingest: a bar where somebody watches, now and then a line where nobody does."""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Protocol

from api.terminal import say
from rag.core.reports import SyncEvent

LINE_EVERY_S = 5.0


class Progress(Protocol):
    def __call__(self, event: SyncEvent) -> None: ...

    def __enter__(self) -> Progress: ...

    def __exit__(self, *exc: Any) -> None: ...


def progress(*, quiet: bool = False) -> Progress:
    """The form that fits: nothing, a bar, or lines on stderr."""
    if quiet:
        return Silence()
    return Bar() if sys.stderr.isatty() else Lines()


def describe(event: SyncEvent) -> str:
    parts = [f"{event.n_loaded:,}/{event.n_to_load:,} documents"]
    if event.n_chunks:
        parts.append(f"{event.n_embedded:,}/{event.n_chunks:,} chunks")
    if event.chunks_per_s:
        parts.append(f"{event.chunks_per_s:,.0f} chunks/s")
    if event.remaining_s is not None:
        parts.append(f"{_clock(event.remaining_s)} left")
    if event.n_failed:
        parts.append(f"{event.n_failed:,} failed")
    return ", ".join(parts)


def fraction(event: SyncEvent) -> float:
    """Done share in [0, 1]: encoding is nearly all of the work, so it fills nearly all of the bar."""
    if event.stage == "done":
        return 1.0
    loaded = event.n_loaded / event.n_to_load if event.n_to_load else 0.0
    embedded = event.n_embedded / event.n_chunks if event.n_chunks else 0.0
    return min(1.0, 0.1 * loaded + 0.9 * embedded * loaded)


class Silence(AbstractContextManager["Silence"]):
    def __call__(self, event: SyncEvent) -> None:
        return

    def __exit__(self, *exc: Any) -> None:
        return


class Lines(AbstractContextManager["Lines"]):
    """A line each few seconds, and one for each stage."""

    def __init__(self) -> None:
        self._stage = ""
        self._last_s = 0.0

    def __call__(self, event: SyncEvent) -> None:
        now = time.monotonic()
        if event.stage == self._stage and now - self._last_s < LINE_EVERY_S:
            return
        if event.stage not in ("walk", "done") and (event.n_to_load or event.n_chunks):
            say(f"{event.stage}: {describe(event)}", err=True)
            self._last_s = now
        self._stage = event.stage

    def __exit__(self, *exc: Any) -> None:
        return


class Bar:
    """One line that redraws itself; rich is imported here because most commands never draw."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._bar = Progress(
            TextColumn("{task.description:<6}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[state]}", markup=False),
            console=Console(stderr=True),
            transient=True,
            refresh_per_second=8,
        )
        self._task = self._bar.add_task("walk", total=1.0, state="")

    def __call__(self, event: SyncEvent) -> None:
        self._bar.update(
            self._task, completed=fraction(event), description=event.stage, state=describe(event)
        )

    def __enter__(self) -> Bar:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
