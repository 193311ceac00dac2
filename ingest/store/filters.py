"""Filters become sets of chunks here, in the catalog: Chroma's own ``where`` is some eighty times slower."""

from __future__ import annotations

import json
import re
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from ingest.store.access import hidden_generations, normal
from ingest.store.catalog import IndexRow
from ingest.store.packing import unpack_blocks
from rag.core.errors import UsageError
from rag.core.types import Filters

_REMEMBERED = 32
"""Filters; each takes 8 bytes for a chunk that passes."""


def matching_generations(
    db: sqlite3.Connection, idx: IndexRow, filters: Filters, hidden: frozenset[int] = frozenset()
) -> list[int]:
    """Ids of the live generations that pass and are not ``hidden``. Raises ``UsageError`` for a filter that makes no sense."""
    after, before = _iso(filters.after, "after"), _iso(filters.before, "before")
    pattern = glob_pattern(filters.source) if filters.source else None
    wanted = {key.lower(): value.casefold() for key, value in filters.meta.items()}
    kind = filters.type.lower().lstrip(".") if filters.type else None
    found = []
    for row in db.execute(
        "SELECT id, uri, suffix, media_type, date, metadata FROM generation WHERE idx_id = ? AND state = 'live'",
        (idx.id,),
    ):
        if row["id"] in hidden:
            continue
        if pattern and not pattern.fullmatch(row["uri"]):
            continue
        if kind and kind not in (row["media_type"].lower(), row["suffix"].lstrip(".")):
            continue
        if (after and row["date"] < after) or (before and row["date"] >= before):
            continue
        if wanted and not _has(json.loads(row["metadata"]), wanted):
            continue
        found.append(row["id"])
    return found


@dataclass(frozen=True, slots=True)
class Passing:
    """The live chunks that pass a filter."""

    key: str
    """Names the filter and the state of the store."""
    rows: NDArray[np.int64]
    """Their row numbers, ascending."""

    def holds(self, rows: Sequence[int]) -> NDArray[np.bool_]:
        """For each of the rows whether it passes."""
        wanted = np.asarray(rows, dtype=np.int64)
        if not len(self.rows):
            return np.zeros(len(wanted), dtype=bool)
        at = np.minimum(np.searchsorted(self.rows, wanted), len(self.rows) - 1)
        holds: NDArray[np.bool_] = self.rows[at] == wanted
        return holds


class FilterMemory:
    """Remembers what passed the filters that were used last: a question needs it for words and for vectors, and
    the next question often has the same filter. Any write to the store makes it look anew."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Passing] = OrderedDict()

    def passing(
        self,
        db: sqlite3.Connection,
        idx: IndexRow,
        revision: int,
        filters: Filters,
        groups: frozenset[str] | None = None,
    ) -> Passing:
        """What passes the filters and may be seen by members of the groups."""
        seen_by = "everything" if groups is None else json.dumps(normal(groups))
        key = f"{idx.id}|{revision}|{seen_by}|{filters!r}"
        # Whoever asks for the same meanwhile waits for it rather than finding it out a second time.
        with self._lock:
            found = self._known.get(key)
            if found is None:
                hidden = hidden_generations(db, idx.id, groups)
                rows = np.unique(np.asarray(matching_chunks(db, idx, filters, hidden), dtype=np.int64))
                found = self._known[key] = Passing(key, rows)
            self._known.move_to_end(key)
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
            return found


def want(db: sqlite3.Connection, passing: Passing) -> None:
    """Puts the rows into this connection's temporary table ``wanted``, unless they are there from the last time."""
    db.execute("CREATE TEMP TABLE IF NOT EXISTS wanted (row INTEGER PRIMARY KEY)")
    db.execute("CREATE TEMP TABLE IF NOT EXISTS wanted_key (key TEXT)")
    there = db.execute("SELECT key FROM wanted_key").fetchone()
    if there is not None and there[0] == passing.key:
        return
    db.execute("DELETE FROM wanted_key")
    db.execute("DELETE FROM wanted")
    db.execute("INSERT INTO wanted SELECT value FROM json_each(?)", (json.dumps(passing.rows.tolist()),))
    db.execute("INSERT INTO wanted_key VALUES (?)", (passing.key,))


def matching_chunks(
    db: sqlite3.Connection, idx: IndexRow, filters: Filters, hidden: frozenset[int] = frozenset()
) -> list[int]:
    """Row numbers of the live chunks that pass."""
    generations = matching_generations(db, idx, filters, hidden)
    db.execute("CREATE TEMP TABLE IF NOT EXISTS passing (id INTEGER PRIMARY KEY)")
    db.execute("DELETE FROM passing")
    db.executemany("INSERT INTO passing VALUES (?)", [(g,) for g in generations])
    passing = "generation_id IN (SELECT id FROM passing)"
    if not filters.heading:
        return [row["row"] for row in db.execute(f"SELECT row FROM chunk WHERE {passing}")]
    return _below_heading(db, passing, filters.heading.casefold())


def _below_heading(db: sqlite3.Connection, passing: str, heading: str) -> list[int]:
    """Chunks below such a heading, and chunks that hold one: short sections share a chunk, which is filed under
    the first of them."""
    found, holding = [], dict[int, list[sqlite3.Row]]()
    for row in db.execute(
        f'SELECT row, generation_id, start, "end", text, headings FROM chunk WHERE {passing}'
    ):
        if any(heading in above.casefold() for above in json.loads(row["headings"])):
            found.append(row["row"])
        elif heading in row["text"].casefold():
            holding.setdefault(row["generation_id"], []).append(row)
    for generation, rows in holding.items():
        packed = db.execute("SELECT blocks FROM generation WHERE id = ?", (generation,)).fetchone()["blocks"]
        headed = [
            block
            for block in unpack_blocks(packed)
            if any(heading in above.casefold() for above in block.heading_path)
        ]
        found += [
            row["row"]
            for row in rows
            if any(block.start < row["end"] and row["start"] < block.end for block in headed)
        ]
    return found


def glob_pattern(glob: str) -> re.Pattern[str]:
    """``*`` and ``?`` stay within a folder, ``**`` crosses folders; a glob without ``/`` matches file names."""
    parts, i = [], 0
    while i < len(glob):
        if glob.startswith("**/", i):
            parts.append("(?:.*/)?")
            i += 3
        elif glob.startswith("**", i):
            parts.append(".*")
            i += 2
        else:
            char = glob[i]
            parts.append({"*": "[^/]*", "?": "[^/]"}.get(char, re.escape(char)))
            i += 1
    prefix = "" if "/" in glob or glob.startswith("**") else "(?:.*/)?"
    return re.compile(prefix + "".join(parts))


def _has(metadata: dict[str, object], wanted: dict[str, str]) -> bool:
    have = {key.lower(): str(value).casefold() for key, value in metadata.items()}
    return all(have.get(key) == value for key, value in wanted.items())


def _iso(value: str | None, name: str) -> str | None:
    if not value:
        return None
    try:
        return date.fromisoformat(value[:10]).isoformat()
    except ValueError as exc:
        raise UsageError(
            f"The filter {name} is {value!r}, which is not a date; write it as YYYY-MM-DD.", filter=name
        ) from exc
