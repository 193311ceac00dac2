"""Chat completions over HTTP, streamed: any server that speaks OpenAI's ``/chat/completions``."""

from __future__ import annotations

import asyncio
import email.utils
import json
import re
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

from rag.core.errors import (
    ChatError,
    ChatProtocolError,
    ChatRateLimited,
    ChatRefused,
    ChatTimeout,
    ChatUnreachable,
    ContextOverflow,
)
from rag.core.types import ChatEvent, ChatRequest, Delta, Done, Usage
from rag.llm.address import checked_key, checked_url
from rag.llm.sse import event_data
from rag.llm.wire import content_of, request_body, usage_of

if TYPE_CHECKING:
    import httpx

MAX_BODY_BYTES: Final = 16 * 1024 * 1024
"""An answer is a few kB; a server that sends more than this is not answering."""
_MAX_ERROR_BYTES = 64 * 1024
_CONNECT_TIMEOUT_S = 10.0
_OVERFLOW = re.compile(
    r"context[ _]?(?:length|window|size)|maximum context|exceed_context|too many tokens|prompt is too long",
    re.IGNORECASE,
)


class HttpChatModel:
    """One model on one server. A connection belongs to one request, so it may be used from any event loop."""

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key: str | None = None,
        context_window: int = 8192,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """``transport`` replaces the network. Raises ``SettingsError`` for a base URL or a key that is none."""
        self.name = model
        self.context_window = context_window
        self._url, self.base_url = checked_url(base_url)
        self._api_key = checked_key(api_key)
        self._transport = transport
        self._tls: Any = None

    async def close(self) -> None:
        """Nothing is kept open between requests."""

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """Deltas, then at most one ``Usage``, then one ``Done``; ``request.timeout_s`` is for all of it.

        Closing the iterator closes the connection, which stops the server. Raises ``ChatError`` subclasses.
        """
        import httpx

        deadline = asyncio.get_running_loop().time() + request.timeout_s
        try:
            async with self._client() as client:
                sending = client.build_request(
                    "POST", "/chat/completions", json=request_body(request), headers=self._headers()
                )
                response = await _by(deadline, client.send(sending, stream=True))
                try:
                    if response.status_code != 200:
                        raise await self._refusal(response, deadline)
                    async with aclosing(self._events(response, deadline, request.model)) as events:
                        async for event in events:
                            yield event
                finally:
                    await response.aclose()
        except TimeoutError as exc:
            raise self._failed(
                ChatTimeout,
                f"The chat server at {self.base_url} did not finish within {request.timeout_s:g} s; try again, or raise "
                "llm_timeout_s.",
            ) from exc
        except (httpx.TimeoutException, httpx.ConnectError) as exc:
            raise self._failed(
                ChatUnreachable,
                f"The chat server at {self.base_url} cannot be reached; check that it is running and llm_base_url.",
            ) from exc
        except (httpx.TransportError, httpx.StreamError, httpx.DecodingError) as exc:
            raise self._failed(
                ChatUnreachable,
                f"The connection to the chat server at {self.base_url} broke ({type(exc).__name__}); try again.",
            ) from exc

    def _client(self) -> httpx.AsyncClient:
        import httpx

        if self._tls is None and self._transport is None:
            self._tls = httpx.create_ssl_context()  # reading the certificates is the costly part
        return httpx.AsyncClient(
            base_url=self._url,
            transport=self._transport,
            verify=self._tls if self._tls is not None else True,
            timeout=httpx.Timeout(None, connect=_CONNECT_TIMEOUT_S),
            follow_redirects=False,
        )

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": "text/event-stream"}
        if self._api_key:
            headers["Authorization"] = f"Bearer {self._api_key}"
        return headers

    # The reply

    async def _events(
        self, response: httpx.Response, deadline: float, model: str
    ) -> AsyncGenerator[ChatEvent, None]:
        if "text/event-stream" not in response.headers.get("content-type", ""):
            for event in self._whole(await self._read(response, deadline, MAX_BODY_BYTES), model):
                yield event
            return
        finish: str | None = None
        usage: Usage | None = None
        done = False
        async with aclosing(event_data(self._chunks(response, deadline))) as events:
            async for data in events:
                if data.strip() == "[DONE]":
                    done = True
                    break
                reply = self._object(data)
                usage = usage_of(reply) or usage
                model = reply["model"] if isinstance(reply.get("model"), str) else model
                choice = self._choice(reply)
                text = content_of(choice.get("delta"))
                if text:
                    yield Delta(text)
                if isinstance(choice.get("finish_reason"), str):
                    finish = choice["finish_reason"]
        if not done and finish is None:
            raise self._failed(
                ChatProtocolError,
                f"The chat server at {self.base_url} broke off in the middle of its answer; try again.",
            )
        if usage is not None:
            yield usage
        yield Done(finish, model)

    def _whole(self, body: bytes, model: str) -> list[ChatEvent]:
        """The events of a reply that was not streamed."""
        reply = self._object(body.decode("utf-8", "replace"))
        choice = self._choice(reply)
        text = content_of(choice.get("message"))
        if not choice:
            raise self._malformed()
        events: list[ChatEvent] = [Delta(text)] if text else []
        usage = usage_of(reply)
        finish = choice.get("finish_reason")
        name = reply.get("model")
        return [
            *events,
            *([usage] if usage else []),
            Done(finish if isinstance(finish, str) else None, name if isinstance(name, str) else model),
        ]

    async def _chunks(self, response: httpx.Response, deadline: float) -> AsyncGenerator[bytes, None]:
        n_bytes = 0
        async with aclosing(response.aiter_bytes()) as chunks:  # type: ignore[type-var]
            while True:
                try:
                    chunk = await _by(deadline, anext(chunks))
                except StopAsyncIteration:
                    return
                n_bytes += len(chunk)
                if n_bytes > MAX_BODY_BYTES:
                    raise self._failed(
                        ChatProtocolError,
                        f"The chat server at {self.base_url} sent more than {MAX_BODY_BYTES // 2**20} MB; check "
                        "llm_base_url.",
                    )
                yield chunk

    async def _read(self, response: httpx.Response, deadline: float, max_bytes: int) -> bytes:
        body = bytearray()
        async with aclosing(self._chunks(response, deadline)) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) > max_bytes:
                    break
        return bytes(body[:max_bytes])

    def _object(self, text: str) -> dict[str, Any]:
        try:
            reply = json.loads(text)
        except (ValueError, RecursionError) as exc:
            raise self._malformed() from exc
        if not isinstance(reply, dict):
            raise self._malformed()
        if reply.get("error"):
            raise self._from_error(200, reply["error"], {})
        return reply

    def _choice(self, reply: Mapping[str, Any]) -> dict[str, Any]:
        choices = reply.get("choices", [])
        if not isinstance(choices, list) or (choices and not isinstance(choices[0], dict)):
            raise self._malformed()
        return choices[0] if choices else {}

    # What went wrong

    async def _refusal(self, response: httpx.Response, deadline: float) -> ChatError:
        body = (await self._read(response, deadline, _MAX_ERROR_BYTES)).decode("utf-8", "replace")
        try:
            reply = json.loads(body)
        except (ValueError, RecursionError):
            reply = None
        error = reply.get("error", reply) if isinstance(reply, dict) else body
        return self._from_error(response.status_code, error, response.headers)

    def _from_error(self, status: int, error: object, headers: Mapping[str, str]) -> ChatError:
        said, kind = self._said(error)
        if status == 200:
            code = error.get("code") if isinstance(error, dict) else None
            status = code if isinstance(code, int) and 400 <= code < 600 else 500
        about = f" ({said})" if said else ""
        server = f"The chat server at {self.base_url}"
        if _OVERFLOW.search(f"{kind} {said}") and status in (400, 413, 422, 500):
            return self._failed(
                ContextOverflow,
                f"The prompt does not fit the window of the chat model {self.name}{about}; set llm_context_tokens to "
                "the model's window.",
                status,
            )
        if status == 429:
            return self._failed(
                ChatRateLimited,
                f"{server} takes no more requests for now{about}; try again later.",
                status,
                retry_after_s=retry_after_s(headers),
            )
        if status in (408, 504):
            return self._failed(ChatTimeout, f"{server} timed out{about}; try again.", status)
        if status >= 500 or status in (409, 425):
            return self._failed(
                ChatUnreachable,
                f"{server} failed with status {status}{about}; try again.",
                status,
                retry_after_s=retry_after_s(headers),
            )
        if status in (401, 403):
            return self._failed(ChatRefused, f"{server} refused the key{about}; check llm_api_key.", status)
        if status == 404:
            return self._failed(
                ChatRefused,
                f"{server} knows no model {self.name} or no /chat/completions{about}; check llm_model and llm_base_url.",
                status,
            )
        return self._failed(ChatRefused, f"{server} refused the request with status {status}{about}.", status)

    def _malformed(self) -> ChatError:
        return self._failed(
            ChatProtocolError,
            f"The chat server at {self.base_url} sent something that is no chat completion; check llm_base_url.",
        )

    def _failed(
        self,
        kind: type[ChatError],
        message: str,
        status: int | None = None,
        *,
        retry_after_s: float | None = None,
    ) -> ChatError:
        fields: dict[str, object] = {"model": self.name, "base_url": self.base_url}
        if status is not None:
            fields["status"] = status
        if retry_after_s is not None:
            fields["retry_after_s"] = retry_after_s
        return kind(message, **fields)

    def _said(self, error: object) -> tuple[str, str]:
        """(what the server said, without the key, at most 300 characters on one line; its own name for the error)"""
        kind = ""
        if isinstance(error, dict):
            kind = f"{error.get('type', '')} {error.get('code', '')}"
            error = error.get("message") or error.get("detail") or ""
        text = " ".join(error.split()) if isinstance(error, str) else ""
        text = "".join(filter(str.isprintable, text))
        if self._api_key:
            text = text.replace(self._api_key, "***")
        return ("" if text.startswith("<") else text[:300].rstrip(". ")), kind


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds of a Retry-After header, which holds seconds or a date; None if there is none to be read."""
    value = (headers.get("retry-after") or "").strip()
    if re.fullmatch(r"\d+(?:\.\d+)?", value):
        return float(value)
    try:
        when = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, when.timestamp() - time.time())


async def _by(deadline: float, awaitable: Any) -> Any:
    async with asyncio.timeout_at(deadline):
        return await awaitable
