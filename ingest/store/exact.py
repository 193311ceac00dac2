"""Exact cosine search over the catalog's own vectors: no index, no approximation."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import numpy as np

from ingest.store.catalog import IndexRow
from ingest.store.filters import Passing, want
from rag.core.protocols import Vectors

_LIVE_VECTORS = """
    SELECT chunk.id AS id, vector.data AS data FROM chunk
    JOIN generation ON generation.id = chunk.generation_id
    JOIN vector ON vector.embedder = ? AND vector.text_key = chunk.text_key AND length(vector.data) = ?
    WHERE generation.idx_id = ? AND generation.state = 'live'"""

# CROSS JOIN keeps the order as written: the planner, which does not know how few are wanted, would look at every
# live chunk for each of them.
_WANTED_VECTORS = """
    SELECT chunk.id AS id, vector.data AS data FROM wanted
    CROSS JOIN chunk ON chunk.row = wanted.row
    CROSS JOIN generation ON generation.id = chunk.generation_id
    CROSS JOIN vector ON vector.embedder = ? AND vector.text_key = chunk.text_key AND length(vector.data) = ?
    WHERE generation.idx_id = ? AND generation.state = 'live'"""


def load_live(db: sqlite3.Connection, idx: IndexRow) -> tuple[list[str], Vectors]:
    """Ids and vectors, float32 of shape (n, dim), of every live chunk that has one."""
    return _matrix(db.execute(_LIVE_VECTORS, (idx.embedder, 4 * idx.dim, idx.id)), idx.dim)


def load_wanted(db: sqlite3.Connection, idx: IndexRow, passing: Passing) -> tuple[list[str], Vectors]:
    """The same for the chunks that pass only."""
    want(db, passing)
    return _matrix(db.execute(_WANTED_VECTORS, (idx.embedder, 4 * idx.dim, idx.id)), idx.dim)


def best(ids: Sequence[str], matrix: Vectors, vector: Vectors, k: int) -> list[tuple[str, float]]:
    """The k largest cosines, best first; ties by id, so that equal stores answer equally."""
    if not len(ids) or k <= 0:
        return []
    scores = matrix @ vector
    k = min(k, len(ids))
    top = np.argpartition(-scores, k - 1)[:k] if k < len(ids) else np.arange(len(ids))
    ordered = sorted(top.tolist(), key=lambda i: (-float(scores[i]), ids[i]))
    return [(ids[i], float(scores[i])) for i in ordered]


def _matrix(rows: sqlite3.Cursor, dim: int) -> tuple[list[str], Vectors]:
    ids: list[str] = []
    data = bytearray()
    for row in rows:
        ids.append(row["id"])
        data += row["data"]
    return ids, np.frombuffer(bytes(data), dtype="<f4").reshape(len(ids), dim)
