"""One store folder, opened: its catalog, its locks, its vectors. Decides who may use what."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.store.catalog import Catalog
from ingest.store.lock import StoreLocks
from ingest.store.schema import CATALOG_FILE
from rag.core.errors import StoreError, StoreFull

if TYPE_CHECKING:
    from ingest.store.chroma import ChromaVectors

# Up to here a process that only reads scores exactly over the catalog's own vectors: as good as or better
# than any index, and it spares a short command the import of chromadb. Above, it opens Chroma.
_EXACT_READER_CHUNKS = 20_000


class Store:
    def __init__(self, folder: Path, *, chroma_url: str | None = None, create: bool = False) -> None:
        """Raises ``StoreError`` if there is no store and ``create`` is false."""
        self.folder = folder
        self._chroma_url = chroma_url
        self._vectors: ChromaVectors | None = None
        self._lock = threading.Lock()
        if create:
            _make_folder(folder)
        elif not (folder / CATALOG_FILE).is_file():
            raise StoreError(
                f"There is no store in {folder}; make one with 'footnote ingest PATH', or name another with "
                "--store DIR.",
                path=str(folder),
            )
        self.locks = StoreLocks(folder)
        self.catalog = Catalog(folder, create=create)

    @property
    def is_writer(self) -> bool:
        return self.locks.writer.held

    def become_writer(self) -> None:
        """Raises ``StoreLocked`` if another process writes."""
        with self._lock:
            if self.is_writer:
                return
            self._close_vectors()
            self.locks.become_writer()

    def vectors(self) -> ChromaVectors:
        """The vector store, for the process that writes."""
        with self._lock:
            return self._open_vectors()

    def vectors_for_reading(self) -> ChromaVectors | None:
        """The vector store if this process may read it, else None: exact search is right then.

        An embedded Chroma tolerates no second process, so a reader opens it only while nobody writes.
        """
        with self._lock:
            if self._vectors is not None or self.is_writer or self._chroma_url:
                return self._open_vectors()
            if self._n_chunks() <= _EXACT_READER_CHUNKS or not self.locks.vectors.acquire(shared=True):
                return None
            return self._open_vectors()

    def close(self) -> None:
        with self._lock:
            self._close_vectors()
            self.catalog.close()
            self.locks.release()

    def _open_vectors(self) -> ChromaVectors:
        if self._vectors is None:
            from ingest.store.chroma import ChromaVectors

            self._vectors = ChromaVectors(self._chroma_url or self.folder / "chroma")
        return self._vectors

    def _close_vectors(self) -> None:
        if self._vectors is not None:
            self._vectors.close()
            self._vectors = None

    def _n_chunks(self) -> int:
        with self.catalog.reading() as db:
            return int(db.execute("SELECT count(*) FROM chunk").fetchone()[0])


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(13, "Permission denied")
    except OSError as exc:
        kind = StoreFull if exc.errno == 28 else StoreError
        raise kind(
            f"The store's folder {folder} cannot be made ({exc.strerror or exc}); name another with --store DIR.",
            path=str(folder),
        ) from exc
