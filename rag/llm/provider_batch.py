"""The provider's own batch endpoint (files and batches): thousands of requests at once, answered within a day.

``submit`` gives an id, with which everything else goes on after any interruption. A submission that was interrupted
before its id was kept is found again by its key, so nothing is paid for twice.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rag.core.chat_server import ChatServer
from rag.core.errors import (
    ChatError,
    ChatRefused,
    ChatTimeout,
    ChatUnreachable,
    UsageError,
)
from rag.core.types import ChatRequest, Delta, Usage
from rag.llm.batch_endpoint import BatchEndpoint, safe
from rag.llm.reply import Reply
from rag.llm.wire import Dialect, encoded, request_body

if TYPE_CHECKING:
    import httpx

MAX_REQUESTS: Final = 50_000
MAX_FILE_BYTES: Final = 200 * 10**6
"""What OpenAI takes in one batch."""
_LONGEST_POLL_S: Final = 60.0
_KEY_FIELD: Final = "footnote_key"
_OPEN: Final = ("validating", "in_progress", "finalizing", "cancelling")
_GIVEN_UP: Final = ("failed", "cancelled", "cancelling")
_PASSING: Final = (ChatUnreachable, ChatTimeout)


@dataclass(frozen=True, slots=True)
class BatchState:
    """How far a batch is."""

    id: str
    status: str
    """As the provider says it: "in_progress", "completed", "failed", "expired", "cancelled" …"""
    n_requests: int = 0
    n_completed: int = 0
    n_failed: int = 0
    output_file: str | None = None
    error_file: str | None = None
    reason: str | None = None
    """Why it failed as a whole."""

    @property
    def ended(self) -> bool:
        return self.status not in _OPEN


@dataclass(frozen=True, slots=True)
class BatchReply:
    text: str
    finish_reason: str | None
    model: str
    usage: Usage | None


class ProviderBatch:
    """The batch endpoint of one server."""

    def __init__(self, server: ChatServer, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """``transport`` replaces the network. Raises ``SettingsError``."""
        self._model = server.model
        self._at = BatchEndpoint(server, transport=transport)
        self._failures = self._at.failures

    async def close(self) -> None:
        await self._at.close()

    async def submit(self, requests: Mapping[str, ChatRequest], key: str) -> str:
        """The id of the batch of these requests, by their ids. ``key`` names the submission: a batch that was made
        under it before is taken up again. Raises ``UsageError`` for too many requests, ``ChatError``."""
        found = await self._find(key)
        if found is not None:
            return found
        lines = [self._line(custom_id, request) for custom_id, request in requests.items()]
        n_bytes = sum(map(len, lines))
        if not lines or len(lines) > MAX_REQUESTS or n_bytes > MAX_FILE_BYTES:
            raise UsageError(
                f"A batch takes 1 to {MAX_REQUESTS:,} requests of {MAX_FILE_BYTES // 10**6} MB together, and this one "
                f"has {len(lines):,} of {n_bytes / 10**6:.1f} MB; split it.",
            )
        file = await self._at.call(
            "POST",
            "/files",
            data={"purpose": "batch"},
            files={"file": ("batch.jsonl", b"".join(lines), "application/jsonl")},
        )
        batch = await self._at.call(
            "POST",
            "/batches",
            json={
                "input_file_id": self._at.text(file, "id"),
                "endpoint": "/v1/chat/completions",
                "completion_window": "24h",
                "metadata": {_KEY_FIELD: key},
            },
        )
        return self._at.text(batch, "id")

    async def state(self, batch_id: str) -> BatchState:
        return self._state(await self._at.call("GET", f"/batches/{safe(batch_id)}"))

    async def wait(
        self,
        batch_id: str,
        *,
        poll_s: float = 5.0,
        on_progress: Callable[[BatchState], None] | None = None,
    ) -> BatchState:
        """Asks, ever less often, until it has ended; a server that does not answer for a while is asked again."""
        while True:
            try:
                state = await self.state(batch_id)
            except _PASSING:
                pass
            else:
                if on_progress is not None:
                    on_progress(state)
                if state.ended:
                    return state
            await asyncio.sleep(poll_s)
            poll_s = min(poll_s * 1.5, max(poll_s, _LONGEST_POLL_S))

    async def cancel(self, batch_id: str) -> BatchState:
        """What is done already stays, and is paid for."""
        return self._state(await self._at.call("POST", f"/batches/{safe(batch_id)}/cancel"))

    async def results(self, state: BatchState) -> AsyncGenerator[tuple[str, BatchReply | ChatError], None]:
        """(id of the request, its reply or what went wrong), in no order; those that the provider did not come to
        are left out."""
        if state.reason is not None:
            raise ChatRefused(
                f"The provider did not carry out the batch {state.id} ({state.reason}); correct it and submit it anew.",
                model=self._model,
                base_url=self._failures.base_url,
            )
        for file in (state.output_file, state.error_file):
            if file is not None:
                async with aclosing(self._at.lines(file)) as lines:
                    async for line in lines:
                        yield self._result(line)

    # One request, one result

    def _line(self, custom_id: str, request: ChatRequest) -> bytes:
        body = request_body(request, request.model or self._model, Dialect(stream_options=False))
        body.pop("stream", None)
        line = {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}
        return encoded(line) + b"\n"

    def _result(self, line: bytes) -> tuple[str, BatchReply | ChatError]:
        entry = self._at.parsed(line)
        custom_id = self._at.text(entry, "custom_id")
        response = entry.get("response")
        try:
            if not isinstance(response, dict):
                return custom_id, self._failures.of_error(200, entry.get("error") or "no response")
            status, body = _count(response.get("status_code")), json.dumps(response.get("body")).encode()
            if status != 200:
                return custom_id, self._failures.of_reply(status or 500, body, {})[0]
            reply = Reply(self._failures, self._model)
            reply.feed(body)
            text = "".join(event.text for event in reply.end() if isinstance(event, Delta))
        except ChatError as exc:
            return custom_id, exc
        return custom_id, BatchReply(text, reply.finish_reason, reply.model, reply.usage)

    # The endpoint

    async def _find(self, key: str) -> str | None:
        after: dict[str, str] = {}
        while True:
            page = await self._at.call("GET", "/batches", params={"limit": "100", **after})
            listed = page.get("data")
            batches = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
            for batch in batches:
                ours = _dict(batch.get("metadata")).get(_KEY_FIELD) == key
                if ours and batch.get("status") not in _GIVEN_UP:
                    return self._at.text(batch, "id")
            if not page.get("has_more") or not batches:
                return None
            after = {"after": self._at.text(batches[-1], "id")}

    # What it says

    def _state(self, batch: dict[str, Any]) -> BatchState:
        counts = _dict(batch.get("request_counts"))
        errors = _dict(batch.get("errors")).get("data")
        reasons = (
            [str(_dict(error).get("message", "")) for error in errors] if isinstance(errors, list) else []
        )
        said = "; ".join(reasons[:3])
        status = self._at.text(batch, "status")
        return BatchState(
            self._at.text(batch, "id"),
            status,
            _count(counts.get("total")),
            _count(counts.get("completed")),
            _count(counts.get("failed")),
            _name(batch.get("output_file_id")),
            _name(batch.get("error_file_id")),
            self._failures.hide(said[:300] or status) if status == "failed" else None,
        )


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _name(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
