"""Proves that catalog, full text and vectors agree, and mends what does not."""

from __future__ import annotations

from collections.abc import Callable

from ingest.identity import chunk_id
from ingest.store.catalog import Catalog, IndexRow
from ingest.store.checkup import Account, bury_quietly, forget, generations
from ingest.store.doctor_vectors import (
    Rechunk,
    check_leftovers,
    check_usable,
    check_vectors,
    check_waiting,
)
from ingest.store.generations import stored_document
from ingest.store.schema import create_words, drop_words, translated, words_table
from rag.core.errors import StoreCorrupt, StoreError, StoreFull, StoreLocked
from rag.core.protocols import VectorStore
from rag.core.reports import DoctorReport
from rag.core.types import BlockKind, LoadedDocument


def examine(
    catalog: Catalog,
    vectors: VectorStore,
    *,
    repair: bool,
    rechunk: Callable[[IndexRow], Rechunk] | None = None,
) -> DoctorReport:
    """Looks at every index of every knowledge base. ``repair`` needs the writer's lock; texts whose vector
    is lost are put back among those that wait for the encoder (``rechunk`` gives them)."""
    account = Account()
    _check_file(catalog, account)
    usable = check_usable(catalog, _all_indexes(catalog), vectors, account, repair)
    for idx in _all_indexes(catalog):
        if idx.state != "active":
            _check_other_index(catalog, idx, vectors, account, repair and usable)
            continue
        changed = _check_sources(catalog, idx, account, repair)
        changed |= _check_spans(catalog, idx, account, repair)
        changed |= check_waiting(catalog, idx, account, repair, rechunk)
        _check_words(catalog, idx, account, repair, rebuild=changed)
        if usable:
            check_vectors(catalog, idx, vectors, account, repair)
            check_leftovers(catalog, idx, vectors, account, repair)
    return DoctorReport(tuple(account.checks), tuple(account.findings))


def _all_indexes(catalog: Catalog) -> list[IndexRow]:
    with catalog.reading() as db:
        rows = db.execute("SELECT id, kb_id, state, embedder, pipeline, dim FROM idx ORDER BY id").fetchall()
    return [IndexRow(*row) for row in rows]


def _check_file(catalog: Catalog, account: Account) -> None:
    with catalog.reading() as db:
        problems = [row[0] for row in db.execute("PRAGMA integrity_check(20)") if row[0] != "ok"]
    # It looks into full-text tables too; what is wrong there is found, and mended, below.
    problems = [problem for problem in problems if "words_" not in problem]
    account.proved("the catalog's file is sound", 1)
    for problem in problems:
        account.found(
            "catalog file", f"SQLite reports: {problem}; restore a backup or ingest into a new store"
        )


def _check_other_index(
    catalog: Catalog, idx: IndexRow, vectors: VectorStore, account: Account, repair: bool
) -> None:
    message = (
        "an index that was replaced is still there"
        if idx.state == "dead"
        else "a reindex was interrupted; 'footnote reindex' goes on with it, a repair gives it up"
    )
    account.found("old indexes", message, repaired=repair)
    if repair:
        catalog.kill_index(idx)
        vectors.drop(catalog.collection(idx))
        catalog.forget_index(idx)


def _check_sources(catalog: Catalog, idx: IndexRow, account: Account, repair: bool) -> bool:
    with catalog.reading() as db:
        files = {
            row["source_id"]: row["content_hash"]
            for row in db.execute(
                "SELECT source_id, content_hash FROM file JOIN root ON root.id = root_id "
                "WHERE kb_id = ? AND state = 'ok'",
                (idx.kb_id,),
            )
        }
        newest = {
            row["source_id"]: row["content_hash"]
            for row in db.execute(
                "SELECT source_id, content_hash FROM generation WHERE idx_id = ? AND state <> 'dead' "
                "ORDER BY state",  # 'staged' after 'live': the newest version wins
                (idx.id,),
            )
        }
    account.proved("every file has its document", len(files))
    lost = [source for source, digest in files.items() if newest.get(source) != digest]
    ghosts = [source for source in newest if source not in files]
    if lost:
        account.found(
            "documents",
            "files whose document is missing or old; 'footnote ingest' reads them again",
            len(lost),
            repaired=repair,
        )
    if ghosts:
        account.found("documents", "documents whose file is not known", len(ghosts), repaired=repair)
    if repair and (lost or ghosts):
        with catalog.writing():
            catalog.forget_files(lost)
            bury_quietly(catalog, idx, [*lost, *ghosts])
    return repair and bool(lost or ghosts)


