"""Personal data stays on this machine: what is sent has placeholders in its place, what comes back has it again."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Final, Literal
from urllib.parse import urlsplit

from rag.core.protocols import ChatModel
from rag.core.types import ChatEvent, ChatRequest, Delta, Done, Message, Switched
from rag.llm.meter import Meter, NoMeter
from rag.llm.personal import NameFinder
from rag.llm.placeholders import Placeholders, Restoring, new_key

_PROCESS_KEY: Final = new_key()


def masks(setting: Literal["auto", "mask", "send"], base_url: str) -> bool:
    """Whether personal data is replaced: ``auto`` does so unless the server is on this machine."""
    if setting != "auto":
        return setting == "mask"
    try:
        host = (urlsplit(base_url.strip()).hostname or "").rstrip(".").lower()
    except ValueError:
        return True
    if host == "localhost" or host.endswith(".localhost"):
        return False
    try:
        return not ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return True


class MaskedChatModel:
    """Replaces personal data in every message by placeholders and restores it in the answer."""

    def __init__(
        self,
        inner: ChatModel,
        meter: Meter | None = None,
        *,
        names: NameFinder | None = None,
        key: bytes = _PROCESS_KEY,
    ) -> None:
        """``names``: finds names of persons too (``rag.llm.personal_names``)."""
        self._inner, self._meter = inner, meter or NoMeter()
        self._names, self._key = names, key
        self.name, self.context_window = inner.name, inner.context_window

    async def close(self) -> None:
        await self._inner.close()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        placeholders = Placeholders(_texts(request), self._key, self._names)
        sent = _masked(request, placeholders)
        for kind, n in Counter(placeholders.kinds()).items():
            self._meter.count("chat_masked", n, kind=kind.lower())
        restoring = Restoring(placeholders)
        async with aclosing(self._inner.stream(sent)) as events:  # type: ignore[type-var]
            async for event in events:
                if isinstance(event, Delta):
                    if text := restoring.feed(event.text):
                        yield Delta(text)
                    continue
                if isinstance(event, Done | Switched) and (rest := restoring.close()):
                    yield Delta(rest)
                yield event


def _texts(request: ChatRequest) -> list[str]:
    return [*(message.content for message in request.messages), *request.stop, *_strings(request.extra)]


def _masked(request: ChatRequest, placeholders: Placeholders) -> ChatRequest:
    messages = tuple(Message(one.role, placeholders.mask(one.content)) for one in request.messages)
    stop = tuple(map(placeholders.mask, request.stop))
    extra = {key: _masked_value(value, placeholders) for key, value in request.extra.items()}
    if not len(placeholders):
        return request
    return replace(request, messages=messages, stop=stop, extra=extra)


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for one in value.values() for text in _strings(one)]
    return [text for one in value for text in _strings(one)] if isinstance(value, list | tuple) else []


def _masked_value(value: object, placeholders: Placeholders) -> object:
    if isinstance(value, str):
        return placeholders.mask(value)
    if isinstance(value, Mapping):
        return {key: _masked_value(one, placeholders) for key, one in value.items()}
    return [_masked_value(one, placeholders) for one in value] if isinstance(value, list | tuple) else value
