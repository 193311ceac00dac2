from __future__ import annotations

import threading
import time
from pathlib import Path

from ingest.watch import watch
from rag.core.reports import SyncReport
from rag.wiring import Footnote
from tests.ingest.documents import Folder, found_by_words


def wait_for(condition: object, timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "nothing came of it"
        time.sleep(0.05)


def test_watching_takes_up_changes_until_it_is_stopped(store: Footnote, docs: Folder) -> None:
    docs.animals()
    stop, reports = threading.Event(), list[SyncReport]()
    watching = threading.Thread(
        target=store.watch, args=([docs.path],), kwargs={"on_report": reports.append, "stop": stop}
    )
    watching.start()
    try:
        wait_for(lambda: len(reports) == 1)
        docs.write("newt.txt", "Newts live in ponds.\n")
        wait_for(lambda: found_by_words(store, "newts") == ["newt.txt"])
        (docs.path / "heron.md").unlink()
        wait_for(lambda: found_by_words(store, "croak") == [])
    finally:
        stop.set()
        watching.join(20)
    assert not watching.is_alive()
    assert (reports[0].added, reports[0].failed) == (
        ("heron.md", "mammals/beaver.txt", "mammals/otter.txt"),
        (),
    )


def test_a_change_during_the_first_sync_is_not_missed(tmp_path: Path) -> None:
    stop, n_syncs = threading.Event(), 0

    def sync_once() -> None:
        nonlocal n_syncs
        n_syncs += 1
        if n_syncs == 1:
            (tmp_path / "late.txt").write_text("x")
        else:
            stop.set()

    guard = threading.Timer(20, stop.set)
    guard.start()
    watch([tmp_path], sync_once, stop)
    guard.cancel()
    assert n_syncs == 2


def test_a_watched_store_that_lies_in_its_own_folder_comes_to_rest(open_store: object, docs: Folder) -> None:
    docs.animals()
    store: Footnote = open_store(store=docs.path / "store")  # type: ignore[operator]
    stop, reports = threading.Event(), list[SyncReport]()
    watching = threading.Thread(
        target=store.watch, args=([docs.path],), kwargs={"on_report": reports.append, "stop": stop}
    )
    watching.start()
    try:
        wait_for(lambda: len(reports) >= 1)
        time.sleep(1.2)
        n_reports = len(reports)
        time.sleep(1)
        assert len(reports) == n_reports == 1
    finally:
        stop.set()
        watching.join(20)
