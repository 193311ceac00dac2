"""The conversation before a question: as much of it as the model may see, and the question made to stand alone."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from rag.core.errors import ChatError
from rag.core.protocols import ChatModel
from rag.core.settings import Settings
from rag.core.types import Attempts, ChatRequest, Message, Usage
from rag.llm.template import Template, load_template
from rag.llm.tokens import EstimatedCounter, TiktokenCounter, count_messages
from rag.rewrite_model import Rewritten, rewritten, transcript, written

Counter = TiktokenCounter | EstimatedCounter
Exchange = tuple[Message, ...]
"""A question and what was answered."""

PLACEHOLDERS: Final = ("summary", "history", "max_words")
_SUMMARY_SHARE: Final = 3
"""Of the room for the history, the summary takes one part in so many …"""
_MAX_SUMMARY_TOKENS: Final = 400
_LEAST_SUMMARY_TOKENS: Final = 48
"""… and where that is less than this, the oldest turns are left out instead."""
_WORDS_PER_TOKEN: Final = 0.6
_ATTEMPTS: Final = 2
_PLAIN: Final = ChatRequest(())


@dataclass(frozen=True, slots=True)
class Conversation:
    history: tuple[Message, ...]
    """What the model is to see: the summary, where there is one, and the latest exchanges."""
    question: str
    """As it can be understood alone: what is searched for."""
    rewritten_by: Literal["asked", "rule", "model"] = "asked"
    summary: str | None = None
    n_left_out: int = 0
    """Oldest turns that are in neither."""
    notices: tuple[str, ...] = ()
    usage: Usage = field(default_factory=Usage)
    """Of rewriting and summing up."""


class Summaries:
    """Those that were made, by a hash of what they sum up; the least used go first."""

    def __init__(self, most: int = 512) -> None:
        self._most = most
        self._kept: OrderedDict[str, str] = OrderedDict()

    def get(self, key: str) -> str | None:
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def put(self, key: str, summary: str) -> None:
        self._kept[key] = summary
        self._kept.move_to_end(key)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)


_SUMMARIES: Final = Summaries()


async def prepared(
    history: Sequence[Message],
    question: str,
    chat: ChatModel | None,
    counter: Counter | None,
    window: int,
    settings: Settings,
    *,
    like: ChatRequest = _PLAIN,
    summaries: Summaries = _SUMMARIES,
) -> Conversation:
    """Both at once: rewriting the question, and making the history fit ``settings.history_share`` of the window.

    Without a chat model the history is not sent, so it stays whole. A model that fails costs a notice and nothing
    else: the rule rewrites, the oldest turns are left out. ``like`` lends its tenant, priority, trace id and time-out."""
    exchanges = exchanges_of(history)
    turns = tuple(turn for exchange in exchanges for turn in exchange)
    rewriting = rewritten(question, turns, None if settings.rewrite == "rule" else chat, like)
    if chat is None or counter is None:
        return _joined(await rewriting, _Fitted(turns))
    room = int(window * settings.history_share / (1 + counter.margin))
    alone, fitted = await asyncio.gather(
        rewriting, _fitted(exchanges, room, chat, counter, window, settings, like, summaries)
    )
    return _joined(alone, fitted)


def exchanges_of(history: Sequence[Message]) -> list[Exchange]:
    """Turns by question. What is no turn of the conversation (a system message, an empty one) is left out."""
    exchanges: list[list[Message]] = []
    for turn in history:
        if turn.role == "system" or not turn.content.strip():
            continue
        if turn.role == "user" or not exchanges:
            exchanges.append([])
        exchanges[-1].append(turn)
    return [tuple(exchange) for exchange in exchanges]


@dataclass(frozen=True, slots=True)
class _Fitted:
    history: tuple[Message, ...]
    summary: str | None = None
    n_left_out: int = 0
    notices: tuple[str, ...] = ()
    usage: Usage = field(default_factory=Usage)


def _joined(alone: Rewritten, fitted: _Fitted) -> Conversation:
    return Conversation(
        fitted.history,
        alone.question,
        alone.by,
        fitted.summary,
        fitted.n_left_out,
        (*fitted.notices, *([alone.notice] if alone.notice else [])),
        fitted.usage + alone.usage,
    )


async def _fitted(
    exchanges: Sequence[Exchange],
    room: int,
    chat: ChatModel,
    counter: Counter,
    window: int,
    settings: Settings,
    like: ChatRequest,
    summaries: Summaries,
) -> _Fitted:
    sizes = [count_messages(counter, exchange) for exchange in exchanges]
    if sum(sizes) <= room:
        return _Fitted(_turns(exchanges))
    truncated = _truncated(exchanges, sizes, room)
    n_tokens = min(room // _SUMMARY_SHARE, _MAX_SUMMARY_TOKENS)
    if settings.history_overflow != "summarize" or n_tokens < _LEAST_SUMMARY_TOKENS:
        return truncated
    template = load_template("summary", PLACEHOLDERS)
    writer = _Writer(chat, counter, window, template, n_tokens, like, summaries)
    cuts = _cuts(sizes, room - n_tokens - count_messages(counter, _as_turns("")))
    try:
        summary, usage = await writer.summary(exchanges, cuts)
    except ChatError as exc:
        notice = f"The beginning of the conversation was left out, because it could not be summed up: {exc}"
        return _Fitted(truncated.history, None, truncated.n_left_out, (notice,))
    kept = (*_as_turns(summary), *_turns(exchanges[cuts[-1] :]))
    if not summary or count_messages(counter, kept) > room:
        return _Fitted(truncated.history, None, truncated.n_left_out, truncated.notices, usage)
    return _Fitted(kept, summary, 0, (), usage)


def _truncated(exchanges: Sequence[Exchange], sizes: Sequence[int], room: int) -> _Fitted:
    first = 0
    while first < len(sizes) and sum(sizes[first:]) > room:
        first += 1
    n = sum(map(len, exchanges[:first]))
    notice = (
        f"The chat model did not see the first {n} turns of the conversation, which outgrew its share of the window; raise "
        "history_share, or set history_overflow to summarize."
    )
    return _Fitted(_turns(exchanges[first:]), None, n, (notice,))


def _cuts(sizes: Sequence[int], room: int) -> list[int]:
    """How many of the oldest exchanges were summed up each time the history outgrew its room, as it grew. Each time
    so many go that the rest fills half of it: so a summary serves for several turns."""
    cuts, first = [], 0
    for end in range(1, len(sizes) + 1):
        if sum(sizes[first:end]) <= room:
            continue
        while first < end - 1 and sum(sizes[first:end]) > room // 2:
            first += 1
        if sum(sizes[first:end]) > room:
            first = end
        cuts.append(first)
    return cuts


@dataclass(frozen=True, slots=True)
class _Writer:
    chat: ChatModel
    counter: Counter
    window: int
    template: Template
    n_tokens: int
    like: ChatRequest
    summaries: Summaries

    async def summary(self, exchanges: Sequence[Exchange], cuts: Sequence[int]) -> tuple[str, Usage]:
        """Of the exchanges before the last cut: made from the last summary that is at hand and what came after it."""
        before, done = "", 0
        for cut in reversed(cuts):
            kept = self.summaries.get(self._key(exchanges[:cut]))
            if kept is not None:
                before, done = kept, cut
                break
        if done == cuts[-1]:
            return before, Usage()
        said, usage = await written(self.chat, self._request(before, list(exchanges[done : cuts[-1]])))
        summary = " ".join(said.split())
        if summary:
            self.summaries.put(self._key(exchanges[: cuts[-1]]), summary)
        return summary, usage

    def _request(self, before: str, exchanges: list[Exchange]) -> ChatRequest:
        """With as many of the latest exchanges as the window takes."""
        most = int((self.window - self.n_tokens) / (1 + self.counter.margin))
        turn_chars: int | None = None
        while True:
            system, user = self.template.filled(
                {
                    "summary": before or "(nothing yet)",
                    "history": transcript(_turns(exchanges), turn_chars),
                    "max_words": str(int(self.n_tokens * _WORDS_PER_TOKEN)),
                }
            )
            messages = (Message("system", system), Message("user", user))
            if count_messages(self.counter, messages) <= most or (len(exchanges) == 1 and turn_chars == 0):
                break
            if len(exchanges) > 1:
                del exchanges[0]
            else:
                turn_chars = 0 if turn_chars is not None and turn_chars < 200 else (turn_chars or 16_000) // 2
        return replace(
            self.like,
            messages=messages,
            temperature=0.0,
            max_tokens=self.n_tokens,
            purpose="summary",
            attempts=Attempts(_ATTEMPTS),
        )

    def _key(self, exchanges: Sequence[Exchange]) -> str:
        hashed = hashlib.sha256(f"{self.template.version} {self.n_tokens}".encode())
        for turn in _turns(exchanges):
            hashed.update(f"\0{turn.role}\0{turn.content}".encode("utf-8", "surrogatepass"))
        return hashed.hexdigest()


def _as_turns(summary: str) -> Exchange:
    """A pair, because templates of many models want questions and answers by turns."""
    return (
        Message("user", f"Summary of our conversation so far: {summary}"),
        Message("assistant", "Understood."),
    )


def _turns(exchanges: Sequence[Exchange]) -> tuple[Message, ...]:
    return tuple(turn for exchange in exchanges for turn in exchange)
