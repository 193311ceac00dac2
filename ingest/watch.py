"""Keeps on syncing: once at the start, and again whenever the file system reports a change."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

_QUIET_MS = 400


def watch(paths: Sequence[Path], sync_once: Callable[[], None], stop: threading.Event) -> None:
    """Calls ``sync_once`` until ``stop`` is set. Changes that come in a burst are one sync."""
    from watchfiles import watch as changes

    sync_once()
    if stop.is_set():
        return
    for _ in changes(*paths, stop_event=stop, step=_QUIET_MS, raise_interrupt=False, watch_filter=None):
        sync_once()
