"""What a batch will cost, before it is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rag.core.settings import Settings
from rag.core.types import Usage
from rag.llm.models import lookup

_FRAME_TOKENS: Final = 350
"""The prompt without its sources, and the question."""
_OUTPUT_TOKENS: Final = 120


@dataclass(frozen=True, slots=True)
class Estimate:
    model: str
    n_input_tokens: int
    """For one question."""
    n_output_tokens: int
    usd_each: float | None
    """None where the model's prices are not known."""

    def sentence(self, n_questions: int) -> str:
        tokens = f"about {self.n_input_tokens:,} + {self.n_output_tokens:,} tokens each to {self.model}"
        if self.usd_each is None:
            return (
                f"{n_questions:,} questions, {tokens}; its prices are not known, so costs count as 0 "
                "(models_file tells them)."
            )
        return f"{n_questions:,} questions, {tokens}: about {usd(self.usd_each * n_questions)}."


def estimated(settings: Settings) -> Estimate | None:
    """What one question typically takes, with the dearest of the models; None without a chat model.

    Answers that the documents do not hold, and those that the cache holds, cost nothing: it will rather be less.
    """
    servers = settings.chat_servers()
    if not servers:
        return None
    n_sources = min(settings.context_tokens, settings.context_hits * settings.chunk_tokens)
    n_input, n_output = _FRAME_TOKENS + n_sources, min(settings.answer_tokens, _OUTPUT_TOKENS)
    infos = [lookup(server.model, settings.models_file) for server in servers]
    info = max(infos, key=lambda one: one.cost_usd(Usage(n_input, n_output)))
    known = info.usd_input is not None or info.usd_output is not None
    return Estimate(info.name, n_input, n_output, info.cost_usd(Usage(n_input, n_output)) if known else None)


def usd(amount: float) -> str:
    return f"${amount:,.2f}" if amount >= 1 or amount == 0 else f"${amount:.4f}"
