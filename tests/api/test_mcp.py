"""The tools for agents, called by the official SDK's client over standard input and output and over HTTP."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from api.auth.store import KeyStore
from api.auth.who import Who
from api.mcp.results import MOST_CHARS, opened
from api.mcp.run import http_app
from api.quotas import Quotas
from rag import Footnote, Settings, load_settings, open_footnote
from rag.core.errors import UsageError
from rag.core.types import Block, BlockKind, Document, Source
from tests.api.conftest import LEAVE, Cli
from tests.api.sockets import on_a_socket

QUESTION = "How many vacation days can I carry over?"
TOOLS = {"search", "ask", "open_source", "list_sources"}


def stdio(store: Path) -> StdioServerParameters:
    """The program that an agent's program starts; its own environment is all it is given."""
    import os

    passed_on = {name: value for name, value in os.environ.items() if name.startswith(("FOOTNOTE_", "HF_"))}
    code = "from api.cli import main; main()"
    return StdioServerParameters(
        command=sys.executable, args=["-c", code, "mcp", "--store", str(store)], env=passed_on
    )


@asynccontextmanager
async def over_http(settings: Settings) -> AsyncIterator[str]:
    """The server's URL."""
    keys, quotas = KeyStore(settings.store), Quotas(settings)
    with open_footnote(settings) as footnote:
        async with on_a_socket(http_app(footnote, keys, quotas)) as url:
            yield f"{url}/mcp"
        await footnote.aclose()
    keys.close()
    quotas.close()


