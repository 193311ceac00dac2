"""One writer; readers beside it. Other processes are real ones."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.store.lock import FileLock
from ingest.store.store import Store
from rag.core.errors import StoreError, StoreLocked
from rag.wiring import Footnote
from tests.ingest.conftest import OpenStore
from tests.ingest.documents import Folder, found_by_meaning, found_by_words

WRITE = """
import sys
from pathlib import Path
from ingest.store.store import Store
store = Store(Path(sys.argv[1]), create=True)
store.become_writer()
print("writing", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the writer's lock of the test's store."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE, str(tmp_path / "store")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        yield process
        process.kill()


def test_a_second_writer_fails_at_once_and_is_told_what_to_do(
    writer: subprocess.Popen[str], store: Footnote, docs: Folder
) -> None:
    for write in (lambda: store.ingest([docs.animals()]), store.doctor, store.reindex):
        with pytest.raises(StoreLocked) as caught:
            write()
        message = str(caught.value)
        assert f"process {writer.pid}" in message
        assert message.endswith("send the files to it with --server URL.")
        assert "\n" not in message


def test_a_killed_writer_leaves_no_lock(writer: subprocess.Popen[str], store: Footnote, docs: Folder) -> None:
    assert store.status().writer_active
    writer.kill()
    writer.wait()
    assert not store.status().writer_active
    assert len(store.ingest([docs.animals()]).added) == 3
    assert store.status().writer_active


def test_a_reader_beside_the_writer_sees_what_is_written(open_store: OpenStore, docs: Folder) -> None:
    writer, reader = open_store(), open_store()
    writer.ingest([docs.animals()])
    assert found_by_words(reader, "croak") == ["heron.md"]
    assert "croak" in found_by_meaning(reader, "the call of the heron", k=1)[0]
    (docs.path / "heron.md").unlink()
    docs.write("newt.txt", "Newts live in ponds.")
    writer.ingest([docs.path])
    assert found_by_words(reader, "croak") == []
    assert found_by_meaning(reader, "small amphibians", k=1) == ["Newts live in ponds."]
    assert not reader.store.is_writer


def test_probing_takes_nothing_from_anybody(tmp_path: Path) -> None:
    file = tmp_path / "a.lock"
    first, second, third = FileLock(file), FileLock(file), FileLock(file)
    assert first.acquire(shared=True)
    assert second.acquire(shared=True)
    assert not third.acquire()
    first.release()
    second.release()
    assert third.acquire()
    third.release()


def test_a_lock_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"lock .* cannot be used .*permissions"):
        FileLock(tmp_path / "nothing" / "a.lock").acquire()


def test_no_store_and_no_folder_for_one_are_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"There is no store in .*footnote ingest PATH"):
        Store(tmp_path / "nothing")
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match=r"cannot be made .*--store DIR"):
        Store(tmp_path / "file" / "store", create=True)


def test_a_store_that_was_never_finished_is_made_by_the_next_ingest(
    open_store: OpenStore, docs: Folder, tmp_path: Path
) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "catalog.sqlite").touch()
    with pytest.raises(StoreError, match="never finished; run 'footnote ingest PATH' again"):
        Store(tmp_path / "store")
    assert len(open_store().ingest([docs.animals()]).added) == 3
