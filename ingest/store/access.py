"""Who may see which document: the groups that a document names itself, and those that rules on its path name.

A document that both restrict is seen by members of one of its own groups who are in one of the rule's too. One
that nothing restricts is for everybody in the tenant.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Final

from rag.core.types import MetaValue

FRONT_MATTER_KEY: Final = "groups"
BY_RULE: Final = 0
"""Stands for every version of a document, where a version's own restriction has that version's id."""

_HIDDEN = """
    SELECT DISTINCT generation.id AS id FROM access
    JOIN generation ON generation.source_id = access.source_id AND access.generation_id IN (0, generation.id)
    WHERE generation.idx_id = ? AND generation.state = 'live' AND NOT EXISTS (
        SELECT 1 FROM json_each(access.groups) AS wanted
        WHERE wanted.value IN (SELECT value FROM json_each(?)))"""


def hidden_generations(db: sqlite3.Connection, idx_id: int, groups: frozenset[str] | None) -> frozenset[int]:
    """The live versions that members of just these groups may not see; None sees everything."""
    if groups is None:
        return frozenset()
    rows = db.execute(_HIDDEN, (idx_id, json.dumps(normal(groups))))
    return frozenset(row["id"] for row in rows)


def normal(groups: Iterable[str]) -> list[str]:
    """Names of groups as they are compared."""
    return sorted({group.strip().casefold() for group in groups} - {""})


def own_groups(metadata: Mapping[str, MetaValue]) -> list[str] | None:
    """The groups that a document's front matter names; an empty list is nobody, None is no restriction."""
    if FRONT_MATTER_KEY not in metadata:
        return None
    return normal(str(metadata[FRONT_MATTER_KEY]).strip("[]").split(","))


def restrict_version(
    db: sqlite3.Connection, source_id: str, generation_id: int, metadata: Mapping[str, MetaValue]
) -> None:
    groups = own_groups(metadata)
    if groups is not None:
        db.execute("INSERT INTO access VALUES (?, ?, ?)", (source_id, generation_id, json.dumps(groups)))


def set_rules(db: sqlite3.Connection, groups_by_source: Mapping[str, list[str] | None]) -> None:
    """What the rules say of these sources now; None is no restriction."""
    for source_id, groups in groups_by_source.items():
        if groups is None:
            db.execute("DELETE FROM access WHERE source_id = ? AND generation_id = 0", (source_id,))
        else:
            db.execute(
                "INSERT OR REPLACE INTO access VALUES (?, ?, ?)", (source_id, BY_RULE, json.dumps(groups))
            )


def rules_at_hand(db: sqlite3.Connection) -> dict[str, list[str]]:
    """By source."""
    rows = db.execute("SELECT source_id, groups FROM access WHERE generation_id = 0")
    return {row["source_id"]: json.loads(row["groups"]) for row in rows}
