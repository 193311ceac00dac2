"""Moderation by the provider: the /moderations endpoint beside /chat/completions."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from rag.core.chat_server import ChatServer
from rag.core.types import ChatRequest
from rag.llm.address import checked_url
from rag.llm.moderate import PLAIN, Judgement, Where
from rag.llm.placeholders import Placeholders, new_key

if TYPE_CHECKING:
    import httpx

MODEL: Final = "omni-moderation-latest"
_MAX_CHARS: Final = 20_000
"""Longer texts are sent as several inputs of one request."""


class EndpointModerator:
    """One server's moderation. It belongs to the event loop in which it is used first."""

    def __init__(
        self,
        server: ChatServer,
        key: Callable[[], str | None] = lambda: None,
        *,
        masked: bool = True,
        model: str = MODEL,
        timeout_s: float = 10.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """``key`` is asked before each request. ``masked``: personal data is replaced before it is sent."""
        self._server, self._key, self._masked = server, key, masked
        self._model, self._timeout_s, self._transport = model, timeout_s, transport
        self._url, self._shown = checked_url(server.base_url)
        self._client: httpx.AsyncClient | None = None

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def judge(self, text: str, where: Where, like: ChatRequest = PLAIN) -> Judgement:
        """The worst of all pieces of a text. An endpoint that fails flags nothing and says why."""
        import httpx

        if self._masked:
            text = Placeholders([text], new_key()).mask(text)
        pieces = [text[start : start + _MAX_CHARS] for start in range(0, len(text), _MAX_CHARS)]
        key = self._key()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            async with asyncio.timeout(self._timeout_s):
                response = await self._connected().post(
                    "moderations",
                    json={"model": self._model, "input": pieces},
                    headers=headers,
                    params=self._server.query or None,
                )
            if response.status_code != 200:
                return self._failed(where, f"answers with status {response.status_code}")
            return _judgement(response.json(), len(pieces))
        except (TimeoutError, httpx.TimeoutException):
            return self._failed(where, f"did not answer within {self._timeout_s:g} s")
        except (httpx.HTTPError, httpx.StreamError):
            return self._failed(where, "cannot be reached")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return self._failed(where, "sent something that is no moderation")

    def _connected(self) -> httpx.AsyncClient:
        import httpx

        if self._client is None:
            ca_file = self._server.ca_file
            self._client = httpx.AsyncClient(
                base_url=self._url,
                headers={name: value.get_secret_value() for name, value in self._server.headers.items()},
                proxy=self._server.proxy,
                verify=ssl.create_default_context(cafile=str(ca_file)) if ca_file else True,
                timeout=self._timeout_s,
                follow_redirects=False,
                transport=self._transport,
            )
        return self._client

    def _failed(self, where: Where, what: str) -> Judgement:
        return Judgement(
            False,
            by="endpoint",
            notice=f"The {where} was not moderated: the endpoint at {self._shown} {what}.",
        )


def _judgement(reply: Any, n_pieces: int) -> Judgement:
    """Raises ``ValueError`` and its like for a reply of another shape."""
    results = reply["results"]
    if len(results) != n_pieces:
        raise ValueError("as many results as inputs are needed")
    flagged, score, categories = False, 0.0, dict[str, None]()
    for result in results:
        if not isinstance(result["flagged"], bool):
            raise ValueError("flagged must be true or false")
        flagged = flagged or result["flagged"]
        categories |= {
            str(name): None for name, is_so in (result.get("categories") or {}).items() if is_so is True
        }
        score = max([score, *map(float, (result.get("category_scores") or {}).values())])
    return Judgement(flagged, tuple(categories) if flagged else (), score, "endpoint")
