"""Vectors in Chroma: embedded in this process, or on a Chroma server."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import numpy as np

from rag.core.errors import SettingsError, StoreCorrupt, StoreError, StoreFull, VectorsUnreachable
from rag.core.protocols import Vectors

_UPSERT_PAGE = 1000
_GET_PAGE = 5000
_SERVER_TIMEOUT_S = 60.0
# Over 40,000 vectors 32 neighbours and a search list of 512 found .98 of the ten nearest, 24 and 128 found .96 (of
# 100,000: .84), for the same time to build and one more millisecond a question.
_HNSW = {"space": "cosine", "ef_construction": 128, "ef_search": 512, "max_neighbors": 32}

_F = TypeVar("_F", bound=Callable[..., Any])


def _translated(method: _F) -> _F:
    """The one place where Chroma's errors become ours."""

    @wraps(method)
    def wrapper(self: ChromaVectors, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        except (StoreError, SettingsError):
            raise
        except Exception as exc:  # chromadb raises its own tree, httpx's, and bare ones from its Rust core
            raise self._error(exc) from exc

    return cast(_F, wrapper)


def _embedded(folder: Path, settings: Any) -> Any:
    import chromadb
    from chromadb.api.shared_system_client import SharedSystemClient

    try:
        return chromadb.PersistentClient(str(folder), settings=settings)
    except Exception:
        # Chroma would hand out what failed to start to whoever opens the same folder next.
        SharedSystemClient._identifier_to_system.pop(str(folder), None)
        raise


class ChromaVectors:
    """Chunk ids and vectors, nothing else: texts and metadata are the catalog's, so nothing is kept twice."""

    def __init__(self, place: Path | str) -> None:
        """``place``: a folder for an embedded Chroma, opened at its first use, or the URL of a server."""
        self._place = place
        self._collections: dict[str, Any] = {}
        self._lock = threading.RLock()
        self._opened: Any = None if isinstance(place, Path) else self._connect()

    @property
    def _client(self) -> Any:
        with self._lock:
            if self._opened is None:
                self._opened = self._connect()
            return self._opened

    @_translated
    def _connect(self) -> Any:
        import chromadb
        from chromadb.config import Settings

        settings = Settings(anonymized_telemetry=False)
        if isinstance(self._place, Path):
            self._place.mkdir(parents=True, exist_ok=True)
            return _embedded(self._place, settings)
        url = urlsplit(self._place)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise SettingsError(
                f"{self._place!r} is not the URL of a Chroma server; give it as http://host:port.",
                setting="chroma",
            )
        port = url.port or (443 if url.scheme == "https" else 8000)
        client = chromadb.HttpClient(
            host=url.hostname, port=port, ssl=url.scheme == "https", settings=settings
        )
        for session in self._sessions(client):
            session.timeout = _SERVER_TIMEOUT_S  # by default it would wait for ever
        return client

    def _collection(self, name: str) -> Any:
        with self._lock:
            if name not in self._collections:
                self._collections[name] = self._client.get_or_create_collection(
                    name, embedding_function=None, configuration={"hnsw": _HNSW}
                )
            return self._collections[name]

    @_translated
    def upsert(self, collection: str, ids: Sequence[str], vectors: Vectors) -> None:
        target = self._collection(collection)
        for i in range(0, len(ids), _UPSERT_PAGE):
            target.upsert(ids=list(ids[i : i + _UPSERT_PAGE]), embeddings=vectors[i : i + _UPSERT_PAGE])

    @_translated
    def delete(self, collection: str, ids: Sequence[str]) -> None:
        target = self._collection(collection)
        for i in range(0, len(ids), _UPSERT_PAGE):
            page = list(ids[i : i + _UPSERT_PAGE])
            there = target.get(ids=page, include=[])["ids"]
            if there:
                target.delete(ids=there)

    @_translated
    def search(self, collection: str, vector: Vectors, k: int) -> list[tuple[str, float]]:
        if k <= 0:
            return []
        found = self._collection(collection).query(
            query_embeddings=[vector], n_results=k, include=["distances"]
        )
        pairs = zip(found["ids"][0], found["distances"][0], strict=True)
        return [(chunk, 1.0 - float(distance)) for chunk, distance in pairs]

    @_translated
    def ids(self, collection: str) -> set[str]:
        target, found = self._collection(collection), set[str]()
        while page := target.get(limit=_GET_PAGE, offset=len(found), include=[])["ids"]:
            before = len(found)
            found.update(page)
            if len(found) == before:
                break
        return found

    @_translated
    def get(self, collection: str, ids: Sequence[str]) -> dict[str, Vectors]:
        target, vectors = self._collection(collection), dict[str, Vectors]()
        for i in range(0, len(ids), _UPSERT_PAGE):
            page = target.get(ids=list(ids[i : i + _UPSERT_PAGE]), include=["embeddings"])
            for chunk, row in zip(page["ids"], page["embeddings"], strict=True):
                vectors[chunk] = np.asarray(row, dtype=np.float32)
        return vectors

    @_translated
    def drop(self, collection: str) -> None:
        from chromadb.errors import NotFoundError

        with self._lock:
            self._collections.pop(collection, None)
            with contextlib.suppress(NotFoundError):
                self._client.delete_collection(collection)

    def start_anew(self) -> None:
        """Throws an embedded Chroma's files away, whatever is in them; a server's are its own business."""
        if isinstance(self._place, Path):
            with self._lock:
                self.close()
                shutil.rmtree(self._place, ignore_errors=True)

    def close(self) -> None:
        with self._lock:
            client, self._opened = self._opened, None
            self._collections.clear()
        if client is None:
            return
        sessions = self._sessions(client)
        client.close()
        for session in sessions:
            session.close()  # Chroma's client leaves its sockets open

    @staticmethod
    def _sessions(client: Any) -> list[Any]:
        """The httpx clients under a server's client, none for an embedded one."""
        servers: list[Any] = [
            getattr(c, "_server", None) for c in (client, getattr(client, "_admin_client", None))
        ]
        return [server._session for server in servers if hasattr(server, "_session")]

    def _error(self, exc: Exception) -> StoreError:
        text = str(exc).splitlines()[0] if str(exc) else type(exc).__name__
        if isinstance(self._place, Path):
            if "full" in text.lower() or "no space" in text.lower():
                return StoreFull(
                    f"The disk of {self._place} is full; free some space and run the command again: nothing is lost."
                )
            return StoreCorrupt(
                f"The vectors in {self._place} cannot be used ({text}); run 'footnote doctor --repair', which "
                "builds them again from the catalog.",
                path=str(self._place),
            )
        return VectorsUnreachable(
            f"The Chroma server {self._place} does not answer as it should ({text}); start it, or correct "
            "FOOTNOTE_CHROMA.",
            url=str(self._place),
        )