@asynccontextmanager
async def with_key(url: str, key: str) -> AsyncIterator[Client]:
    async with (
        httpx2.AsyncClient(headers={"authorization": f"Bearer {key}"}) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        yield client


async def called(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert isinstance(result.structured_content, dict)
    return result.structured_content


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    (content,) = result.content
    assert content.type == "text"
    return content.text


async def use_every_tool(client: Client) -> None:
    assert {tool.name for tool in (await client.list_tools()).tools} == TOOLS

    found = await called(client, "search", question=QUESTION, k=1, filters={"source": "hr/**"})
    (hit,) = found["hits"]
    span = {"source": hit["source_id"], "start": hit["start"], "end": hit["end"], "context_chars": 10}
    source = await called(client, "open_source", **span)
    assert source["text"] == hit["text"]
    assert source["before"] == LEAVE[hit["start"] - 10 : hit["start"]]

    answer = await called(client, "ask", question=QUESTION)
    assert "five unused vacation days" in answer["answer"]
    for citation in answer["citations"]:
        at = {"source": citation["source"], "start": citation["start"], "end": citation["end"]}  # by its path
        assert (await called(client, "open_source", **at))["text"] == citation["quote"]
    history = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": answer["answer"]}]
    later = await called(client, "ask", question="When do they expire?", history=history)
    assert "31 March" in later["answer"]

    listed = await called(client, "list_sources", pattern="it/*", limit=1, offset=1)
    assert (listed["n_sources"], [one["source"] for one in listed["sources"]]) == (2, ["it/vpn.md"])
    assert listed["knowledge_bases"] == ["default"]


async def test_over_standard_input_and_output(store: Path) -> None:
    async with Client(stdio(store)) as client:
        await use_every_tool(client)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_over_http(settings: Settings, mode: Any) -> None:
    async with over_http(settings) as url, Client(url, mode=mode) as client:
        await use_every_tool(client)


async def test_errors_are_one_sentence_and_tell_nothing_of_the_server(settings: Settings) -> None:
    async with over_http(settings) as url, Client(url) as client:
        assert (await refused(client, "search", question=" ")).endswith("ask something in words.")
        assert "at most 8000" in await refused(client, "ask", question="x" * 9000)
        assert "no such knowledge base" in await refused(client, "ask", question="x", kb="none")
        assert "no document 'none'" in await refused(client, "open_source", source="none")
        assert "no document" in await refused(client, "open_source", source="../../etc/passwd")
        assert "287 characters" in await refused(client, "open_source", source="hr/leave.md", start=9, end=4)
        assert "ISO date" in await refused(client, "search", question="x", filters={"after": "soon"})
        assert "greater than or equal to 1" in await refused(client, "search", question="x", k=0)


async def test_a_bug_of_ours_goes_to_the_log(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(Footnote, "search", broken)
    async with over_http(settings) as url, Client(url) as client:
        said = await refused(client, "search", question="x")
    assert "please report" in said
    assert "secret" not in said
    log = settings.store / "footnote-errors.log"
    assert "secret detail" in log.read_text()
    log.unlink()


async def test_keys_say_who_sees_what(writable: Path) -> None:
    settings = load_settings(store=writable)
    keys = KeyStore(writable)
    ours = keys.create(Who(label="agent", scopes=frozenset({"ask"}))).text
    theirs = keys.create(Who("other", "agent", frozenset({"ask"}))).text
    loads = keys.create(Who(label="loader", scopes=frozenset({"ingest"}))).text
    keys.close()
    async with over_http(settings) as url:
        async with with_key(url, ours) as client:
            assert (await called(client, "list_sources"))["n_sources"] == 3
            id = (await called(client, "search", question=QUESTION))["hits"][0]["source_id"]
        async with with_key(url, theirs) as client:
            for tool, arguments in (
                ("search", {"question": QUESTION}),
                ("ask", {"question": QUESTION}),
                ("open_source", {"source": id}),
                ("list_sources", {}),
            ):
                said = await refused(client, tool, **arguments)
                assert "no such knowledge base" in said or "no document" in said
                assert str(writable) not in said
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        async with httpx.AsyncClient() as http:
            for key, status in (("none", 401), ("fn_wrong", 401), (loads, 403)):
                reply = await http.post(url, json=call, headers={"authorization": f"Bearer {key}"})
                assert reply.status_code == status


async def test_pages_of_others_are_kept_away(settings: Settings) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    async with over_http(settings) as url, httpx.AsyncClient() as http:
        for headers in ({"origin": "https://evil.example"}, {"host": "evil.example"}):
            assert (await http.post(url, json=call, headers=headers)).status_code == 403


def test_the_command_line_says_what_is_missing(
    cli: Cli, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = cli("mcp", "--port", "0", "--store", store)
    assert (ran.code, "add it" in ran.err) == (2, True)
    ran = cli("mcp", "--store", tmp_path / "none")
    assert ran.code == 5
    assert "footnote ingest" in ran.err
    ran = cli("mcp", "--http", "--host", "0.0.0.0", "--port", "0", "--store", store, "--json")
    assert (ran.code, "keys create" in json.loads(ran.err)["detail"]) == (2, True)
    monkeypatch.setattr(
        "api.cli.find_spec", lambda name: None if name == "mcp" else importlib.util.find_spec(name)
    )
    ran = cli("mcp", "--store", store)
    assert (ran.code, "pip install 'footnote[mcp]'" in ran.err) == (2, True)


@given(st.text(max_size=300), st.integers(0, 320), st.none() | st.integers(0, 320), st.integers(0, 50))
def test_what_is_opened_is_the_document_to_the_character(
    text: str, start: int, end: int | None, n_around: int
) -> None:
    blocks = (Block(0, len(text), BlockKind.PARAGRAPH, ("Heading",), 7),) if text else ()
    document = Document(Source("ab" * 16, "a.md", "hash", "text/markdown", "A"), text, blocks)
    if start > len(text) or (end is not None and end < start):
        with pytest.raises(UsageError, match=f"of {len(text)} characters"):
            opened(document, start, end, n_around)
        return
    found = opened(document, start, end, n_around)
    assert found.text == text[start:end]
    assert text[:start].endswith(found.before)
    assert text[found.end :].startswith(found.after)
    assert (len(found.before), len(found.after)) == (
        min(start, n_around),
        min(len(text) - found.end, n_around),
    )


def test_a_long_document_is_opened_in_parts() -> None:
    text = "".join(chr(97 + i % 26) for i in range(2 * MOST_CHARS + 5))
    document = Document(Source("ab" * 16, "a.md", "hash", "text/markdown", "A"), text, ())
    parts, start = [], 0
    while True:
        part = opened(document, start, None, 0)
        parts.append(part.text)
        if not part.truncated:
            break
        start = part.end
    assert len(parts) == 3
    assert "".join(parts) == text
