from __future__ import annotations

from pathlib import Path

from ingest.embed.calibrate import CANDIDATES, DEFAULT, BatchSize


def work(batch_size: BatchSize, fastest: int, windows: int) -> set[int]:
    """Windows of 1,000 tokens on a machine where one size costs half; returns the sizes that were used."""
    used = set()
    for _ in range(windows):
        size = batch_size.tokens()
        used.add(size)
        batch_size.measured(size, 1000, 0.05 if size == fastest else 0.1)
    return used


def test_every_size_is_tried_and_the_fastest_chosen(tmp_path: Path) -> None:
    batch_size = BatchSize(tmp_path / "note.json")
    assert batch_size.tokens() == DEFAULT
    assert work(batch_size, fastest=1024, windows=40) == set(CANDIDATES)
    assert batch_size.settled
    assert work(batch_size, fastest=256, windows=40) == {1024}


def test_the_choice_is_remembered(tmp_path: Path) -> None:
    note = tmp_path / "cache" / "note.json"
    work(BatchSize(note), fastest=256, windows=40)
    assert BatchSize(note).tokens() == 256


def test_a_note_that_makes_no_sense_is_measured_anew(tmp_path: Path) -> None:
    note = tmp_path / "note.json"
    for text in ("", "[]", '{"batch_tokens": 7}', '{"batch_tokens": "512"}'):
        note.write_text(text, "utf-8")
        assert not BatchSize(note).settled


def test_without_a_cache_folder_it_still_chooses(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    batch_size = BatchSize(tmp_path / "file" / "note.json")
    work(batch_size, fastest=2048, windows=40)
    assert batch_size.tokens() == 2048
