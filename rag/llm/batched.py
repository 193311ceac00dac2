"""Requests that wait for each other and go to the provider's batch endpoint together, at half the price."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass

from rag.core.errors import ChatError, ChatUnreachable
from rag.core.types import ChatEvent, ChatRequest, Delta, Done, Usage
from rag.llm.provider_batch import BatchReply, BatchState, ProviderBatch
from rag.llm.request_key import request_key

Result = BatchReply | ChatError


@dataclass(slots=True)
class _Waiting:
    request: ChatRequest
    reply: asyncio.Future[Result]


class BatchedClient:
    """Stands where the HTTP client stands. A request waits until all flows that were announced have asked or are done;
    then one batch carries them all. Batches of earlier, interrupted runs are looked into first."""

    def __init__(
        self,
        provider: ProviderBatch,
        name: str,
        context_window: int,
        *,
        earlier: Sequence[str] = (),
        on_batch: Callable[[str], None] = lambda _: None,
        on_progress: Callable[[BatchState], None] | None = None,
        poll_s: float = 5.0,
    ) -> None:
        """``earlier``: ids of batches of runs before; ``on_batch`` is told each new id before it is waited for."""
        self.name, self.context_window = name, context_window
        self._provider, self._earlier, self._poll_s = provider, tuple(earlier), poll_s
        self._on_batch, self._on_progress = on_batch, on_progress
        self._waiting: dict[str, _Waiting] = {}
        self._known: dict[str, Result] | None = None
        self._n_flows = self._n_waiting = 0
        self._sending: asyncio.Task[None] | None = None

    def expect(self, n_flows: int) -> None:
        self._n_flows += n_flows

    def flow_ended(self) -> None:
        self._n_flows -= 1
        self._look()

    async def close(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)
        await self._provider.close()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        key = request_key(request)
        mine = self._waiting.setdefault(key, _Waiting(request, asyncio.get_running_loop().create_future()))
        self._n_waiting += 1
        self._look()
        try:
            result = await asyncio.shield(mine.reply)
        finally:
            self._n_waiting -= 1
        if isinstance(result, ChatError):
            raise result
        if result.text:
            yield Delta(result.text)
        yield result.usage or Usage()
        yield Done(result.finish_reason, result.model, route="the provider's batch endpoint")

    def _look(self) -> None:
        if self._waiting and self._n_waiting >= self._n_flows and self._sending is None:
            self._sending = asyncio.create_task(self._send())

    async def _send(self) -> None:
        asked = {key: one.request for key, one in self._waiting.items()}
        try:
            results = {key: one for key, one in (await self._of_earlier()).items() if key in asked}
            missing = {key: request for key, request in asked.items() if key not in results}
            if missing:
                digest = hashlib.sha256("".join(sorted(missing)).encode()).hexdigest()
                batch_id = await self._provider.submit(missing, digest)
                self._on_batch(batch_id)
                results |= await self._results(batch_id)
        except ChatError as exc:
            results = dict.fromkeys(asked, exc)
        finally:
            self._sending = None
        for key in asked:
            late = ChatUnreachable("The provider did not come to this request in time; ask it again.")
            waiting = self._waiting.pop(key)
            waiting.reply.set_result(results.get(key, late))

    async def _of_earlier(self) -> dict[str, Result]:
        if self._known is None:
            self._known = {}
            for batch_id in self._earlier:
                self._known |= await self._results(batch_id)
        return self._known

    async def _results(self, batch_id: str) -> dict[str, Result]:
        state = await self._provider.wait(batch_id, poll_s=self._poll_s, on_progress=self._on_progress)
        return {key: result async for key, result in self._provider.results(state)}
