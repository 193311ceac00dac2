"""The window is an invariant: what does not fit is not sent."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from rag.core.errors import ContextOverflow
from rag.core.protocols import ChatModel
from rag.core.types import ChatEvent, ChatRequest, Usage
from rag.llm.corrections import CORRECTIONS
from rag.llm.tokens import TiktokenCounter, count_request

_MIN_OUTPUT_TOKENS: Final = 16
_LIMITS: Final = ("max_tokens", "max_completion_tokens")


class WindowedChatModel:
    """Counts each prompt as it will be sent. Lowers ``max_tokens`` to what is left of the window, and raises
    ``ContextOverflow`` where that is too little for an answer."""

    def __init__(self, inner: ChatModel, *, max_output_tokens: int | None = None) -> None:
        self._inner, self._most_output = inner, max_output_tokens
        self.name, self.context_window = inner.name, inner.context_window

    async def close(self) -> None:
        await self._inner.close()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        counter = TiktokenCounter(self.name)  # its margin is learned, so it is made anew
        n_counted = count_request(counter, request)
        n_prompt = math.ceil(n_counted * (1 + counter.margin))
        left = self.context_window - n_prompt
        if left < min(_MIN_OUTPUT_TOKENS, request.max_tokens):
            raise ContextOverflow(
                f"The prompt of some {n_prompt} tokens does not fit the window of {self.context_window} of the chat "
                f"model {self.name}; shorten it, or set llm_context_tokens to the model's window.",
                model=self.name,
            )
        sent = _with_most(request, min(left, self._most_output or left))
        async with aclosing(self._inner.stream(sent)) as events:  # type: ignore[type-var]
            async for event in events:
                if isinstance(event, Usage):
                    CORRECTIONS.observe(self.name, n_counted, event.input_tokens)
                yield event


def _with_most(request: ChatRequest, n_output: int) -> ChatRequest:
    """Also where the limit stands among the further fields, which go before ours."""
    extra = {
        name: min(value, n_output) if name in _LIMITS and isinstance(value, int) else value
        for name, value in request.extra.items()
    }
    return replace(request, max_tokens=min(request.max_tokens, n_output), extra=extra)
