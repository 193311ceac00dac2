"""Keeps on syncing: once at the start, and again whenever the file system reports a change."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from ingest.store.schema import CATALOG_FILE

_QUIET_MS = 400
_LOOK_MS = 200


def watch(paths: Sequence[Path], sync_once: Callable[[], None], stop: threading.Event) -> None:
    """Calls ``sync_once`` until ``stop`` is set. Changes that come in a burst are one sync."""
    from watchfiles import watch as changes

    first = True
    # The first look comes back empty: by then changes are recorded, so none during the first sync is missed.
    for found in changes(
        *paths,
        stop_event=stop,
        step=_QUIET_MS,
        rust_timeout=_LOOK_MS,
        yield_on_timeout=True,
        raise_interrupt=False,
        watch_filter=_is_document,
    ):
        if stop.is_set():
            return
        if found or first:
            first = False
            sync_once()


def _is_document(_: object, path: str) -> bool:
    """A store may lie in the folder that is watched: what a sync writes there must not start the next one."""
    return not any((folder / CATALOG_FILE).is_file() for folder in Path(path).parents)
