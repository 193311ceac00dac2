"""How each fault is played on a connection. The server itself: ``tests/fault_server.py``."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from email.utils import formatdate
from typing import Final

from tests.fault_answers import events_of, limited, reply_of, usage_of
from tests.faults import BEFORE_FIRST_DELTA, IN_STREAM, Exchange, Fault

STALL_S: Final = 3600.0
_DRIP_S = 0.0005
_HUGE_BYTES = 32 * 2**20


class HungUp(Exception):
    """The client went away."""


class Wire:
    """One reply on one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.reusable = True

    async def whole(
        self,
        status: int,
        body: object,
        headers: dict[str, str] | None = None,
        kind: str = "application/json",
    ) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        self._head(status, kind, {**(headers or {}), "Content-Length": str(len(data))})
        self._writer.write(data)
        await self._writer.drain()

    async def open_stream(self, headers: dict[str, str], kind: str = "text/event-stream") -> None:
        self._head(200, kind, {**headers, "Transfer-Encoding": "chunked"})
        await self._writer.drain()

    async def send(self, data: bytes) -> None:
        if self._reader.at_eof() or self._writer.transport.is_closing():
            raise HungUp
        if not data:
            return  # a chunk of no bytes would end the body
        self._writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        await self._writer.drain()

    async def end(self) -> None:
        self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()

    async def cut(self) -> None:
        self.reusable = False
        self._writer.close()

    def reset(self) -> None:
        """RST instead of FIN."""
        self.reusable = False
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def stall(self) -> None:
        """Waits until the client goes."""
        self.reusable = False
        async with asyncio.timeout(STALL_S):
            await self._reader.read(1)
        raise HungUp

    def _head(self, status: int, kind: str, headers: dict[str, str]) -> None:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._writer.write(f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\n{lines}\r\n".encode())


# How it is sent


async def play(
    exchange: Exchange, wire: Wire, headers: dict[str, str], first_delta_s: float, delta_s: float
) -> None:
    exchange.status = 200
    if exchange.fault in _WHOLE:
        await _whole(exchange, wire, headers)
    elif exchange.fault is Fault.NOT_STREAMED or not exchange.body.get("stream"):
        await asyncio.sleep(first_delta_s)
        await _unstreamed(exchange, wire, headers)
    else:
        await _streamed(exchange, wire, headers, first_delta_s, delta_s)


_WHOLE: Final = BEFORE_FIRST_DELTA - {
    Fault.STALL_BEFORE_DELTA,
    Fault.HUGE_EVENT,
    Fault.ERROR_FIRST,
    Fault.EMPTY_STREAM,
}


async def _whole(exchange: Exchange, wire: Wire, headers: dict[str, str]) -> None:
    fault, rng = exchange.fault, exchange.rng
    limit = {"error": {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded"}}
    broken = {"error": {"message": "The server had an error", "type": "server_error"}}
    match fault:
        case Fault.HANGS_UP:
            await wire.cut()
        case Fault.RESET:
            wire.reset()
        case Fault.STALL_BEFORE_HEAD:
            await wire.stall()
        case Fault.RATE_LIMITED_SECONDS:
            exchange.status = 429
            await wire.whole(429, limit, {**headers, "Retry-After": str(rng.choice((0, 1, 0.2)))})
        case Fault.RATE_LIMITED_DATE:
            exchange.status = 429
            await wire.whole(429, limit, {**headers, "Retry-After": formatdate(time.time() + 1, usegmt=True)})
        case Fault.RATE_LIMITED:
            exchange.status = 429
            await wire.whole(429, limit, headers)
        case Fault.ERROR_502:
            exchange.status = 502
            await wire.whole(502, b"<html><h1>Bad Gateway</h1></html>", headers, "text/html")
        case Fault.ERROR_503:
            exchange.status = 503
            await wire.whole(503, broken, {**headers, **rng.choice(({}, {"Retry-After": "0.1"}))})
        case Fault.ERROR_500 | Fault.BURST:
            exchange.status = 500
            await wire.whole(500, broken, headers)
        case Fault.MALFORMED_JSON:
            await wire.whole(200, b'{"choices": [{"message": {"content": "Ans', headers)
        case Fault.WRONG_TYPE:
            await wire.whole(200, b"<!doctype html><title>Log in</title>", headers, "text/html")
        case Fault.HUGE_BODY:
            await _huge(exchange, wire, headers)


async def _huge(exchange: Exchange, wire: Wire, headers: dict[str, str]) -> None:
    await wire.open_stream(headers, "application/json")
    await wire.send(b'{"choices": [{"message": {"content": "')
    for _ in range(_HUGE_BYTES // 2**16):
        await wire.send(b"x" * 2**16)
    await wire.send(b'"}}]}')
    await wire.end()
    exchange.complete = True


async def _unstreamed(exchange: Exchange, wire: Wire, headers: dict[str, str]) -> None:
    pieces, finish = limited(exchange.body)
    message = {"role": "assistant", "content": "".join(pieces)}
    reply = reply_of(exchange, {"message": message, "finish_reason": finish})
    exchange.deltas = len(pieces)
    await wire.whole(
        200, {**reply, "object": "chat.completion", "usage": usage_of(exchange.body, pieces)}, headers
    )
    exchange.complete = True


async def _streamed(
    exchange: Exchange, wire: Wire, headers: dict[str, str], first_delta_s: float, delta_s: float
) -> None:
    fault = exchange.fault
    pieces, _ = limited(exchange.body)
    stops_at = exchange.rng.randrange(len(pieces)) if fault in IN_STREAM else -1
    kind = (
        exchange.rng.choice(("text/plain", "application/json"))
        if fault is Fault.MISLABELLED
        else "text/event-stream"
    )
    await wire.open_stream(headers, kind)
    if fault is Fault.STALL_BEFORE_DELTA:
        await wire.stall()
    if fault is Fault.HUGE_EVENT:
        for _ in range(64):
            await wire.send(b"data: " if _ == 0 else b"x" * 2**16)
        await wire.end()
        return
    if fault is Fault.BOM:
        await wire.send(b"\xef\xbb\xbf")
    await asyncio.sleep(first_delta_s)
    async for event, is_piece in events_of(exchange, pieces):
        if is_piece and exchange.deltas == stops_at and not await _breaks(exchange, wire, event):
            return
        await _send(fault, wire, event)
        if is_piece:
            exchange.deltas += 1
            await asyncio.sleep(delta_s)
    await wire.end()
    exchange.complete = True


async def _breaks(exchange: Exchange, wire: Wire, event: bytes) -> bool:
    """Plays the fault in the middle of a stream; whether the stream goes on."""
    match exchange.fault:
        case Fault.STALL_IN_STREAM:
            await wire.stall()
        case Fault.CUT_IN_EVENT:
            await wire.send(event[: exchange.rng.randrange(1, len(event) - 2)])
            await (wire.cut() if exchange.rng.random() < 0.5 else wire.end())
        case Fault.CUT_BETWEEN_EVENTS:
            await (wire.cut() if exchange.rng.random() < 0.5 else wire.end())
        case Fault.MALFORMED_DATA:
            await wire.send(b'data: {"choices": [{"delta": {"cont\n\n')
            return True
        case Fault.ERROR_EVENT:
            await wire.send(
                b'event: error\ndata: {"error": {"message": "overloaded", "type": "server_error"}}\n\n'
            )
            await wire.end()
        case _:
            return True
    return False


async def _send(fault: Fault, wire: Wire, event: bytes) -> None:
    match fault:
        case Fault.CR:
            await wire.send(event.replace(b"\n", b"\r"))
        case Fault.CRLF:
            await wire.send(event.replace(b"\n", b"\r\n"))
        case Fault.SLOW_DRIP:
            for at in range(len(event)):
                await wire.send(event[at : at + 1])
                if at % 16 == 0:
                    await asyncio.sleep(_DRIP_S)
        case _:
            await wire.send(event)
