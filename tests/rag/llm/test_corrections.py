from __future__ import annotations

from pathlib import Path

import pytest

from rag.llm.corrections import Corrections


def learnt(*pairs: tuple[int, int]) -> Corrections:
    corrections = Corrections()
    for counted, said in pairs:
        corrections.observe("m", counted, said)
    return corrections


def test_the_default_holds_until_enough_was_seen() -> None:
    assert learnt().margin("m", 0.25) == 0.25
    assert learnt((1000, 1020)).margin("m", 0.25) == 0.25
    assert learnt(*[(1000, 1020)] * 5).margin("m", 0.25) == pytest.approx(0.05)


def test_a_default_that_is_too_small_grows_at_once() -> None:
    assert learnt((1000, 1400)).margin("m", 0.25) == pytest.approx(0.43)


def test_the_worst_counts_and_not_the_mean() -> None:
    assert learnt(*[(1000, 1000)] * 20, (1000, 1200), *[(1000, 1000)] * 5).margin("m", 0.0) > 0.2


def test_a_server_that_counts_less_needs_no_margin() -> None:
    assert learnt(*[(1000, 700)] * 9).margin("m", 0.25) == 0.0


def test_short_prompts_and_silent_servers_teach_nothing() -> None:
    assert learnt(*[(20, 60)] * 9, *[(1000, 0)] * 9).margin("m", 0.25) == 0.25


def test_what_was_learned_survives_the_process(tmp_path: Path) -> None:
    file = tmp_path / "serving.sqlite"
    learnt(*[(1000, 1100)] * 6).save(file)
    again = Corrections()
    again.load(file)
    assert again.margin("m", 0.25) == pytest.approx(0.13)


def test_a_file_that_cannot_be_read_teaches_nothing(tmp_path: Path) -> None:
    file = tmp_path / "serving.sqlite"
    file.write_text("no database" * 100)
    corrections = Corrections()
    corrections.load(file)
    assert corrections.margin("m", 0.25) == 0.25
