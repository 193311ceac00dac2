from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from rag.core.types import Usage
from rag.llm.ledger import Ledger, Spent, usage_by

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


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    from rag.core.errors import StoreError

    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="check its folder"):
        Ledger(tmp_path / "file" / "serving.sqlite")
