"""Keeps account of one run, and writes what became of the files that did not become documents."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from ingest.context import IngestContext
from ingest.identity import source_id
from ingest.plan import Plan, ToLoad
from ingest.prepare import Prepared
from ingest.store.catalog import FileRow
from ingest.store.generations import bury
from ingest.vectorize import VectorizeStats
from rag.core.errors import LoadError, SettingsError, UnsupportedFormat
from rag.core.reports import FileOutcome, SyncEvent, SyncReport
from rag.core.types import LoadedDocument

_RATE_AFTER_S = 1.0


def file_row(context: IngestContext, item: ToLoad, prepared: Prepared, loader: str | None) -> FileRow:
    root, path = item.target.root, item.found.path
    return FileRow(
        source_id=source_id(context.tenant, context.knowledge_base, root.ordinal, path),
        root_id=root.id,
        path=path,
        size=prepared.size,
        mtime_ns=prepared.mtime_ns,
        content_hash=prepared.content_hash,
        state="ok",
        code=None,
        reason=None,
        loader=loader,
    )


def _contents(digest: str, path: str) -> tuple[str, str]:
    """A loader may look at a file's ending, so the same bytes under another ending are another document."""
    return digest, PurePosixPath(path).suffix.lower()


def passwords(file: Path | None) -> tuple[str, ...]:
    """One password a line. Raises ``SettingsError``."""
    if file is None:
        return ()
    try:
        return tuple(line for line in file.read_text("utf-8").splitlines() if line)
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError(f"The password file {file} cannot be read: {exc}; correct its path.") from exc


@dataclass(slots=True)
class Outcomes:
    begun_s: float
    """``time.perf_counter()`` at the start."""
    n_files: int = 0
    n_to_load: int = 0
    n_loaded: int = 0
    n_parsed: int = 0
    n_unchanged: int = 0
    n_texts: int = 0
    n_reused: int = 0
    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    renamed: list[tuple[str, str]] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    failures: list[FileOutcome] = field(default_factory=list)
    skipped: list[FileOutcome] = field(default_factory=list)
    warnings: list[FileOutcome] = field(default_factory=list)
    _origins: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    """Contents → the vanished paths that had them."""

    def planned(self, plan: Plan, n_waiting: int) -> None:
        """``n_waiting``: texts that an interrupted run has left for the encoder."""
        self.n_texts = n_waiting
        self.n_files, self.n_unchanged = plan.n_files, plan.n_unchanged
        self.n_to_load = len(plan.to_load) + len(plan.twins)
        self.skipped += [FileOutcome(row.path, row.reason or "", row.code or "") for row in plan.skipped]
        self.failures += [
            FileOutcome(
                path or ".",
                f"{path or 'The folder'} cannot be read: {why}.",
                "unreadable-file",
            )
            for path, why in plan.unreadable.items()
        ]

    def copied(
        self, item: ToLoad, digest: str, vanished: Sequence[FileRow], n_chunks: int, n_known: int
    ) -> None:
        self.n_loaded += 1
        self._count(n_chunks, n_known)
        if not self._origins:
            for row in reversed(vanished):
                self._origins.setdefault(_contents(row.content_hash, row.path), []).append(row.path)
        origins = self._origins.get(_contents(digest, item.found.path))
        if origins:
            self.renamed.append((origins.pop(), item.found.path))
        else:
            self.added.append(item.found.path)

    def vanished(self, rows: Sequence[FileRow]) -> None:
        moved = {old for old, _ in self.renamed}
        self.removed += [row.path for row in rows if row.path not in moved]

    def loaded(self, item: ToLoad, document: LoadedDocument, n_chunks: int, n_known: int) -> None:
        self.n_loaded += 1
        self.n_parsed += 1
        self._count(n_chunks, n_known)
        known = item.known is not None and item.known.state == "ok"
        (self.changed if known else self.added).append(item.found.path)
        self.warnings += [FileOutcome(item.found.path, text, "warning") for text in document.warnings]

    def touched(self, context: IngestContext, item: ToLoad, prepared: Prepared) -> None:
        """Only its time changed."""
        assert item.known is not None
        self.n_loaded += 1
        self.n_unchanged += 1
        context.catalog.put_file(replace(item.known, size=prepared.size, mtime_ns=prepared.mtime_ns))

    def failed(
        self, context: IngestContext, item: ToLoad, error: LoadError, prepared: Prepared | None = None
    ) -> None:
        """``prepared`` where its bytes could be read: then the version at hand is not the file's any more."""
        self.n_loaded += 1
        skipped = isinstance(error, UnsupportedFormat)
        outcome = FileOutcome(item.found.path, error.message, error.code)
        (self.skipped if skipped else self.failures).append(outcome)
        kept = item.known if prepared is None and item.known and item.known.state == "ok" else None
        if kept is not None:
            # Times of 0 make the next run try again.
            context.catalog.put_file(replace(kept, mtime_ns=0))
            return
        read = prepared or Prepared("", item.found.size, item.found.mtime_ns, None)
        row = file_row(context, item, read, None)
        row = replace(row, state="skipped" if skipped else "failed", code=error.code, reason=error.message)
        with context.catalog.writing():
            bury(context.catalog, context.idx, [row.source_id])
            context.catalog.put_file(row)

    def event(self, stage: str, stats: VectorizeStats) -> SyncEvent:
        elapsed_s = time.perf_counter() - self.begun_s
        rate = stats.n_embedded / elapsed_s if elapsed_s > _RATE_AFTER_S else 0.0
        left = max(0, self.n_texts - stats.n_embedded)
        return SyncEvent(
            stage=stage,  # type: ignore[arg-type]
            n_files=self.n_files,
            n_to_load=self.n_to_load,
            n_loaded=self.n_loaded,
            n_failed=len(self.failures),
            n_chunks=self.n_texts,
            n_embedded=stats.n_embedded,
            chunks_per_s=rate,
            remaining_s=left / rate if rate else None,
        )

    def report(self, context: IngestContext, stats: VectorizeStats, *, interrupted: bool) -> SyncReport:
        with context.catalog.reading() as db:
            n_chunks = db.execute(
                """SELECT count(*) FROM chunk JOIN generation ON generation.id = generation_id
                   WHERE generation.idx_id = ? AND generation.state = 'live'""",
                (context.idx.id,),
            ).fetchone()[0]
        return SyncReport(
            n_files=self.n_files,
            added=tuple(self.added),
            changed=tuple(self.changed),
            renamed=tuple(self.renamed),
            removed=tuple(self.removed),
            n_unchanged=self.n_unchanged,
            failed=tuple(self.failures),
            skipped=tuple(self.skipped),
            warnings=tuple(self.warnings),
            n_parsed=self.n_parsed,
            n_chunks=n_chunks,
            n_embedded=stats.n_embedded,
            n_reused=self.n_reused,
            wall_s=time.perf_counter() - self.begun_s,
            encode_s=stats.encode_s,
            interrupted=interrupted,
        )

    def _count(self, n_chunks: int, n_known: int) -> None:
        self.n_texts += n_chunks - n_known
        self.n_reused += n_known
