"""Takes documents out of a knowledge base; the files themselves stay where they are."""

from __future__ import annotations

from collections.abc import Sequence

from ingest.store.catalog import Catalog, FileRow, IndexRow
from ingest.store.filters import glob_pattern
from ingest.store.generations import bury, purge
from rag.core.errors import UnknownSource
from rag.core.protocols import VectorStore


def remove(catalog: Catalog, idx: IndexRow, patterns: Sequence[str], vectors: VectorStore) -> list[str]:
    """Paths removed. Raises ``UnknownSource``, before anything is removed, if a pattern fits nothing."""
    files = [file for root in catalog.roots(idx.kb_id) for file in catalog.files(root.id).values()]
    chosen: dict[str, FileRow] = {}
    for pattern in patterns:
        found = [file for file in files if file.source_id == pattern or file.path == pattern]
        if not found:
            glob = glob_pattern(pattern)
            found = [file for file in files if glob.fullmatch(file.path)]
        if not found:
            raise UnknownSource(
                f"No document fits {pattern!r}; 'footnote sources' lists them.", source=pattern
            )
        chosen.update({file.source_id: file for file in found})
    gone = list(chosen)
    with catalog.writing():
        bury(catalog, idx, gone)
        catalog.forget_files(gone)
    purge(catalog, idx, vectors)
    return sorted(file.path for file in chosen.values())
