"""A chat server on loopback that fails in every way a chat server can, as a seed or a script tells it.

``async with fault_server(seed=1, fault_share=0.3) as server:`` gives ``server.base_url`` and, for each request,
what was played and how far it came (``server.requests``). Which fault a request meets depends on the seed, on the
request's id (header ``X-Request-Id``, or ``request_id`` in the body, else the question) and on how often that id
has come before; not on the order of arrival. The answer depends on the question alone (``answer_to``), so a
complete one can be told from a cut one. Also a program: ``python -m tests.fault_server`` prints its base URL and
serves until its input ends.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
from collections import Counter, deque
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

from tests.fault_acts import HungUp, Wire, play
from tests.fault_answers import answer_to, n_input_tokens, question_of, still_to_say
from tests.fault_limits import Buckets, Limits
from tests.faults import ALL, Exchange, Fault

__all__ = [
    "ALL",
    "Buckets",
    "Exchange",
    "Fault",
    "FaultServer",
    "Limits",
    "answer_to",
    "fault_server",
]
_BURST: Final = 5
"""Requests that a burst of server errors hits."""


@dataclass(slots=True)
class FaultServer:
    seed: int
    fault_share: float
    faults: tuple[Fault, ...]
    limits: Limits
    first_delta_s: float
    delta_s: float
    base_url: str = ""
    requests: list[Exchange] = field(default_factory=list)
    """One for each chat request, in the order of arrival."""
    connections: int = 0
    """Opened in all."""
    in_flight: int = 0
    most_in_flight: int = 0
    _script: deque[Fault] = field(default_factory=deque)
    _burst: int = 0
    _seen: Counter[str] = field(default_factory=Counter)
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _buckets: Buckets = field(default_factory=lambda: Buckets(Limits()))
    _listening: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def script(self, *faults: Fault) -> None:
        """What the next requests meet, before the seed decides again."""
        self._script.extend(faults)

    def of(self, request_id: str) -> list[Exchange]:
        return [one for one in self.requests if one.id == request_id]

    @property
    def open_connections(self) -> int:
        return len(self._open)

    @asynccontextmanager
    async def down(self) -> AsyncIterator[None]:
        """Nothing listens, and open connections are reset; afterwards it is there again at the same address."""
        port = int(self.base_url.rsplit(":", 1)[1].split("/")[0])
        await self._close()
        try:
            yield
        finally:
            await self._listen(port)

    async def _listen(self, port: int) -> None:
        self._listening = await asyncio.start_server(
            self._connected, "127.0.0.1", port, backlog=4096, limit=2**22
        )
        self.base_url = f"http://127.0.0.1:{self._listening.sockets[0].getsockname()[1]}/v1"

    async def _close(self) -> None:
        if self._listening is not None:
            self._listening.close()
        for writer in list(self._open):
            writer.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._listening is not None:
            await self._listening.wait_closed()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, HungUp, TimeoutError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answers one request; whether the connection can be used again."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ", 2)
        fields = (line.partition(":") for line in head[1:] if line)
        headers = {name.lower(): value.strip() for name, _, value in fields}
        raw = await reader.readexactly(int(headers.get("content-length", "0")))
        wire = Wire(reader, writer)
        if path.partition("?")[0] != "/v1/chat/completions" or method != "POST":
            await self._other(wire, path)
            return True
        try:
            body: dict[str, Any] = json.loads(raw)
        except ValueError:
            await wire.whole(
                400, {"error": {"message": "the body is not JSON", "type": "invalid_request_error"}}
            )
            return True
        exchange = self._new(body, headers, path)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await self._answer(exchange, wire)
        except (ConnectionError, HungUp):
            exchange.hung_up = True
            raise
        finally:
            self.in_flight -= 1
        return wire.reusable

    async def _answer(self, exchange: Exchange, wire: Wire) -> None:
        now = asyncio.get_running_loop().time()
        tokens = n_input_tokens(exchange.body) + len(still_to_say(exchange.body))
        wait_s = self._buckets.refused(now, tokens)
        if wait_s is None and self.limits.concurrency and self.in_flight > self.limits.concurrency:
            wait_s = 0.05
        told = self._buckets.headers(now)
        if wait_s is not None:
            exchange.fault, exchange.status = Fault.OVER_LIMIT, 429
            error = {"message": "Rate limit reached", "type": "tokens", "code": "rate_limit_exceeded"}
            await wire.whole(429, {"error": error}, {**told, "Retry-After": f"{wait_s:.3f}"})
            return
        exchange.fault = self._chosen(exchange)
        await play(exchange, wire, told, self.first_delta_s, self.delta_s)

    async def _other(self, wire: Wire, path: str) -> None:
        if path.partition("?")[0] == "/v1/models":
            await wire.whole(200, {"object": "list", "data": [{"id": "fault-model", "object": "model"}]})
        else:
            await wire.whole(404, {"error": {"message": f"no route {path}", "type": "invalid_request_error"}})

    def _new(self, body: dict[str, Any], headers: dict[str, str], path: str) -> Exchange:
        question = question_of(body)
        name = str(headers.get("x-request-id") or body.get("request_id") or question)
        turn = self._seen[name]
        self._seen[name] += 1
        exchange = Exchange(
            len(self.requests),
            name,
            question,
            body,
            headers,
            path,
            asyncio.get_running_loop().time(),
            random.Random(f"{self.seed}|{name}|{turn}"),
        )
        self.requests.append(exchange)
        return exchange

    def _chosen(self, exchange: Exchange) -> Fault:
        if self._script:
            return self._script.popleft()
        if self._burst:
            self._burst -= 1
            return exchange.rng.choice((Fault.ERROR_500, Fault.ERROR_502, Fault.ERROR_503))
        if not self.faults or exchange.rng.random() >= self.fault_share:
            return Fault.NONE
        fault = exchange.rng.choice(self.faults)
        if fault is Fault.BURST:
            self._burst = _BURST - 1
        return fault


@asynccontextmanager
async def fault_server(
    *,
    seed: int = 0,
    fault_share: float = 0.0,
    faults: Collection[Fault] = ALL,
    limits: Limits | None = None,
    first_delta_s: float = 0.0,
    delta_s: float = 0.0,
    port: int = 0,
) -> AsyncIterator[FaultServer]:
    """``fault_share`` of the requests meet one of ``faults``; ``first_delta_s`` and ``delta_s`` are its speed."""
    server = FaultServer(seed, fault_share, tuple(sorted(faults)), limits or Limits(), first_delta_s, delta_s)
    server._buckets = Buckets(server.limits)
    await server._listen(port)
    try:
        yield server
    finally:
        await server._close()


async def _main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--port", type=int, default=0)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--fault-share", type=float, default=0.0)
    options.add_argument("--first-delta-ms", type=float, default=0.0)
    options.add_argument("--delta-ms", type=float, default=0.0)
    given = options.parse_args()
    async with fault_server(
        seed=given.seed,
        fault_share=given.fault_share,
        first_delta_s=given.first_delta_ms / 1000,
        delta_s=given.delta_ms / 1000,
        port=given.port,
    ) as server:
        print(server.base_url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(_main())
