"""One suite for every vector store: embedded Chroma and a real Chroma server."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ingest.store.chroma import ChromaVectors
from rag.core.errors import SettingsError, VectorsUnreachable
from rag.core.protocols import Vectors, VectorStore


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def chroma_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The ``chroma`` program that the chromadb wheel brings."""
    port, folder = free_port(), tmp_path_factory.mktemp("chroma")
    program = Path(sys.executable).parent / "chroma"
    process = subprocess.Popen(
        [program, "run", "--path", folder, "--host", "127.0.0.1", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            assert process.poll() is None, "the Chroma server ended"
            time.sleep(0.1)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(timeout=20)


@pytest.fixture(params=["embedded", "server"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VectorStore]:
    if request.param == "embedded":
        opened = ChromaVectors(tmp_path / "chroma")
    else:
        opened = ChromaVectors(request.getfixturevalue("chroma_server"))
    yield opened
    opened.drop("things")
    opened.drop("others")
    opened.close()


def unit(n: int, seed: int = 0) -> Vectors:
    rows = np.random.default_rng(seed).normal(size=(n, 16)).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def test_search_gives_cosines_best_first(store: VectorStore) -> None:
    vectors = unit(50)
    store.upsert("things", [f"id{i}" for i in range(50)], vectors)
    found = store.search("things", vectors[7], 5)
    expected = sorted(((float(v @ vectors[7]), f"id{i}") for i, v in enumerate(vectors)), reverse=True)[:5]
    assert [chunk for chunk, _ in found] == [chunk for _, chunk in expected]
    np.testing.assert_allclose([s for _, s in found], [s for s, _ in expected], atol=1e-5)


def test_vectors_come_back_as_they_went_in(store: VectorStore) -> None:
    vectors = unit(20)
    ids = [f"id{i}" for i in range(20)]
    store.upsert("things", ids, vectors)
    held = store.get("things", [*ids, "unknown"])
    assert sorted(held) == sorted(ids)
    np.testing.assert_allclose(np.stack([held[i] for i in ids]), vectors, atol=1e-6)
    assert store.ids("things") == set(ids)


def test_upserting_again_replaces(store: VectorStore) -> None:
    store.upsert("things", ["a", "b"], unit(2))
    new = unit(1, seed=9)
    store.upsert("things", ["a"], new)
    assert store.search("things", new[0], 1)[0][0] == "a"
    assert store.ids("things") == {"a", "b"}


def test_deleting_takes_out_what_is_there_and_passes_over_the_rest(store: VectorStore) -> None:
    store.upsert("things", ["a", "b", "c"], unit(3))
    store.delete("things", ["b", "never there"])
    assert store.ids("things") == {"a", "c"}
    assert {chunk for chunk, _ in store.search("things", unit(1)[0], 10)} == {"a", "c"}


def test_collections_do_not_mix_and_drop_alone(store: VectorStore) -> None:
    store.upsert("things", ["a"], unit(1))
    store.upsert("others", ["b"], unit(1, seed=2))
    store.drop("others")
    store.drop("never there")
    assert store.ids("things") == {"a"}
    assert store.ids("others") == set()


def test_an_empty_collection_finds_nothing(store: VectorStore) -> None:
    assert store.search("things", unit(1)[0], 5) == []
    assert store.ids("things") == set()
    assert store.get("things", ["a"]) == {}


def test_a_server_that_does_not_answer_is_one_clear_sentence() -> None:
    with pytest.raises(VectorsUnreachable, match="FOOTNOTE_CHROMA"):
        ChromaVectors(f"http://127.0.0.1:{free_port()}")


def test_what_is_not_a_url_is_one_clear_sentence() -> None:
    with pytest.raises(SettingsError, match="http://host:port"):
        ChromaVectors("localhost:8000")
