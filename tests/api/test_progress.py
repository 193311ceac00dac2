from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.progress import Lines, describe, fraction
from rag.core.reports import SyncEvent

COUNTS = st.integers(0, 10_000)


def test_a_line_says_documents_chunks_rate_and_time_left() -> None:
    event = SyncEvent("embed", 50, 40, 30, 1, 1200, 600, 85.4, 3725.2)
    assert describe(event) == "30/40 documents, 600/1,200 chunks, 85 chunks/s, 1:02:05 left, 1 failed"


def test_the_bar_ends_full() -> None:
    assert fraction(SyncEvent("done")) == 1.0
    assert fraction(SyncEvent("walk")) == 0.0


@given(COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
def test_the_bar_stays_in_its_frame_and_embedding_moves_it_forward(
    n_to_load: int, n_loaded: int, n_chunks: int, n_embedded: int, more: int
) -> None:
    before = fraction(SyncEvent("embed", 0, n_to_load, min(n_loaded, n_to_load), 0, n_chunks, n_embedded))
    after = fraction(
        SyncEvent("embed", 0, n_to_load, min(n_loaded, n_to_load), 0, n_chunks, n_embedded + more)
    )
    assert 0.0 <= before <= after <= 1.0


def test_lines_are_few(capsys: pytest.CaptureFixture[str]) -> None:
    with Lines() as lines:
        for n in range(1000):
            lines(SyncEvent("embed", 10, 10, 10, 0, 1000, n, 100.0, 1.0))
        lines(SyncEvent("done", 10, 10, 10, 0, 1000, 1000))
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "embed: 10/10 documents, 0/1,000 chunks, 100 chunks/s, 0:01 left\n"
