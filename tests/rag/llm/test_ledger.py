from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from rag.core.types import Usage
from rag.llm.ledger import Ledger, Spent, usage_by
from rag.llm.serving_db import open_serving

WHO = {"tenant": "acme", "key": "ci", "model": "gpt-4o", "purpose": "answer"}


def test_what_is_recorded_is_there_after_a_close(tmp_path: Path) -> None:
    path = tmp_path / "serving.sqlite"
    for _ in range(2):
        ledger = Ledger(path)
        ledger.record(Usage(100, 10, 5, cost_usd=0.25), **WHO)
        ledger.close()
    assert usage_by(path, "model", days=1) == [("gpt-4o", Spent(2, 200, 20, 10, 0.5))]


def test_sums_by_day_tenant_key_and_purpose(tmp_path: Path) -> None:
    path = tmp_path / "serving.sqlite"
    days = iter(["2026-03-01", "2026-03-02", "2026-03-02"])
    ledger = Ledger(path, today=lambda: next(days))
    ledger.record(Usage(1, cost_usd=1.0), **WHO)
    ledger.record(Usage(2, cost_usd=2.0), **WHO)
    ledger.record(Usage(4, cost_usd=4.0), **{**WHO, "tenant": "zen", "purpose": "rewrite"})
    ledger.close()

    def sums(by: str, days: int = 30) -> dict[str, float]:
        return {name: spent.cost_usd for name, spent in usage_by(path, by, days=days, today="2026-03-02")}  # type: ignore[arg-type]

    assert sums("day") == {"2026-03-02": 6.0, "2026-03-01": 1.0}
    assert sums("tenant", days=1) == {"zen": 4.0, "acme": 2.0}
    assert list(sums("purpose")) == ["rewrite", "answer"], "dearest first"
    assert sums("key") == {"ci": 7.0}


def test_several_threads_and_processes_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "serving.sqlite"
    ledger = Ledger(path)
    code = (
        "import sys, pathlib; from rag.llm.ledger import Ledger; from rag.core.types import Usage\n"
        "ledger = Ledger(pathlib.Path(sys.argv[1]))\n"
        "for _ in range(200): ledger.record(Usage(1), tenant='acme', key='', model='m', purpose='answer'); ledger.flush()\n"
        "ledger.close()"
    )
    other = subprocess.Popen([sys.executable, "-c", code, str(path)])

    def write() -> None:
        for _ in range(200):
            ledger.record(Usage(1), tenant="acme", key="", model="m", purpose="answer")
            ledger.flush()

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert other.wait() == 0
    ledger.close()
    [(_, spent)] = usage_by(path, "model", days=1)
    assert (spent.n_requests, spent.input_tokens) == (800, 800)


def test_what_is_spent_counts_before_it_is_written_and_with_what_is_set_aside(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "serving.sqlite")
    ledger.record(Usage(cost_usd=1.0), **WHO)
    assert ledger.spent_today_usd("acme") == 1.0
    ledger.flush()
    assert ledger.spent_today_usd("acme") == 1.0
    ledger.hold("acme", 0.5)
    assert ledger.spent_today_usd("acme") == 1.5
    ledger.hold("acme", -0.5)
    ledger.record(Usage(cost_usd=2.0), **WHO)
    assert ledger.spent_today_usd("acme") == 3.0
    assert ledger.spent_today_usd("zen") == 0.0
    ledger.close()


def test_what_another_process_spends_counts_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag.llm.ledger._WRITE_EVERY_S", 0.01)
    here, there = (Ledger(tmp_path / "serving.sqlite") for _ in range(2))
    here.record(Usage(cost_usd=0.5), **WHO)
    there.record(Usage(cost_usd=1.0), **WHO)
    assert here.spent_today_usd("acme") >= 0.5
    for _ in range(500):
        if here.spent_today_usd("acme") == there.spent_today_usd("acme") == 1.5:
            break
        time.sleep(0.01)
    assert here.spent_today_usd("acme") == there.spent_today_usd("acme") == 1.5
    there.close()
    here.close()


def test_asking_what_is_spent_does_not_wait_for_a_writer(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "serving.sqlite")
    busy = open_serving(tmp_path / "serving.sqlite")
    busy.execute("BEGIN IMMEDIATE")
    ledger.record(Usage(cost_usd=1.0), **WHO)
    writing = threading.Thread(target=ledger.flush)
    writing.start()
    began = time.monotonic()
    assert [ledger.spent_today_usd(tenant) for tenant in ("acme", "zen", "acme")] == [1.0, 0.0, 1.0]
    took_s = time.monotonic() - began
    assert writing.is_alive(), "what is being written counts too"
    busy.execute("ROLLBACK")
    busy.close()
    writing.join()
    assert took_s < 1.0
    assert ledger.spent_today_usd("acme") == 1.0
    ledger.close()


def test_a_new_day_begins_with_nothing_spent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag.llm.ledger._WRITE_EVERY_S", 0.01)
    day = ["2026-03-01"]
    ledger = Ledger(tmp_path / "serving.sqlite", today=lambda: day[0])
    ledger.record(Usage(cost_usd=1.0), **WHO)
    assert ledger.spent_today_usd("acme") == 1.0
    day[0] = "2026-03-02"
    assert ledger.spent_today_usd("acme") == 0.0
    ledger.record(Usage(cost_usd=0.25), **WHO)
    time.sleep(0.05)
    assert ledger.spent_today_usd("acme") == 0.25
    ledger.close()
    by_day = usage_by(tmp_path / "serving.sqlite", "day", days=2, today="2026-03-02")
    assert [(name, spent.cost_usd) for name, spent in by_day] == [("2026-03-02", 0.25), ("2026-03-01", 1.0)]


def test_a_process_that_is_killed_loses_only_what_is_newer_than_the_last_write(tmp_path: Path) -> None:
    path = tmp_path / "serving.sqlite"
    code = (
        "import os, signal, sys, time, pathlib; from rag.llm import ledger; from rag.core.types import Usage\n"
        "ledger._WRITE_EVERY_S = 0.05\n"
        "one = ledger.Ledger(pathlib.Path(sys.argv[1]))\n"
        "for _ in range(50): one.record(Usage(1), tenant='acme', key='', model='m', purpose='answer')\n"
        "time.sleep(0.5)\n"
        "one.record(Usage(1), tenant='acme', key='', model='m', purpose='answer')\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == -9
    [(_, spent)] = usage_by(path, "model", days=1)
    assert spent.n_requests in (50, 51)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    from rag.core.errors import StoreError

    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="check its folder"):
        Ledger(tmp_path / "file" / "serving.sqlite")
