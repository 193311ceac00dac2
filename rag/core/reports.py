"""What the long-running commands tell their caller: progress events and closing reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from rag.core.types import MetaValue


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """A file that did not become searchable, and why, in one sentence."""

    path: str
    reason: str
    code: str
    """The error's code ("load-timeout"), or "unsupported-format" for a skipped file."""


@dataclass(frozen=True, slots=True)
class SyncEvent:
    """A snapshot of a running sync; counters only grow within one run."""

    stage: Literal["walk", "load", "embed", "clean", "done"]
    n_files: int = 0
    """Files found that belong to the knowledge base."""
    n_to_load: int = 0
    """Of them, those that are new or changed."""
    n_loaded: int = 0
    n_failed: int = 0
    n_chunks: int = 0
    """Chunks that need a vector in this run, as far as known."""
    n_embedded: int = 0
    chunks_per_s: float = 0.0
    remaining_s: float | None = None
    path: str | None = None


OnSyncEvent = Callable[[SyncEvent], None]


@dataclass(frozen=True, slots=True)
class SyncReport:
    n_files: int
    added: tuple[str, ...]
    changed: tuple[str, ...]
    renamed: tuple[tuple[str, str], ...]
    """(old path, new path)"""
    removed: tuple[str, ...]
    n_unchanged: int
    failed: tuple[FileOutcome, ...]
    skipped: tuple[FileOutcome, ...]
    """Files of a kind Footnote does not read (images, programs); not a failure."""
    warnings: tuple[FileOutcome, ...]
    """Files that were ingested, with something a reader should know."""
    n_parsed: int
    n_chunks: int
    """Live chunks of the knowledge base after the run."""
    n_embedded: int
    """Texts the encoder was asked for."""
    n_reused: int
    """Chunks whose vector was already known."""
    wall_s: float
    encode_s: float
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """One row of ``footnote sources``."""

    id: str
    uri: str
    root: str
    title: str
    media_type: str
    state: Literal["live", "words-only", "updating", "failed"]
    """``words-only``: searchable by words, vectors are being made; ``updating``: a new version is being made."""
    n_chunks: int
    size_bytes: int
    modified_at: str
    """ISO 8601, UTC"""
    ingested_at: str | None
    reason: str | None = None
    """Why it failed."""
    warnings: tuple[str, ...] = ()
    metadata: Mapping[str, MetaValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KnowledgeBaseStatus:
    name: str
    n_sources: int
    n_failed: int
    n_chunks: int
    n_pending_vectors: int
    fingerprint: str
    roots: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StoreStatus:
    store: str
    vectors: str
    """``embedded Chroma`` or the server's URL."""
    writer_active: bool
    size_bytes: int
    knowledge_bases: tuple[KnowledgeBaseStatus, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    message: str
    n: int = 1
    repaired: bool = False


@dataclass(frozen=True, slots=True)
class DoctorReport:
    checks: tuple[tuple[str, int], ...]
    """(what was proved, how many items it looked at)"""
    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        return all(finding.repaired for finding in self.findings)
