"""The right model for a request, and the next one when it fails: before its first delta or in the middle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final

from rag.core.errors import BudgetExceeded, ChatError, ContextOverflow, SettingsError
from rag.core.protocols import ChatModel
from rag.core.types import ChatEvent, ChatRequest, Delta, Done, Switched, Usage
from rag.llm.meter import Meter, NoMeter
from rag.llm.resume import Seam, continued
from rag.llm.routing import Rule, Tier, routed

_MIN_LEFT_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Candidate:
    model: ChatModel
    tier: Tier


class RoutedChatModel:
    """Tries the models of the tier that the rule names, then the others, within one deadline and one number of
    attempts. Where a model breaks off after its first delta, the next one is asked to go on; where none can, the
    answer ends with ``Done("interrupted")``. So after a delta there is never an error, and nothing is said twice.
    """

    def __init__(self, candidates: Sequence[Candidate], rule: Rule, *, meter: Meter | None = None) -> None:
        """Candidates in order of preference. Raises ``SettingsError`` if there is none."""
        if not candidates:
            raise SettingsError("No chat server is given; set llm_base_url or llm_servers.")
        self._candidates, self._rule, self._meter = tuple(candidates), rule, meter or NoMeter()
        self.name = candidates[0].model.name
        self.context_window = min(one.model.context_window for one in candidates)

    async def close(self) -> None:
        for one in self._candidates:
            await one.model.close()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        now = asyncio.get_running_loop().time
        deadline = now() + request.timeout_s
        route = routed(request, self._rule)
        order = sorted(self._candidates, key=lambda one: one.tier != route.tier)
        written: list[str] = []
        errors: list[ChatError] = []
        for n, one in enumerate(order):
            model = one.model
            more = n + 1 < len(order)
            asked = replace(
                continued(request, "".join(written)) if written else request,
                model=model.name,
                timeout_s=deadline - now(),
                patience=0.6 if more else request.patience,
            )
            seam = Seam("".join(written)) if written else None
            try:
                async with aclosing(self._joined(model, asked, seam)) as events:
                    async for event in events:
                        match event:
                            case Delta():
                                written.append(event.text)
                                yield event
                            case Done():
                                reason = (
                                    route.reason if one.tier == route.tier else f"{one.tier}: {route.reason}"
                                )
                                yield replace(event, route=event.route or reason)
                                return
                            case _:
                                yield event
                error: ChatError | None = None
            except ChatError as exc:
                error = exc
                errors.append(exc)
                if isinstance(spent := exc.fields.get("usage"), Usage):
                    yield spent
            goes_on = more and now() + _MIN_LEFT_S < deadline and request.attempts.left > 0
            if error is not None and not written and isinstance(error, BudgetExceeded):
                break
            if not goes_on:
                break
            to = order[n + 1].model.name
            self._meter.count("chat_fallbacks", rung="resumed" if written else "next-model")
            yield Switched(model.name, to, error.code if error else "starts-over", resumed=bool(written))
        if written:
            yield Done("interrupted", order[n].model.name, route=route.reason)
            return
        raise _told(errors)

    async def _joined(
        self, model: ChatModel, request: ChatRequest, seam: Seam | None
    ) -> AsyncGenerator[ChatEvent, None]:
        """The model's events, joined to what was written before; ends without ``Done`` if they cannot be."""
        async with aclosing(model.stream(request)) as events:  # type: ignore[type-var]
            async for event in events:
                if seam is None or not isinstance(event, Delta | Done):
                    yield event
                    continue
                text = seam.feed(event.text) if isinstance(event, Delta) else seam.close()
                if seam.starts_over:
                    return
                if text:
                    yield Delta(text)
                if isinstance(event, Done):
                    yield event


def _told(errors: Sequence[ChatError]) -> ChatError:
    """The first model's error: it is the one that the user chose. An overflow tells least, where others failed too."""
    first = next((one for one in errors if not isinstance(one, ContextOverflow)), errors[0])
    if len(errors) == 1:
        return first
    others = len(errors) - 1
    others_text = f"{others} other chat model{'s' * (others > 1)} failed too."
    return type(first)(f"{first.message} ({others_text})", **{**first.fields, "n_failed": len(errors)})
