"""What the doctor's checks share: the account of findings, and how documents are put aside."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ingest.store.catalog import Catalog, IndexRow
from rag.core.reports import Finding


@dataclass(slots=True)
class Account:
    checks: list[tuple[str, int]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def proved(self, what: str, n: int) -> None:
        self.checks.append((what, n))

    def found(self, check: str, message: str, n: int = 1, *, repaired: bool = False) -> None:
        self.findings.append(Finding(check, message, n, repaired))


def forget(catalog: Catalog, idx: IndexRow, sources: list[str]) -> None:
    """Takes documents away as if their files had never been seen: the next ingest reads them."""
    with catalog.writing():
        bury_quietly(catalog, idx, sources)
        catalog.forget_files(sources)


def bury_quietly(catalog: Catalog, idx: IndexRow, sources: Sequence[str]) -> None:
    """Without telling the full-text index, which cannot forget words that have been altered: rebuild it."""
    with catalog.writing() as db:
        db.executemany(
            "UPDATE generation SET state = 'dead' WHERE idx_id = ? AND source_id = ?",
            [(idx.id, source) for source in sources],
        )


def generations(catalog: Catalog, idx: IndexRow) -> Iterator[sqlite3.Row]:
    with catalog.reading() as db:
        ids = [
            row["id"]
            for row in db.execute("SELECT id FROM generation WHERE idx_id = ? AND state <> 'dead'", (idx.id,))
        ]
    for generation in ids:
        with catalog.reading() as db:
            row = db.execute("SELECT * FROM generation WHERE id = ?", (generation,)).fetchone()
        if row is not None:
            yield row
