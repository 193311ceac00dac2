"""The remote embedder against a real HTTP server on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ingest.embed import remote_backend
from ingest.embed.registry import load_embedder
from ingest.embed.remote_backend import RemoteEmbedder
from rag.core.errors import EmbedderError
from rag.core.settings import load_settings


class Server(ThreadingHTTPServer):
    """Answers with vectors that tell the texts apart; ``faults`` come first, one a request."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.faults: list[tuple[int, dict[str, str], Any]] = []
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(body)
        self.server.keys.append(self.headers["Authorization"])
        rows = [{"index": i, "embedding": vector(text)} for i, text in enumerate(body["input"])]
        status, headers, reply = 200, {}, {"data": rows[::-1]}  # the order is the index's, not the list's
        if self.path != "/v1/embeddings":
            status = 404
        elif self.server.faults:
            status, headers, fault = self.server.faults.pop(0)
            reply = reply if fault is None else fault
        sent = json.dumps(reply).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *_: Any) -> None: ...


def vector(text: str) -> list[float]:
    return [3.0 * len(text), 4.0, float(sum(map(ord, text)) % 97)]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with Server() as started:
        thread = threading.Thread(target=started.serve_forever, args=(0.02,))
        thread.start()
        yield started
        started.shutdown()
        thread.join()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were waited before each new try; no test waits for them."""
    waited: list[float] = []
    monkeypatch.setattr(remote_backend, "time", SimpleNamespace(sleep=waited.append))
    return waited


@pytest.fixture
def remote(server: Server) -> Iterator[RemoteEmbedder]:
    embedder = RemoteEmbedder(server.url, "some-model", api_key="a-key")
    yield embedder
    embedder.close()


def test_vectors_are_unit_rows_in_the_order_of_the_texts(remote: RemoteEmbedder, server: Server) -> None:
    texts = [f"text {'x' * (i * 7 % 50)} {i}" for i in range(150)]
    vectors = remote.embed(texts, "document")
    expected = np.array([vector(text) for text in texts], dtype=np.float32)
    np.testing.assert_allclose(vectors, expected / np.linalg.norm(expected, axis=1, keepdims=True), rtol=1e-5)
    assert vectors.dtype == np.float32
    assert [len(body["input"]) for body in server.requests] == [1, 64, 64, 22]
    lengths = [len(text) for body in server.requests[1:] for text in body["input"]]
    assert lengths == sorted(lengths)
    assert {body["model"] for body in server.requests} == {"some-model"}
    assert set(server.keys) == {"Bearer a-key"}
    assert remote.embed([], "query").shape == (0, 3)


def test_the_fingerprint_tells_models_and_dimensions_apart(server: Server) -> None:
    one, same, other = (RemoteEmbedder(server.url, name) for name in ("a", "a", "b"))
    assert one.fingerprint == same.fingerprint != other.fingerprint
    assert one.dim == 3
    for embedder in (one, same, other):
        embedder.close()


def test_settings_choose_it(server: Server) -> None:
    settings = load_settings(
        embedder="remote", embedder_base_url=server.url + "/", embedder_model="m", embedder_api_key="k"
    )
    embedder = load_embedder(settings)
    assert isinstance(embedder, RemoteEmbedder)
    assert (embedder.embed(["a"], "query").shape, server.keys[-1]) == ((1, 3), "Bearer k")
    embedder.close()


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_busy_server_is_asked_again(
    remote: RemoteEmbedder, server: Server, waits: list[float], status: int
) -> None:
    server.faults = [
        (status, {}, {}),
        (status, {"Retry-After": "2"}, {}),
        (status, {"Retry-After": "-5"}, {}),
    ]
    assert remote.embed(["a"], "document").shape == (1, 3)
    assert waits == [0.5, 2.0, 2.0]


def test_a_server_that_stays_busy_is_one_clear_sentence(
    remote: RemoteEmbedder, server: Server, waits: list[float]
) -> None:
    server.faults = [(503, {}, {})] * 9
    with pytest.raises(EmbedderError, match=r"answered 503 for model some-model; try again later\."):
        remote.embed(["a"], "document")
    assert len(waits) == 3


@pytest.mark.parametrize("status", [400, 401, 404])
def test_a_refusal_is_not_tried_again(
    remote: RemoteEmbedder, server: Server, waits: list[float], status: int
) -> None:
    server.faults = [(status, {}, {"error": "no"})]
    with pytest.raises(
        EmbedderError, match=f"answered {status} .*check the model's name and the key"
    ) as caught:
        remote.embed(["a"], "document")
    assert caught.value.fields["status"] == status
    assert waits == []


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ({"data": [{"index": 0, "embedding": [1.0, 2.0]}]}, r"shape \(1, 2\) where \(1, 3\) were due"),
        ({"data": []}, "were due"),
        ({"data": [{"index": 0, "embedding": [0.0, 0.0, 0.0]}]}, "vectors of zeros"),
        ({"data": [{"index": 0, "embedding": [1.0, float("nan"), 0.0]}]}, "no number"),
        ({"data": [{"index": 0, "embedding": ["a", "b", "c"]}]}, "not an embeddings reply"),
        ({"data": [{"embedding": [1.0, 2.0, 3.0]}]}, "not an embeddings reply"),
        ({"data": ["abc"]}, "not an embeddings reply"),
        ({"object": "list"}, "not an embeddings reply"),
        (["a"], "not an embeddings reply"),
    ],
    ids=str,
)
def test_what_is_not_the_right_vectors_is_one_clear_sentence(
    remote: RemoteEmbedder, server: Server, reply: Any, message: str
) -> None:
    server.faults = [(200, {}, reply)]
    with pytest.raises(EmbedderError, match=message) as caught:
        remote.embed(["a"], "document")
    assert str(caught.value).endswith(".")


def test_an_empty_vector_at_the_start_is_no_dimension(server: Server) -> None:
    server.faults = [(200, {}, {"data": [{"index": 0, "embedding": []}]})]
    with pytest.raises(EmbedderError, match="check the model's name"):
        RemoteEmbedder(server.url, "m")


def test_a_server_that_is_not_there_is_one_clear_sentence(server: Server, waits: list[float]) -> None:
    url = server.url
    server.server_close()
    with pytest.raises(EmbedderError, match=r"does not answer \(ConnectError\); start it or correct"):
        RemoteEmbedder(url, "m")
    assert waits == [0.5, 1.0, 2.0]


@pytest.mark.parametrize("url", ["localhost:8000", "http://[::1", "http://host:port/v1", "ftp://host/v1"])
def test_what_is_not_a_url_is_one_clear_sentence(url: str, waits: list[float]) -> None:
    with pytest.raises(EmbedderError, match="FOOTNOTE_EMBEDDER_BASE_URL as http://host:port/v1"):
        RemoteEmbedder(url, "m")
    assert waits == []


def test_a_key_that_no_header_can_hold_is_one_clear_sentence() -> None:
    with pytest.raises(EmbedderError, match="FOOTNOTE_EMBEDDER_API_KEY"):
        RemoteEmbedder("http://127.0.0.1:9/v1", "m", api_key="schlüssel")
