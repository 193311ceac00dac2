"""Each kind of damage is found, mended, and leaves a store that answers as before."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ingest.store.schema import words_table
from rag.core.errors import StoreCorrupt
from rag.wiring import Footnote
from tests.ingest.conftest import OpenStore
from tests.ingest.documents import (
    HERON,
    Folder,
    assert_healthy,
    assert_same_contents,
    contents,
    found_by_meaning,
    found_by_words,
    ids_in_chroma,
)


@pytest.fixture
def filled(store: Footnote, docs: Folder) -> Footnote:
    store.ingest([docs.animals()])
    return store


def collection(footnote: Footnote) -> str:
    return footnote.store.catalog.collection(footnote.index.index_of(footnote.scope()))


def change(footnote: Footnote, statement: str, *values: object) -> None:
    with footnote.store.catalog.writing() as db:
        assert db.execute(statement, values).rowcount != 0


def delete_vector(footnote: Footnote) -> None:
    footnote.store.vectors().delete(collection(footnote), sorted(ids_in_chroma(footnote))[:1])


def orphan_vector(footnote: Footnote) -> None:
    vector = np.ones((1, 384), dtype=np.float32)
    footnote.store.vectors().upsert(collection(footnote), ["no such chunk"], vector)


def other_vector(footnote: Footnote) -> None:
    vector = np.zeros((1, 384), dtype=np.float32)
    vector[0, 7] = 1
    footnote.store.vectors().upsert(collection(footnote), sorted(ids_in_chroma(footnote))[:1], vector)


def altered_chunk(footnote: Footnote) -> None:
    change(footnote, "UPDATE chunk SET text = 'Storks clatter.' WHERE text LIKE '%croak%'")


def moved_chunk(footnote: Footnote) -> None:
    change(footnote, "UPDATE chunk SET start = start + 1 WHERE text LIKE '%croak%'")


def lost_chunk(footnote: Footnote) -> None:
    change(footnote, "DELETE FROM chunk WHERE text LIKE '%Herons breed%'")


def altered_document(footnote: Footnote) -> None:
    change(footnote, "UPDATE generation SET text = ? WHERE uri = 'heron.md'", zlib.compress(b"Storks."))


def damaged_document(footnote: Footnote) -> None:
    change(footnote, "UPDATE generation SET text = x'00ff' WHERE uri = 'heron.md'")


def lost_document(footnote: Footnote) -> None:
    change(
        footnote,
        "DELETE FROM chunk WHERE generation_id IN (SELECT id FROM generation WHERE uri = 'heron.md')",
    )
    change(footnote, "DELETE FROM generation WHERE uri = 'heron.md'")


def unknown_document(footnote: Footnote) -> None:
    change(footnote, "DELETE FROM file WHERE path = 'heron.md'")


def missing_words(footnote: Footnote) -> None:
    words = words_table(footnote.index.index_of(footnote.scope()).id)
    change(footnote, f"DELETE FROM {words} WHERE rowid = (SELECT min(rowid) FROM {words}_docsize)")


def damaged_words(footnote: Footnote) -> None:
    words = words_table(footnote.index.index_of(footnote.scope()).id)
    change(footnote, f"UPDATE {words}_data SET block = x'00' WHERE id > 10")


def lost_kept_vector(footnote: Footnote) -> None:
    change(footnote, "DELETE FROM vector WHERE row = (SELECT min(row) FROM vector)")


def damaged_kept_vector(footnote: Footnote) -> None:
    change(footnote, "UPDATE vector SET data = x'0000' WHERE row = (SELECT min(row) FROM vector)")


def altered_kept_vector(footnote: Footnote) -> None:
    change(footnote, "UPDATE vector SET data = zeroblob(1536) WHERE row = (SELECT min(row) FROM vector)")


def unused_kept_vector(footnote: Footnote) -> None:
    change(footnote, "INSERT INTO vector SELECT NULL, embedder, x'01', data FROM vector LIMIT 1")


def unindexed_chunk(footnote: Footnote) -> None:
    change(footnote, "UPDATE chunk SET indexed = 0 WHERE row = (SELECT min(row) FROM chunk)")


def old_index(footnote: Footnote) -> None:
    kb_id = footnote.store.catalog.find_kb("default", "default")
    footnote.store.catalog.create_index(kb_id, "dead", embedder="old", pipeline="old", dim=3)


def half_built_index(footnote: Footnote) -> None:
    kb_id = footnote.store.catalog.find_kb("default", "default")
    footnote.store.catalog.create_index(kb_id, "building", embedder="new", pipeline="new", dim=3)


DAMAGE: list[tuple[Callable[[Footnote], None], str]] = [
    (delete_vector, "vector is missing"),
    (orphan_vector, "vectors without a chunk"),
    (other_vector, "vectors that differ"),
    (altered_chunk, "differ from their text"),
    (moved_chunk, "differ from their text"),
    (lost_chunk, "differ from their text"),
    (altered_document, "differ from their text"),
    (damaged_document, "differ from their text"),
    (lost_document, "document is missing"),
    (unknown_document, "file is not known"),
    (missing_words, "full-text index differs"),
    (damaged_words, "full-text index differs"),
    (lost_kept_vector, "vector is lost"),
    (damaged_kept_vector, "vector is lost"),
    (altered_kept_vector, "vector is lost"),
    (unused_kept_vector, "no chunk uses"),
    (unindexed_chunk, "interrupted run"),
    (old_index, "was replaced"),
    (half_built_index, "reindex was interrupted"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGE, ids=[damage.__name__ for damage, _ in DAMAGE])
def test_damage_is_found_and_mended(
    filled: Footnote, docs: Folder, damage: Callable[[Footnote], None], message: str
) -> None:
    sound = contents(filled)
    damage(filled)
    report = filled.doctor()
    assert not report.healthy
    assert any(message in finding.message for finding in report.findings), report.findings
    assert filled.doctor().findings == report.findings, "looking changed something"
    assert filled.doctor(repair=True).healthy
    filled.ingest([docs.path])
    assert_healthy(filled)
    assert_same_contents(contents(filled), sound)


def test_a_sound_store_has_no_findings_and_everything_was_looked_at(filled: Footnote) -> None:
    report = filled.doctor()
    assert report.healthy
    assert report.findings == ()
    counts = dict(report.checks)
    assert counts["every file has its document"] == 3
    n_chunks = len(ids_in_chroma(filled))
    assert counts["every span equals its text, every id its content"] == n_chunks
    assert counts["full text equals the live chunks"] == n_chunks
    assert counts["stored vectors equal the catalog's"] == n_chunks


def test_an_interrupted_run_is_said_to_wait(filled: Footnote) -> None:
    change(filled, "INSERT INTO pending SELECT NULL, idx_id, x'01', 'a text' FROM chunk LIMIT 1")
    assert [(f.check, f.n, f.repaired) for f in filled.doctor(repair=True).findings] == [
        ("waiting", 1, False)
    ]


@pytest.mark.parametrize("torn", ["chroma.sqlite3", "folder"])
def test_chroma_is_built_again_from_the_catalog(
    open_store: OpenStore, docs: Folder, tmp_path: Path, torn: str
) -> None:
    footnote = open_store()
    footnote.ingest([docs.animals()])
    footnote.ingest([docs.path], kb="other")
    sound = contents(footnote)
    footnote.close()
    chroma = tmp_path / "store" / "chroma"
    if torn == "folder":
        chroma.rename(tmp_path / "elsewhere")
    else:
        (chroma / torn).write_bytes(b"not a database " * 500)
    again = open_store()
    docs.write("heron.md", HERON + "\nNew words.\n")
    if torn != "folder":
        with pytest.raises(StoreCorrupt, match="footnote doctor --repair"):
            again.ingest([docs.path])
        docs.write("heron.md", HERON)
        assert found_by_words(again, "croak") == ["heron.md"]
    docs.write("heron.md", HERON)
    assert not again.doctor().healthy
    assert again.doctor(repair=True).healthy
    again.ingest([docs.path])
    assert_healthy(again)
    assert_same_contents(contents(again), sound)
    assert "croak" in found_by_meaning(again, "the call of the heron", k=1)[0]


def test_a_catalog_with_torn_pages_is_one_clear_error(
    open_store: OpenStore, docs: Folder, tmp_path: Path
) -> None:
    footnote = open_store()
    footnote.ingest([docs.animals()])
    footnote.close()
    file = tmp_path / "store" / "catalog.sqlite"
    data = bytearray(file.read_bytes())
    for page in range(3, len(data) // 4096, 3):
        data[page * 4096 : page * 4096 + 600] = b"\xee" * 600
    file.write_bytes(bytes(data))
    with pytest.raises(StoreCorrupt, match=r"catalog\.sqlite is damaged .*your documents are untouched\."):
        open_store().doctor()
