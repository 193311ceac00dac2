"""Filters become sets of chunks here, in the catalog: Chroma's own ``where`` is some eighty times slower."""

from __future__ import annotations

import json
import re
import sqlite3
from datetime import date

from ingest.store.catalog import IndexRow
from ingest.store.packing import unpack_blocks
from rag.core.errors import UsageError
from rag.core.types import Filters


def matching_generations(db: sqlite3.Connection, idx: IndexRow, filters: Filters) -> list[int]:
    """Ids of the live generations that pass. Raises ``UsageError`` for a filter that makes no sense."""
    after, before = _iso(filters.after, "after"), _iso(filters.before, "before")
    pattern = glob_pattern(filters.source) if filters.source else None
    wanted = {key.lower(): value.casefold() for key, value in filters.meta.items()}
    kind = filters.type.lower().lstrip(".") if filters.type else None
    found = []
    for row in db.execute(
        "SELECT id, uri, suffix, media_type, date, metadata FROM generation WHERE idx_id = ? AND state = 'live'",
        (idx.id,),
    ):
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


def matching_chunks(db: sqlite3.Connection, idx: IndexRow, filters: Filters) -> list[int]:
    """Row numbers of the live chunks that pass."""
    generations = matching_generations(db, idx, filters)
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
