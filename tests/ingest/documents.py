"""Small documents to ingest, and what is asked of a store about them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from ingest.store.packing import unpack_text
from rag.core.types import Filters
from rag.wiring import Footnote

HERON = """# Herons

The grey heron stands in shallow water and waits for fish.

## Nests

Herons breed in colonies high up in trees. A nest holds three to five pale blue eggs.

## Voice

The call of the heron is a harsh croak that carries far over the reeds at dusk.
"""
OTTER = "Otters hunt at night along rivers.\n\nAn otter needs about one kilogram of fish a day.\n"
BEAVER = "Beavers fell trees and build dams.\n\nThe lodge of a beaver is entered from under water.\n"


class Folder:
    """Documents on the disk. Every write moves the file's time on, as hours between two runs would."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self._time_ns = 1_700_000_000_000_000_000

    def write(self, name: str, content: str | bytes) -> Path:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        self._time_ns += 3_600_000_000_000
        os.utime(file, ns=(self._time_ns, self._time_ns))
        return file

    def animals(self) -> Path:
        self.write("heron.md", HERON)
        self.write("mammals/otter.txt", OTTER)
        self.write("mammals/beaver.txt", BEAVER)
        return self.path


def found_by_words(footnote: Footnote, word: str, *, kb: str | None = None, **filters: Any) -> list[str]:
    """Paths of the sources that hold the word."""
    scope = footnote.scope(kb, Filters(**filters))
    hits = footnote.index.hits(scope, footnote.index.search_words(scope, f'"{word}"', 50))
    return sorted({hit.source.uri for hit in hits})


def found_by_meaning(
    footnote: Footnote, question: str, *, k: int = 3, kb: str | None = None, **filters: Any
) -> list[str]:
    """Texts of the nearest chunks, best first."""
    scope = footnote.scope(kb, Filters(**filters))
    vector = footnote.embedder.embed([question], "query")[0]
    hits = footnote.index.hits(scope, footnote.index.search_vectors(scope, vector, k))
    return [hit.chunk.text for hit in hits]


def contents(footnote: Footnote) -> dict[str, Any]:
    """Everything a store says of its documents: no row numbers, no times."""
    catalog = footnote.store.catalog
    idx = footnote.index.index_of(footnote.scope())
    found: dict[str, Any] = {}
    with catalog.reading() as db:
        for row in db.execute("SELECT * FROM generation WHERE idx_id = ?", (idx.id,)).fetchall():
            chunks = db.execute(
                'SELECT id, ordinal, start, "end", text, headings, page, n_tokens, indexed FROM chunk '
                "WHERE generation_id = ? ORDER BY ordinal",
                (row["id"],),
            ).fetchall()
            found[f"{row['state']} {row['uri']}"] = (
                row["content_hash"],
                row["title"],
                unpack_text(row["text"]),
                [tuple(chunk) for chunk in chunks],
            )
        for table in ("pending", "vector"):
            found[table] = db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    vectors = footnote.store.vectors()
    ids = sorted(vectors.ids(catalog.collection(idx)))
    held = vectors.get(catalog.collection(idx), ids)
    found["ids in Chroma"] = ids
    found["vectors in Chroma"] = [held[i] for i in ids]
    return found


def assert_same_contents(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        if key == "vectors in Chroma":
            # Batches may differ from run to run, and with them the last bits.
            np.testing.assert_allclose(found[key], value, atol=1e-5)
        else:
            assert found[key] == value, key


def ids_in_chroma(footnote: Footnote) -> set[str]:
    idx = footnote.index.index_of(footnote.scope())
    return footnote.store.vectors().ids(footnote.store.catalog.collection(idx))


def assert_healthy(footnote: Footnote) -> None:
    findings = [f"{f.check}: {f.message} ({f.n})" for f in footnote.doctor().findings]
    assert findings == []
