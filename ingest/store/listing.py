"""What the store holds, for people: sources with their state, totals, one document."""

from __future__ import annotations

import contextlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path

from ingest.store.access import hidden_generations
from ingest.store.catalog import Catalog, IndexRow
from ingest.store.generations import stored_document
from ingest.store.store import Store
from rag.core.errors import UnknownSource
from rag.core.reports import KnowledgeBaseStatus, SourceInfo, StoreStatus
from rag.core.types import Document, Source

_SOURCES = """
    SELECT file.source_id AS id, file.path AS path, root.path AS root, file.state AS file_state,
           file.size AS size, file.mtime_ns AS mtime_ns, file.reason AS reason,
           live.id AS live_id, live.title AS title, live.media_type AS media_type,
           live.ingested_at AS ingested_at, live.warnings AS warnings, live.metadata AS metadata,
           staged.id AS staged_id,
           (SELECT count(*) FROM chunk WHERE generation_id = live.id) AS n_chunks,
           EXISTS (SELECT 1 FROM chunk WHERE generation_id = live.id AND indexed = 0) AS waiting
    FROM file JOIN root ON root.id = file.root_id
    LEFT JOIN generation AS live ON live.idx_id = ? AND live.source_id = file.source_id AND live.state = 'live'
    LEFT JOIN generation AS staged
        ON staged.idx_id = ? AND staged.source_id = file.source_id AND staged.state = 'staged'
    WHERE root.kb_id = ? AND file.state <> 'skipped' ORDER BY root.ordinal, file.path"""


def list_sources(catalog: Catalog, kb_id: int, groups: frozenset[str] | None = None) -> list[SourceInfo]:
    """With ``groups`` those that their members may see; of a file that could not be read nobody knows who may."""
    idx = catalog.active_index(kb_id)
    idx_id = idx.id if idx else -1
    with catalog.reading() as db:
        rows = db.execute(_SOURCES, (idx_id, idx_id, kb_id)).fetchall()
        hidden = hidden_generations(db, idx_id, groups)
    infos = []
    for row in rows:
        if groups is not None and (row["live_id"] is None or row["live_id"] in hidden):
            continue
        if row["file_state"] == "failed":
            state = "failed"
        elif row["staged_id"] is not None:
            state = "updating"
        else:
            state = "words-only" if row["waiting"] else "live"
        infos.append(
            SourceInfo(
                id=row["id"],
                uri=row["path"],
                root=row["root"],
                title=row["title"] or Path(row["path"]).stem,
                media_type=row["media_type"] or "",
                state=state,  # type: ignore[arg-type]
                n_chunks=row["n_chunks"],
                size_bytes=row["size"],
                modified_at=datetime.fromtimestamp(row["mtime_ns"] / 1e9, UTC).isoformat(timespec="seconds"),
                ingested_at=row["ingested_at"],
                reason=row["reason"],
                warnings=tuple(json.loads(row["warnings"] or "[]")),
                metadata=json.loads(row["metadata"] or "{}"),
            )
        )
    return infos


def store_status(
    store: Store, tenant: str, chroma_url: str | None, groups: frozenset[str] | None = None
) -> StoreStatus:
    catalog = store.catalog
    knowledge_bases = []
    for kb_id, name in catalog.kbs(tenant):
        idx = catalog.active_index(kb_id)
        idx_id = idx.id if idx else -1
        with catalog.reading() as db:
            counts = db.execute(
                """SELECT count(*) AS n, coalesce(sum(chunk.indexed = 0), 0) AS waiting FROM chunk
                   JOIN generation ON generation.id = generation_id
                   WHERE generation.idx_id = ? AND generation.state = 'live'
                       AND generation.id NOT IN (SELECT value FROM json_each(?))""",
                (idx_id, json.dumps(sorted(hidden_generations(db, idx_id, groups)))),
            ).fetchone()
            files = db.execute(
                """SELECT coalesce(sum(state = 'ok'), 0) AS ok, coalesce(sum(state = 'failed'), 0) AS failed
                   FROM file JOIN root ON root.id = root_id WHERE kb_id = ?""",
                (kb_id,),
            ).fetchone()
        n_ok, n_failed = files["ok"], files["failed"]
        if groups is not None:
            n_ok, n_failed = len(list_sources(catalog, kb_id, groups)), 0
        knowledge_bases.append(
            KnowledgeBaseStatus(
                name=name,
                n_sources=n_ok,
                n_failed=n_failed,
                n_chunks=counts["n"],
                n_pending_vectors=counts["waiting"],
                fingerprint=idx.embedder if idx else "",
                roots=tuple(root.path for root in catalog.roots(kb_id)),
            )
        )
    return StoreStatus(
        store=str(store.folder),
        vectors=chroma_url or "embedded Chroma",
        writer_active=store.locks.writer_active(),
        size_bytes=_size_bytes(store.folder),
        knowledge_bases=tuple(knowledge_bases),
    )


def _size_bytes(folder: Path) -> int:
    """A writer beside us makes and deletes files while they are counted."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(path) / name).lstat().st_size
    return total


def read_document(
    catalog: Catalog, idx: IndexRow, source_id: str, groups: frozenset[str] | None = None
) -> Document:
    with catalog.reading() as db:
        row = db.execute(
            "SELECT * FROM generation WHERE idx_id = ? AND source_id = ? AND state = 'live'",
            (idx.id, source_id),
        ).fetchone()
        hidden = hidden_generations(db, idx.id, groups)
    if row is None or row["id"] in hidden:
        raise UnknownSource(
            f"There is no document {source_id}; 'footnote sources' lists them.", source=source_id
        )
    loaded = stored_document(row)
    source = Source(
        row["source_id"], row["uri"], row["content_hash"], row["media_type"], row["title"], loaded.metadata
    )
    return Document(source, loaded.text, loaded.blocks)
