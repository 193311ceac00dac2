"""A small HTTP server on a real socket that answers, or fails, as a test scripts it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

Act = Callable[["ChatServer", asyncio.StreamWriter], Awaitable[None]]


@dataclass
class ChatServer:
    base_url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client goes away before the reply is complete."""


@asynccontextmanager
async def chat_server(*script: Act) -> AsyncIterator[ChatServer]:
    """Plays one act for each request; the last one is played again for all that follow."""
    server = ChatServer()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {
                name.lower(): value.strip()
                for name, _, value in (line.partition(":") for line in head[1:] if line)
            }
            body = await reader.readexactly(int(headers.get("content-length", "0"))) or b"{}"
            server.headers.append(headers)
            server.bodies.append(json.loads(body))
            await script[min(len(server.bodies), len(script)) - 1](server, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            server.hung_up.set()
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        server.base_url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
        yield server
    finally:
        listening.close()
        await listening.wait_closed()


def reply(status: int, body: object, content_type: str = "application/json", **headers: str) -> Act:
    """A whole reply; a body that is no text is sent as JSON."""
    data = (body if isinstance(body, str) else json.dumps(body)).encode()

    async def act(_: ChatServer, writer: asyncio.StreamWriter) -> None:
        extra = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        writer.write(
            f"HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\n{extra}"
            f"Content-Length: {len(data)}\r\nConnection: close\r\n\r\n".encode()
            + data
        )
        await writer.drain()

    return act


def error(status: int, message: str, kind: str = "error", **headers: str) -> Act:
    return reply(status, {"error": {"message": message, "type": kind}}, **headers)


def writes(*deltas: str, finish: str | None = "stop", usage: dict[str, int] | None = None) -> Act:
    """A streamed answer, as OpenAI's API sends it."""
    return events(
        *(json.dumps({"choices": [{"delta": {"content": text}}]}) for text in deltas),
        json.dumps({"choices": [{"delta": {}, "finish_reason": finish}]}),
        *([json.dumps({"choices": [], "usage": usage})] if usage else []),
        "[DONE]",
    )


def events(*data: str) -> Act:
    body = "".join(f"data: {one}\n\n" for one in data)
    return reply(200, body, "text/event-stream")


def cut_after(*deltas: str) -> Act:
    """Breaks the connection in the middle of a chunked stream."""

    async def act(_: ChatServer, writer: asyncio.StreamWriter) -> None:
        await _open_stream(writer)
        for text in deltas:
            await _send(writer, text)
        writer.write(b"400\r\ndata: {")
        await writer.drain()

    return act


def then_waits(*deltas: str) -> Act:
    """Sends some deltas (none: not even the head) and then nothing more, until the client goes."""

    async def act(_: ChatServer, writer: asyncio.StreamWriter) -> None:
        if deltas:
            await _open_stream(writer)
        for text in deltas:
            await _send(writer, text)
        while True:
            await asyncio.sleep(0.02)
            if deltas:
                writer.write(b"7\r\n: ping\n\r\n")
                await writer.drain()
            elif writer.transport.is_closing():
                return

    return act


async def _open_stream(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    await writer.drain()


async def _send(writer: asyncio.StreamWriter, text: str) -> None:
    data = f"data: {json.dumps({'choices': [{'delta': {'content': text}}]})}\n\n".encode()
    writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
    await writer.drain()


def prompt_of(body: dict[str, Any]) -> Sequence[str]:
    return [message["content"] for message in body["messages"]]
