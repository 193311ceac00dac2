"""A folder of documents and a store for it, with the real encoder, the real Chroma and real parsing processes.

Starting those takes seconds, so one encoder and one pool of processes serve all tests of the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ingest.sync
from ingest.embed.model_files import BUILT_IN
from ingest.embed.onnx_backend import OnnxEmbedder
from ingest.loaders.sandbox import LoaderPool
from rag.core.settings import Settings, load_settings
from rag.wiring import Footnote, open_footnote
from tests.ingest.documents import Folder

OpenStore = Callable[..., Footnote]


@pytest.fixture(scope="session")
def encoder(cache: Path) -> OnnxEmbedder:
    return OnnxEmbedder(BUILT_IN, cache)


@pytest.fixture(scope="session")
def loader_pool() -> Iterator[LoaderPool]:
    with LoaderPool(1, 60, 2048) as pool:
        # Its processes end with the thread that starts them, so that must be this one and not a test's own.
        pool.submit(len, (), path="").result()
        yield pool


@pytest.fixture
def shared_pool(loader_pool: LoaderPool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every sync of the test takes the pool that is running already, and leaves it running."""

    class Shared:
        def __init__(self, *_: Any) -> None: ...

        def __enter__(self) -> LoaderPool:
            return loader_pool

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(ingest.sync, "LoaderPool", Shared)


@pytest.fixture
def docs(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "docs")


@pytest.fixture
def make_settings(tmp_path: Path, cache: Path) -> Callable[..., Settings]:
    def make(**overrides: Any) -> Settings:
        return load_settings(**{"store": tmp_path / "store", "cache": cache, "load_workers": 1, **overrides})

    return make


@pytest.fixture
def open_store(
    make_settings: Callable[..., Settings], encoder: OnnxEmbedder, shared_pool: None
) -> Iterator[OpenStore]:
    """Opens the test's store, or makes it; keywords are settings. All are closed when the test ends."""
    opened: list[Footnote] = []

    def open_(*, embedder_object: Any = None, **overrides: Any) -> Footnote:
        footnote = open_footnote(make_settings(**overrides), create=True)
        footnote.__dict__["embedder"] = embedder_object or encoder
        opened.append(footnote)
        return footnote

    yield open_
    for footnote in opened:
        footnote.close()


@pytest.fixture
def store(open_store: OpenStore) -> Footnote:
    return open_store()
