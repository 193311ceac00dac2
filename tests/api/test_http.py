"""The service over a real store: every route, and every error as a problem."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from pydantic import ConfigDict, TypeAdapter

from api.metrics import PrometheusMeter
from api.schemas import AnswerOut, DocumentOut, SearchResponse
from rag import Footnote, load_settings, open_footnote
from rag.core.settings import Settings
from tests.api.conftest import LEAVE, served

QUESTION = "How many vacation days can I carry over?"


def assert_problem(reply: httpx.Response, status: int, code: str) -> str:
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    found = reply.json()
    assert set(found) == {"type", "title", "status", "detail", "code", "fields"}
    assert (found["status"], found["code"]) == (status, code)
    assert "Traceback" not in reply.text
    assert found["detail"].endswith(".")
    return str(found["detail"])


async def test_search_returns_hits_in_the_documented_shape(http: httpx.AsyncClient) -> None:
    reply = await http.post("/v1/search", json={"question": QUESTION, "k": 2})

    found = reply.json()
    assert reply.status_code == 200
    SearchResponse.model_validate(found, extra="forbid")
    assert [hit["rank"] for hit in found["hits"]] == [1, 2]
    top = found["hits"][0]
    assert top["source"] == "hr/leave.md"
    assert LEAVE[top["start"] : top["end"]] == top["text"]


async def test_filters_are_those_of_the_command_line(http: httpx.AsyncClient) -> None:
    for filters, sources in (
        ({"source": "it/**"}, {"it/vpn.md", "it/printers.txt"}),
        ({"type": "txt"}, {"it/printers.txt"}),
        ({"meta.author": "dana ruiz"}, {"hr/leave.md"}),
        ({"meta": {"author": "Dana Ruiz"}}, {"hr/leave.md"}),
        ({"heading": "vpn"}, {"it/vpn.md"}),
        ({"before": "2026-02-02"}, {"hr/leave.md"}),
        ({"source": "nothing/**"}, set()),
    ):
        reply = await http.post("/v1/search", json={"question": "the", "filters": filters, "k": 10})
        assert {hit["source"] for hit in reply.json()["hits"]} == sources, filters


async def test_ask_answers_with_exact_quotes(http: httpx.AsyncClient) -> None:
    reply = await http.post("/v1/ask", json={"question": QUESTION})

    answer = reply.json()
    AnswerOut.model_validate(answer, extra="forbid")
    assert not answer["abstained"]
    assert "five unused vacation days" in answer["answer"]
    for citation in answer["citations"]:
        text = await http.get(f"/v1/documents/{citation['source_id']}/content")
        assert text.text[citation["start"] : citation["end"]] == citation["quote"]


async def test_ask_streams_sentences_and_ends_with_the_answer(http: httpx.AsyncClient) -> None:
    reply = await http.post("/v1/ask", json={"question": QUESTION, "stream": True})

    assert reply.headers["content-type"].startswith("text/event-stream")
    events = parse_events(reply.text)
    names = [name for name, _ in events]
    assert names[0] == "retrieved"
    assert names[-1] == "final"
    assert set(names[1:-1]) == {"sentence"}
    final = events[-1][1]
    assert [data["text"] for name, data in events if name == "sentence"] == [
        sentence["text"] for sentence in final["sentences"]
    ]


def parse_events(text: str) -> list[tuple[str, dict[str, object]]]:
    events = []
    for block in text.strip().split("\n\n"):
        name, data = block.split("\n", 1)
        events.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return events


async def test_a_question_that_fails_before_streaming_has_a_status(http: httpx.AsyncClient) -> None:
    reply = await http.post("/v1/ask", json={"question": "  ", "stream": True})
    assert_problem(reply, 422, "invalid-question")


@pytest.mark.parametrize("path", ["/v1/search", "/v1/ask"])
async def test_bad_questions(http: httpx.AsyncClient, path: str) -> None:
    assert_problem(await http.post(path, json={"question": ""}), 422, "invalid-question")
    assert_problem(await http.post(path, json={"question": "x" * 100_000}), 422, "invalid-question")
    assert_problem(await http.post(path, json={"question": "x" * 2_000_000}), 413, "body-too-large")
    assert_problem(await http.post(path, json={}), 422, "invalid-request")
    assert_problem(await http.post(path, json={"question": "x", "kb": "none"}), 404, "unknown-knowledge-base")
    assert_problem(await http.post(path, json={"question": "x", "kb": "../x"}), 422, "invalid-request")
    assert_problem(await http.post(path, json={"question": "x", "surprise": 1}), 422, "invalid-request")
    dated = {"question": "x", "filters": {"after": "yesterday"}}
    assert "ISO date" in assert_problem(await http.post(path, json=dated), 422, "invalid-request")


async def test_bodies_that_are_not_json(http: httpx.AsyncClient) -> None:
    headers = {"content-type": "application/json"}
    for body in (b"{", b'{"question": ', b"\xff\xfe", b""):
        reply = await http.post("/v1/search", content=body, headers=headers)
        assert_problem(reply, 400, "invalid-json")
    reply = await http.post(
        "/v1/search", content=b'{"question": "x"}', headers={"content-type": "text/plain"}
    )
    assert_problem(reply, 400, "invalid-json")
    assert_problem(await http.post("/v1/search", json=["x"]), 422, "invalid-request")


async def test_no_such_page_and_wrong_method(http: httpx.AsyncClient) -> None:
    assert_problem(await http.get("/v2/search"), 404, "not-found")
    reply = await http.get("/v1/search")
    assert_problem(reply, 405, "method-not-allowed")
    assert reply.headers["allow"] == "POST"


async def test_documents_are_listed_shown_and_read(http: httpx.AsyncClient, store: Path) -> None:
    listed = await http.get("/v1/documents")
    documents = {one["source"]: one for one in listed.json()["documents"]}
    assert set(documents) == {"hr/leave.md", "it/vpn.md", "it/printers.txt"}
    TypeAdapter(list[DocumentOut], config=ConfigDict()).validate_python(listed.json()["documents"])
    assert str(store.parent) not in listed.text  # no path of the server's disk

    leave = documents["hr/leave.md"]
    assert (await http.get(f"/v1/documents/{leave['id']}")).json() == leave
    assert leave["metadata"]["author"] == "Dana Ruiz"
    content = f"/v1/documents/{leave['id']}/content"
    assert (await http.get(content)).text == LEAVE
    assert (await http.get(content, params={"start": 4, "end": 10})).text == LEAVE[4:10]
    assert (await http.get(content, params={"start": 4, "end": 10**9})).text == LEAVE[4:]
    assert_problem(await http.get(content, params={"start": 9, "end": 4}), 400, "bad-request")
    assert_problem(await http.get(content, params={"start": 10**9}), 400, "bad-request")
    assert_problem(await http.get(content, params={"start": -1}), 422, "invalid-request")


@pytest.mark.parametrize("id", ["0" * 32, "*", "hr/leave.md", "%2e%2e%2f", "hr%2Fleave.md"])
async def test_an_unknown_document(http: httpx.AsyncClient, id: str) -> None:
    for method, path in (
        ("GET", f"/v1/documents/{id}"),
        ("GET", f"/v1/documents/{id}/content"),
        ("DELETE", f"/v1/documents/{id}"),
    ):
        reply = await http.request(method, path)
        assert reply.status_code == 404
        assert reply.headers["content-type"] == "application/problem+json"
    assert len((await http.get("/v1/documents")).json()["documents"]) == 3


async def test_upload_search_replace_delete(writable_http: httpx.AsyncClient) -> None:
    http = writable_http
    files = [("files", ("team/zebra.md", b"# Zebra\n\nThe zebra project ends in October.\n"))]
    reply = await http.post("/v1/documents", files=files)
    assert reply.status_code == 201, reply.text
    document = reply.json()["results"][0]["document"]
    assert (document["source"], document["uploaded"]) == ("team/zebra.md", True)

    found = (await http.post("/v1/search", json={"question": "When does the zebra project end?"})).json()
    assert found["hits"][0]["source"] == "team/zebra.md"

    files = [("files", ("team/zebra.md", b"# Zebra\n\nThe zebra project ends in December.\n"))]
    again = (await http.post("/v1/documents", files=files)).json()["results"][0]["document"]
    assert again["id"] == document["id"]
    content = await http.get(f"/v1/documents/{document['id']}/content")
    assert "December" in content.text

    gone = await http.delete(f"/v1/documents/{document['id']}")
    assert gone.json() == {"removed": ["team/zebra.md"]}
    assert_problem(await http.get(f"/v1/documents/{document['id']}"), 404, "unknown-source")


async def test_each_file_of_an_upload_says_what_became_of_it(writable_http: httpx.AsyncClient) -> None:
    http = writable_http
    good = ("files", ("good.txt", b"A good file about herons.\n"))
    outside = ("files", ("../outside.txt", b"x"))
    empty = ("files", ("empty.txt", b""))
    mixed = await http.post("/v1/documents", files=[good, outside, empty])
    assert mixed.status_code == 207
    results = mixed.json()["results"]
    assert [result["name"] for result in results] == ["good.txt", "../outside.txt", "empty.txt"]
    assert "document" in results[0]
    assert [result["error"]["status"] for result in results[1:]] == [400, 422]

    assert_problem(await http.post("/v1/documents", files=[outside]), 400, "bad-request")
    assert_problem(await http.post("/v1/documents", files=[outside, empty]), 422, "upload-failed")
    assert_problem(await http.post("/v1/documents", files={"other": ("a", b"x")}), 422, "invalid-request")
    assert_problem(await http.post("/v1/documents", json={}), 422, "invalid-request")


@pytest.mark.parametrize("chunked", [False, True])
async def test_uploads_are_limited_while_they_are_read(
    writable_http: httpx.AsyncClient, chunked: bool
) -> None:
    n_read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal n_read
        yield b'--b\r\nContent-Disposition: form-data; name="files"; filename="big.txt"\r\n\r\n'
        for _ in range(1000):
            n_read += 1
            yield b"x" * 10_000
        yield b"\r\n--b--\r\n"

    headers = {"content-type": "multipart/form-data; boundary=b"}
    if not chunked:
        headers["content-length"] = str(10_000_100)
    reply = await writable_http.post("/v1/documents", content=body(), headers=headers)
    assert_problem(reply, 413, "body-too-large")
    assert n_read < 100


async def test_health_and_readiness(http: httpx.AsyncClient) -> None:
    assert (await http.get("/healthz")).json()["status"] == "ok"
    ready = (await http.get("/readyz")).json()
    assert ready["status"] == "ready"
    assert ready["chunks"]["default"] > 0


async def test_the_reference_is_complete_and_has_no_scripts(http: httpx.AsyncClient) -> None:
    described = (await http.get("/openapi.json")).json()
    page = await http.get("/docs")
    assert "<script" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for path in described["paths"]:
        assert path.replace("{", "{") in page.text
    assert described["components"]["schemas"]["SearchRequest"]["examples"]
    assert "HTTPValidationError" not in json.dumps(described)


async def test_other_origins_and_names_are_refused(http: httpx.AsyncClient) -> None:
    for headers in (
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"host": "evil.example"},
        {"host": "127.0.0.1.evil.example"},
    ):
        assert_problem(await http.get("/v1/documents", headers=headers), 403, "foreign-origin")
    for headers in ({"host": "localhost:8321"}, {"host": "[::1]:8321"}, {"origin": "http://127.0.0.1"}):
        assert (await http.get("/v1/documents", headers=headers)).status_code == 200


async def test_a_bug_of_ours_shows_no_trace_and_is_logged(
    http: httpx.AsyncClient, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(Footnote, "search", broken)
    reply = await http.post("/v1/search", json={"question": "x"})
    detail = assert_problem(reply, 500, "unexpected")
    assert "please report" in detail
    assert "secret" not in detail
    assert reply.headers["x-content-type-options"] == "nosniff"
    log = store / "footnote-errors.log"
    assert "secret detail" in log.read_text()
    log.unlink()


async def test_the_service_opens_and_closes_its_own_store(store: Path) -> None:
    async with served(load_settings(store=store), None) as client:
        assert (await client.get("/readyz")).status_code == 200
    with open_footnote(load_settings(store=store)) as footnote:  # nothing is left locked
        assert footnote.status().knowledge_bases


async def test_metrics_tell_what_was_asked(settings: Settings) -> None:
    with open_footnote(settings, meter=PrometheusMeter()) as footnote:
        async with served(settings, footnote) as client:
            await client.post("/v1/ask", json={"question": QUESTION})
            page = await client.get("/metrics")
    assert page.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'footnote_questions_total{mode="extractive"} 1.0' in page.text
