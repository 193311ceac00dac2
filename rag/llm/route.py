"""The right model for a request, and the next one when it fails: before its first delta or in the middle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final

from rag.core.errors import BudgetExceeded, ChatError, ContextOverflow, SettingsError
from rag.core.protocols import ChatModel
from rag.core.types import Attempts, ChatEvent, ChatRequest, Delta, Done, Switched, Usage
from rag.llm.meter import Meter, NoMeter
from rag.llm.resume import Seam, continued
from rag.llm.routing import Route, Rule, Tier, routed

_MIN_LEFT_S: Final = 0.05
_ENDING_S: Final = 0.25
_ENDING_SHARE: Final = 0.02
"""Kept of the time, to tell the reader how it ended before the reader's own deadline."""
_PATIENCE: Final = 0.6
"""Share of the time left that a silent model gets while another one can be asked."""
_STARTS_OVER: Final = "starts-over"


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
        deadline = now() + request.timeout_s - min(_ENDING_S, _ENDING_SHARE * request.timeout_s)
        route = routed(request, self._rule)
        waiting = sorted(self._candidates, key=lambda one: one.tier != route.tier)
        written: list[str] = []
        errors: list[ChatError] = []
        while True:
            one, *waiting = waiting
            share = Attempts(_share(request.attempts.left, 1 + len(waiting)))
            request.attempts.left -= share.left
            asked = replace(
                continued(request, "".join(written)) if written else request,
                model=one.model.name,
                timeout_s=deadline - now(),
                patience=min(request.patience, _PATIENCE) if waiting else request.patience,
                attempts=share,
            )
            seam = Seam("".join(written), known=_text(request)) if written else None
            reason = _STARTS_OVER
            try:
                async with aclosing(self._joined(one.model, asked, seam)) as events:
                    async for event in events:
                        if isinstance(event, Delta):
                            written.append(event.text)
                        elif isinstance(event, Done):
                            yield replace(event, route=_why(route, one.tier, len(self._candidates)))
                            return
                        yield event
            except ChatError as exc:
                errors.append(exc)
                reason = exc.code
                if isinstance(spent := exc.fields.get("usage"), Usage):
                    yield spent
                if isinstance(exc, BudgetExceeded):
                    waiting = []
                elif isinstance(exc, ContextOverflow):
                    window = one.model.context_window
                    waiting = [other for other in waiting if other.model.context_window > window]
            finally:
                request.attempts.left += share.left
            if not waiting or not request.attempts.left or deadline - now() < _MIN_LEFT_S:
                break
            self._meter.count("chat_fallbacks", rung="resumed" if written else "next-model")
            yield Switched(one.model.name, waiting[0].model.name, reason, resumed=bool(written))
        if not written:
            raise _told(errors)
        yield Done("interrupted", one.model.name, route=_why(route, one.tier, len(self._candidates)))

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


def _share(n_attempts: int, n_models: int) -> int:
    """The next model's share of the attempts: the others must not be left without."""
    return -(-n_attempts // n_models)


def _why(route: Route, tier: Tier, n_models: int) -> str:
    if n_models == 1:
        return "the only model"
    return route.reason if tier == route.tier else f"{tier} instead of {route.reason}"


def _text(request: ChatRequest) -> str:
    return "\n".join(message.content for message in request.messages)


def _told(errors: Sequence[ChatError]) -> ChatError:
    """The first model's error: it is the one that the user chose. An overflow tells least, where others failed too."""
    first = next((one for one in errors if not isinstance(one, ContextOverflow)), errors[0])
    fields = {name: value for name, value in first.fields.items() if name != "usage"}  # told already
    if len(errors) == 1:
        return type(first)(first.message, **fields)
    n_others = len(errors) - 1
    others = f"{n_others} other chat model{'s' * (n_others > 1)}"
    message = f"{first.message.rstrip('.')} ({others} failed too)."
    return type(first)(message, **fields, n_failed=len(errors))
