from __future__ import annotations

from pathlib import Path

import pytest

from rag.llm.corrections import Corrections


def learnt(*pairs: tuple[int, int]) -> Corrections:
    corrections = Corrections()
    for counted, said in pairs:
        corrections.observe("m", counted, said)
    return corrections


def test_a_default_that_is_too_large_gives_way_bit_by_bit() -> None:
    margins = [learnt(*[(1000, 1020)] * n).margin("m", 0.25) for n in (0, 1, 20, 500)]
    assert margins[0] == 0.25
    assert 0.23 < margins[1] < 0.25
    assert margins[2] == pytest.approx((0.25 + 0.05) / 2)
    assert 0.05 < margins[3] < 0.06


def test_a_default_that_is_too_small_grows_at_once() -> None:
    assert learnt((1000, 1400)).margin("m", 0.25) == pytest.approx(0.43)


def test_the_worst_counts_and_not_the_mean() -> None:
    assert learnt(*[(1000, 1000)] * 20, (1000, 1200), *[(1000, 1000)] * 5).margin("m", 0.0) > 0.2


def test_a_server_that_counts_less_needs_no_margin() -> None:
    assert learnt(*[(1000, 700)] * 2000).margin("m", 0.25) < 0.003


def test_an_encoding_that_is_right_stays_without_a_margin() -> None:
    assert learnt(*[(1000, 1000)] * 9).margin("m", 0.0) == 0.0


def test_short_prompts_and_servers_that_say_nothing_or_only_what_was_new_teach_nothing() -> None:
    assert learnt(*[(20, 60)] * 9, *[(1000, 0)] * 9, *[(1000, 150)] * 9).margin("m", 0.25) == 0.25


def test_what_was_learned_survives_the_process(tmp_path: Path) -> None:
    file = tmp_path / "serving.sqlite"
    before = learnt(*[(1000, 1100)] * 6)
    before.save(file)
    again = Corrections()
    again.load(file)
    assert again.margin("m", 0.25) == before.margin("m", 0.25)


def test_only_what_is_new_is_saved_and_not_too_often(tmp_path: Path) -> None:
    file = tmp_path / "serving.sqlite"
    corrections = learnt((1000, 1100))
    corrections.save(file, at_most_every_s=60)
    file.unlink()
    corrections.save(file)
    assert not file.exists(), "nothing was learned since"
    corrections.observe("m", 1000, 1200)
    corrections.save(file, at_most_every_s=60)
    assert not file.exists(), "a moment ago"
    corrections.save(file)
    assert file.exists()


def test_a_file_that_cannot_be_read_teaches_nothing(tmp_path: Path) -> None:
    file = tmp_path / "serving.sqlite"
    file.write_text("no database" * 100)
    corrections = Corrections()
    corrections.load(file)
    assert corrections.margin("m", 0.25) == 0.25
