"""What a request will take, learned from what requests took. Cheap: the exact count is another layer's."""

from __future__ import annotations

import math
from typing import Final

from rag.core.types import ChatRequest, Purpose, Usage
from rag.llm.schedule.charging import Demand

_BYTES_PER_TOKEN: Final = 4.0
_TOKENS_PER_MESSAGE: Final = 4
_LEARNING: Final = 0.05
_FIRST_FEW: Final = 1 / _LEARNING


class TokenForecast:
    """Of one model. The length of answers is learned for each purpose; until then it is ``max_tokens``."""

    def __init__(self) -> None:
        self._input_ratio = 1.0
        self._n_input = 0
        self._output: dict[Purpose, tuple[int, float]] = {}

    def demand(self, request: ChatRequest) -> Demand:
        n_input = math.ceil(self._raw_input(request) * self._input_ratio)
        _, mean = self._output.get(request.purpose, (0, float(request.max_tokens)))
        return Demand(n_input, math.ceil(min(mean, request.max_tokens)), request.max_tokens)

    def learn(self, request: ChatRequest, usage: Usage) -> None:
        """The plain mean at first, then the recent one."""
        if usage.input_tokens:
            self._n_input += 1
            ratio = min(4.0, usage.input_tokens / self._raw_input(request))
            self._input_ratio += (ratio - self._input_ratio) / min(self._n_input, _FIRST_FEW)
        n, mean = self._output.get(request.purpose, (0, 0.0))
        n += 1
        self._output[request.purpose] = (n, mean + (usage.output_tokens - mean) / min(n, _FIRST_FEW))

    @staticmethod
    def _raw_input(request: ChatRequest) -> float:
        n_bytes = sum(len(message.content.encode("utf-8", "replace")) for message in request.messages)
        return n_bytes / _BYTES_PER_TOKEN + _TOKENS_PER_MESSAGE * max(1, len(request.messages))
