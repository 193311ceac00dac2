"""What each request costs: told with its usage, written to the ledger, kept within the budget."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from rag.core.errors import BudgetExceeded, ChatError, ChatTimeout, ContextOverflow
from rag.core.protocols import ChatModel
from rag.core.types import ChatEvent, ChatRequest, Delta, Done, Usage
from rag.llm.ledger import Ledger
from rag.llm.logs import log
from rag.llm.meter import Meter, NoMeter
from rag.llm.models import ModelInfo
from rag.llm.tokens import TiktokenCounter, count_request

_TYPICAL_OUTPUT_SHARE: Final = 0.5
"""Of max_tokens, for money that is set aside while a request is under way."""


@dataclass(frozen=True, slots=True)
class Budget:
    usd_per_day: float | None = None


class CostedChatModel:
    """Prices what the server says was used. Where it says nothing, or the stream breaks off, is closed or given up, it
    is counted here, so that nothing that was paid for goes missing. Raises ``BudgetExceeded`` before sending."""

    def __init__(
        self,
        inner: ChatModel,
        info: ModelInfo,
        *,
        ledger: Ledger | None = None,
        budget: Budget = Budget(),
        meter: Meter | None = None,
    ) -> None:
        self._inner, self._info, self._ledger, self._budget = inner, info, ledger, budget
        self._meter = meter or NoMeter()
        self.name, self.context_window = inner.name, inner.context_window
        if budget.usd_per_day is not None and not info.is_priced:
            log(
                f"No price of the chat model {self.name} is known, so no budget can stop it; put its prices into models_file.",
                level=logging.WARNING,
            )

    async def close(self) -> None:
        await self._inner.close()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        held_usd = self._hold(request)
        now = asyncio.get_running_loop().time
        began, outcome = now(), "ok"
        written: list[str] = []
        told: Usage | None = None
        is_open = True
        try:
            async with aclosing(self._inner.stream(request)) as events:  # type: ignore[type-var]
                async for event in events:
                    match event:
                        case Usage():
                            told = event if told is None else told + event
                            continue
                        case Delta():
                            if not written:
                                self._meter.time("chat_first_token_s", now() - began, model=self.name)
                            written.append(event.text)
                        case Done():
                            is_open = False
                            yield self._settle(request, told, written)
                    yield event
        except BaseException as exc:
            if is_open:
                outcome = _outcome(exc)
                if written or told is not None or _was_read(exc):
                    usage = self._settle(request, told, written)
                    if isinstance(exc, ChatError):
                        exc.fields["usage"] = usage
            raise
        finally:
            if held_usd and self._ledger is not None:
                self._ledger.hold(request.tenant, -held_usd)
            if outcome == "unsent":
                self._meter.count("chat_refused", reason="window")
            else:
                self._meter.count("chat_requests", model=self.name, outcome=outcome)
                self._meter.time("chat_latency_s", now() - began, model=self.name)

    def _settle(self, request: ChatRequest, told: Usage | None, written: list[str]) -> Usage:
        usage = self._completed(told or Usage(), request, written)
        usage = replace(usage, cost_usd=self._info.cost_usd(usage))
        for kind, n_tokens in (
            ("input", usage.input_tokens),
            ("output", usage.output_tokens),
            ("cached", usage.cached_tokens),
        ):
            self._meter.count("chat_tokens", n_tokens, model=self.name, kind=kind)
        self._meter.count("chat_cost_usd", usage.cost_usd, model=self.name, tenant=request.tenant)
        if self._ledger is not None:
            self._ledger.record(
                usage, tenant=request.tenant, key=request.key, model=self.name, purpose=request.purpose
            )
        return usage

    def _completed(self, told: Usage, request: ChatRequest, written: list[str]) -> Usage:
        """What the server said, and our count of what it left out."""
        counter = TiktokenCounter(self.name)
        usage = told
        if not told.input_tokens:
            usage = replace(usage, input_tokens=count_request(counter, request), estimated=True)
        if written and not told.output_tokens:
            usage = replace(usage, output_tokens=counter.count("".join(written)), estimated=True)
        return usage

    def _hold(self, request: ChatRequest) -> float:
        """Sets aside what the request will cost, so that many at once cannot overdraw together."""
        most_usd = self._budget.usd_per_day
        if most_usd is None or self._ledger is None:
            return 0.0
        spent_usd = self._ledger.spent_today_usd(request.tenant)
        if spent_usd >= most_usd:
            self._meter.count("chat_refused", reason="budget")
            tomorrow = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(
                days=1
            )
            raise BudgetExceeded(
                f"The budget of ${most_usd:g} for today is spent (${spent_usd:.4f}); the chat model answers again from "
                "midnight UTC, or raise budget_usd_per_day.",
                tenant=request.tenant,
                retry_after_s=(tomorrow - datetime.now(UTC)).total_seconds(),
            )
        n_input = sum(len(message.content) for message in request.messages) // 4
        n_output = int(request.max_tokens * _TYPICAL_OUTPUT_SHARE)
        cost_usd = self._info.cost_usd(Usage(n_input, n_output))
        self._ledger.hold(request.tenant, cost_usd)
        return cost_usd


def _outcome(exc: BaseException) -> str:
    if isinstance(exc, GeneratorExit | asyncio.CancelledError):
        return "closed"
    if isinstance(exc, ContextOverflow) and "status" not in exc.fields:
        return "unsent"
    return getattr(exc, "code", "error")


def _was_read(exc: BaseException) -> bool:
    """A server that its reader left, or that was given up for its silence, has the prompt and may ask for its price."""
    if isinstance(exc, ChatTimeout):
        return "status" not in exc.fields
    return isinstance(exc, GeneratorExit | asyncio.CancelledError)