def _check_spans(catalog: Catalog, idx: IndexRow, account: Account, repair: bool) -> bool:
    n_chunks, broken = 0, set[str]()
    for generation in generations(catalog, idx):
        source = generation["source_id"]
        with catalog.reading() as db:
            rows = db.execute(
                'SELECT id, ordinal, start, "end", text, text_key FROM chunk WHERE generation_id = ? ORDER BY ordinal',
                (generation["id"],),
            ).fetchall()
        n_chunks += len(rows)
        try:
            document = stored_document(generation)
        except (StoreCorrupt, ValueError, TypeError):
            broken.add(source)
            continue
        text = document.text
        if not _covers(document, [(row["start"], row["end"]) for row in rows]):
            broken.add(source)
        for place, row in enumerate(rows):
            identity = chunk_id(source, row["start"], row["end"], row["text_key"], idx.pipeline)
            same_text = text[row["start"] : row["end"]] == row["text"]
            if not same_text or identity != row["id"] or place != row["ordinal"]:
                broken.add(source)
    account.proved("every span equals its text, every id its content", n_chunks)
    if broken:
        account.found(
            "spans",
            "documents whose chunks differ from their text; 'footnote ingest' reads them again",
            len(broken),
            repaired=repair,
        )
        if repair:
            forget(catalog, idx, sorted(broken))
    return repair and bool(broken)


def _covers(document: LoadedDocument, spans: list[tuple[int, int]]) -> bool:
    """Whether no text that a reader sees is outside of every chunk."""
    text, i = document.text, 0
    for block in document.blocks:
        at = block.start
        while i < len(spans) and spans[i][1] <= at:
            i += 1
        j = i
        while at < block.end and j < len(spans) and spans[j][0] < block.end:
            if block.kind is not BlockKind.HIDDEN and text[at : spans[j][0]].strip():
                return False
            at = max(at, spans[j][1])
            j += 1
        if block.kind is not BlockKind.HIDDEN and text[at : block.end].strip():
            return False
    return True


def _check_words(catalog: Catalog, idx: IndexRow, account: Account, repair: bool, *, rebuild: bool) -> None:
    """``rebuild``: a repair has just taken documents away, which is no finding."""
    if rebuild:
        _rebuild_words(catalog, idx)
    words = words_table(idx.id)
    n_live = 0
    try:
        with translated(catalog.file), catalog.writing() as db:
            n_live = db.execute(f"SELECT count(*) FROM {words}_content").fetchone()[0]
            # With rank 1 FTS5 compares its index with the content it was made from.
            db.execute(f"INSERT INTO {words} ({words}, rank) VALUES ('integrity-check', 1)")
            n_words = db.execute(f"SELECT count(*) FROM {words}_docsize").fetchone()[0]
        sound = n_words == n_live
    except (StoreFull, StoreLocked):
        raise
    except StoreError:
        sound = False
    account.proved("full text equals the live chunks", n_live)
    if not sound:
        if repair:
            _rebuild_words(catalog, idx)
        account.found("full text", "the full-text index differs from the live chunks", repaired=repair)


def _rebuild_words(catalog: Catalog, idx: IndexRow) -> None:
    words = words_table(idx.id)
    with catalog.writing() as db:
        drop_words(db, idx.id)
        create_words(db, idx.id)
        db.execute(f"INSERT INTO {words} ({words}) VALUES ('rebuild')")
