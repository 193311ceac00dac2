from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.store.catalog import Catalog, FileRow
from ingest.store.schema import SCHEMA_VERSION
from rag.core.errors import StoreCorrupt, StoreError, UnknownKnowledgeBase


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    opened = Catalog(tmp_path, create=True)
    yield opened
    opened.close()


def file_row(path: str, root_id: int) -> FileRow:
    return FileRow(path, root_id, path, 1, 2, "hash", "ok", None, None, "text/plain#1")


def test_a_write_is_all_or_nothing(catalog: Catalog) -> None:
    root = catalog.ensure_root(catalog.ensure_kb("t", "a"), "/docs")
    revision = catalog.revision()
    with pytest.raises(RuntimeError), catalog.writing():
        catalog.put_file(file_row("a.txt", root.id))
        with catalog.writing():  # inside the first: no transaction of its own
            catalog.put_file(file_row("b.txt", root.id))
        raise RuntimeError
    assert catalog.files(root.id) == {}
    assert catalog.revision() == revision
    catalog.put_file(file_row("c.txt", root.id))
    assert list(catalog.files(root.id)) == ["c.txt"]
    assert catalog.revision() == revision + 1


def test_a_reader_sees_one_state_of_the_store(catalog: Catalog) -> None:
    root = catalog.ensure_root(catalog.ensure_kb("t", "a"), "/docs")

    def write() -> None:
        catalog.put_file(file_row("a.txt", root.id))

    with catalog.reading():
        assert catalog.files(root.id) == {}
        writer = threading.Thread(target=write)
        writer.start()
        writer.join()
        assert catalog.files(root.id) == {}
    assert list(catalog.files(root.id)) == ["a.txt"]


def test_a_write_goes_on_after_sqlite_has_rolled_back_by_itself(catalog: Catalog) -> None:
    """As it does when the disk is full."""
    kb_id = catalog.ensure_kb("t", "a")
    with pytest.raises(StoreError), catalog.writing() as db:
        db.execute("ROLLBACK")
        db.execute("no such statement")
    assert catalog.ensure_root(kb_id, "/docs").path == "/docs"


def test_names_and_roots_are_made_once(catalog: Catalog) -> None:
    first = catalog.ensure_kb("t", "a")
    assert first == catalog.ensure_kb("t", "a") != catalog.ensure_kb("u", "a")
    assert catalog.find_kb("t", "a") == first
    assert [name for _, name in catalog.kbs("t")] == ["a"]
    one, two = catalog.ensure_root(first, "/one"), catalog.ensure_root(first, "/two")
    assert (one.ordinal, two.ordinal) == (1, 2)
    assert catalog.ensure_root(first, "/one") == one
    with pytest.raises(UnknownKnowledgeBase, match=r"named b in .*there are: a"):
        catalog.find_kb("t", "b")


def test_a_vector_stays_as_long_as_a_chunk_of_its_encoder_has_the_text(catalog: Catalog) -> None:
    kb_id = catalog.ensure_kb("t", "a")
    old = catalog.create_index(kb_id, "dead", embedder="old", pipeline="p", dim=3)
    new = catalog.create_index(kb_id, "active", embedder="new", pipeline="q", dim=3)
    with catalog.writing() as db:
        for idx in (old, new):
            generation = db.execute(
                """INSERT INTO generation (idx_id, source_id, state, uri, suffix, content_hash, loader, media_type,
                   title, own_title, date, metadata, warnings, size, ingested_at, text, blocks)
                   VALUES (?, 's', 'live', '', '', '', '', '', '', 0, '', '{}', '[]', 0, '', x'', x'')""",
                (idx.id,),
            ).lastrowid
            db.execute(
                """INSERT INTO chunk (id, generation_id, idx_id, ordinal, start, "end", text, headings, n_tokens,
                   text_key, indexed) VALUES ('c', ?, ?, 0, 0, 0, '', '[]', 0, x'01', 0)""",
                (generation, idx.id),
            )
            db.execute(
                "INSERT INTO vector (embedder, text_key, data) VALUES (?, x'01', x'')", (idx.embedder,)
            )
    catalog.forget_index(old)
    with catalog.reading() as db:
        assert [row["embedder"] for row in db.execute("SELECT embedder FROM vector")] == ["new"]


def test_what_is_no_catalog_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "catalog.sqlite").write_bytes(b"These are notes and no database. " * 200)
    with pytest.raises(StoreCorrupt, match=r"your documents are untouched\.$"):
        Catalog(tmp_path)


def test_a_catalog_of_another_version_is_one_clear_error(catalog: Catalog, tmp_path: Path) -> None:
    catalog.close()
    with sqlite3.connect(tmp_path / "catalog.sqlite") as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    db.close()
    with pytest.raises(StoreCorrupt, match="use the Footnote that wrote it"):
        Catalog(tmp_path)


def test_two_stores_never_share_a_collection(tmp_path: Path) -> None:
    names = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        catalog = Catalog(tmp_path / name, create=True)
        kb_id = catalog.ensure_kb("t", "a")
        names.append(
            catalog.collection(catalog.create_index(kb_id, "active", embedder="e", pipeline="p", dim=3))
        )
        catalog.close()
    assert names[0] != names[1]
