"""What a run of ingesting works with."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from ingest.store.catalog import Catalog, IndexRow
from rag.core.protocols import Embedder, VectorStore
from rag.core.reports import OnSyncEvent
from rag.core.settings import Settings


def ignore_event(_: object) -> None:
    """For callers that do not watch."""


@dataclass(frozen=True, slots=True)
class IngestContext:
    settings: Settings
    catalog: Catalog
    idx: IndexRow
    tenant: str
    knowledge_base: str
    embedder: Embedder
    open_vectors: Callable[[], VectorStore]
    """Opens the vector store at its first call and gives the same one afterwards."""
    on_event: OnSyncEvent = ignore_event
    stop: threading.Event = field(default_factory=threading.Event)
