"""Makes a follow-up question stand alone with the chat model, and takes its word only where it invented nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from rag import lexicon
from rag.core.errors import ChatError
from rag.core.protocols import ChatModel
from rag.core.types import Attempts, ChatRequest, Delta, Message, Usage
from rag.llm.template import load_template
from rag.prompt import harmless
from rag.rewrite import leans, standalone
from rag.stems import is_in
from rag.terms import Terms, language_of, terms_of

PLACEHOLDERS: Final = ("history", "question")
_TURNS: Final = 6
_TURN_CHARS: Final = 800
_MAX_TOKENS: Final = 96
_MAX_CHARS: Final = 400
_TIMEOUT_S: Final = 8.0
_ATTEMPTS: Final = 2
"""Its own: the answer's are for the answer."""
_PLAIN: Final = ChatRequest(())
_LABEL = re.compile(
    r"^(?:(?:standalone|rewritten|umformulierte)\s+)?(?:question|frage)\s*:\s*", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Rewritten:
    question: str
    by: Literal["asked", "rule", "model"]
    """"asked": it stands alone as it is."""
    usage: Usage = field(default_factory=Usage)
    notice: str | None = None


async def rewritten(
    question: str,
    history: Sequence[Message],
    chat: ChatModel | None,
    like: ChatRequest = _PLAIN,
) -> Rewritten:
    """The question as it can be understood without the conversation. The model is asked only where the question
    leans on it; where it fails, is late or makes something up, the rule of ``rag.rewrite`` does it. ``like`` lends its
    tenant, priority, trace id and, if that is shorter than ours, its time-out."""
    if not any(turn.role == "user" for turn in history) or not leans(question):
        return Rewritten(question, "asked")
    by_rule = Rewritten(standalone(question, history), "rule")
    if chat is None:
        return by_rule
    system, user = load_template("rewrite", PLACEHOLDERS).filled(
        {"history": transcript(history[-_TURNS:], _TURN_CHARS), "question": harmless(question)}
    )
    request = replace(
        like,
        messages=(Message("system", system), Message("user", user)),
        temperature=0.0,
        max_tokens=_MAX_TOKENS,
        timeout_s=min(like.timeout_s, _TIMEOUT_S),
        purpose="rewrite",
        attempts=Attempts(_ATTEMPTS),
    )
    try:
        said, usage = await written(chat, request)
    except ChatError as exc:
        notice = (
            f"The follow-up question was made to stand alone by rule, because the chat model failed: {exc}"
        )
        return Rewritten(by_rule.question, "rule", notice=notice)
    alone = _tidied(said)
    if alone is None or invents(alone, question, history):
        return Rewritten(by_rule.question, "rule", usage)
    return Rewritten(alone, "model", usage)


async def written(chat: ChatModel, request: ChatRequest) -> tuple[str, Usage]:
    """All that a model answers. Raises ``ChatError``."""
    said, usage = "", Usage()
    async with aclosing(chat.stream(request)) as events:  # type: ignore[type-var]
        async for event in events:
            if isinstance(event, Delta):
                said += event.text
            elif isinstance(event, Usage):
                usage += event
    return said, usage


def transcript(turns: Sequence[Message], turn_chars: int | None = None) -> str:
    """A conversation as text that opens no turn of its own."""
    who = {"user": "Q", "assistant": "A"}
    shown = []
    for turn in turns:
        if turn.role in who:
            text = " ".join(harmless(turn.content).split())
            shown.append(f"{who[turn.role]}: {text if turn_chars is None else text[:turn_chars]}")
    return "\n".join(shown)


def invents(alone: str, question: str, history: Sequence[Message]) -> bool:
    """Whether a rewritten question lost something of the one asked, or says what nobody said."""
    told = " ".join(turn.content for turn in history if turn.role in ("user", "assistant"))
    language = language_of(f"{question} {told}")
    new, asked, known = (terms_of(text, language) for text in (alone, question, told))
    if not (asked.identifiers <= new.identifiers and _numbers(asked) <= _numbers(new)):
        return True
    if _dates(asked) - _dates(new) or bool(asked.negations) != bool(new.negations):
        return True
    lost = [stem for stem in asked.content if not is_in(stem, new.stems)]
    if lost and (asked.names & set(lost) or len(lost) * 4 > len(asked.content)):
        return True
    if not (
        new.identifiers <= asked.identifiers | known.identifiers
        and _numbers(new) <= _numbers(asked) | _numbers(known)
        and _dates(new) <= _dates(asked) | _dates(known)
    ):
        return True
    there = asked.stems | known.stems
    return any(not is_in(stem, there) and new.words[stem] not in lexicon.LIGHT_WORDS for stem in new.content)


def _numbers(terms: Terms) -> frozenset[str]:
    return frozenset(reading for quantity in terms.quantities for reading in quantity.readings)


def _dates(terms: Terms) -> set[tuple[int | None, int, int | None]]:
    return {(date.year, date.month, date.day) for date in terms.dates}


def _tidied(said: str) -> str | None:
    """The one line that is the question; None where there are more, or none."""
    lines = [line.strip() for line in said.strip().splitlines() if line.strip()]
    if len(lines) != 1:
        return None
    line = _LABEL.sub("", lines[0]).strip('"“”„«»*` ')
    return line if 0 < len(line) <= _MAX_CHARS and any(char.isalnum() for char in line) else None
