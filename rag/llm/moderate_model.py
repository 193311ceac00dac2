"""Moderation by a chat model: one short request, and an answer that is read strictly."""

from __future__ import annotations

import re
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from rag.core.errors import ChatError
from rag.core.protocols import ChatModel
from rag.core.types import Attempts, ChatRequest, Delta, Message, Usage
from rag.llm.moderate import PLAIN, Judgement, Where
from rag.llm.template import Template, load_template

PLACEHOLDERS: Final = ("text", "where")
CATEGORIES: Final = frozenset(["self-harm", "violence", "sexual-minors", "hate", "illicit"])
_MAX_CHARS: Final = 12_000
"""Longer texts are judged in pieces."""
_MAX_TOKENS: Final = 32
_ATTEMPTS: Final = 2
_FENCE = re.compile(r"<(?=\s*/?\s*text\b)", re.IGNORECASE)


class ModelModerator:
    def __init__(self, chat: ChatModel, *, timeout_s: float = 10.0, template: Template | None = None) -> None:
        self._chat, self._timeout_s = chat, timeout_s
        self._template = template or load_template("moderation", PLACEHOLDERS)

    async def judge(self, text: str, where: Where, like: ChatRequest = PLAIN) -> Judgement:
        """The first piece of a text that is flagged decides. A model that fails or chatters flags nothing."""
        usage = Usage()
        for start in range(0, len(text), _MAX_CHARS):
            piece = text[start : start + _MAX_CHARS]
            try:
                said, used = await self._ask(piece, where, like)
            except ChatError as exc:
                return Judgement(
                    False, by="model", usage=usage, notice=f"The {where} was not moderated: {exc}"
                )
            usage += used
            broken = verdict_of(said)
            if broken is None:
                return Judgement(
                    False,
                    by="model",
                    usage=usage,
                    notice=f"The {where} was not moderated: the model gave no verdict.",
                )
            if broken:
                return Judgement(True, broken, 1.0, "model", usage=usage)
        return Judgement(False, by="model", usage=usage)

    async def _ask(self, text: str, where: Where, like: ChatRequest) -> tuple[str, Usage]:
        system, user = self._template.filled(
            {"text": _FENCE.sub("‹", text), "where": "a question" if where == "question" else "an answer"}
        )
        request = replace(
            like,
            messages=(Message("system", system), Message("user", user)),
            temperature=0.0,
            max_tokens=_MAX_TOKENS,
            timeout_s=min(like.timeout_s, self._timeout_s),
            purpose="moderation",
            attempts=Attempts(_ATTEMPTS),
        )
        said, usage = "", Usage()
        async with aclosing(self._chat.stream(request)) as events:  # type: ignore[type-var]
            async for event in events:
                if isinstance(event, Delta):
                    said += event.text
                elif isinstance(event, Usage):
                    usage += event
        return said, usage


def verdict_of(said: str) -> tuple[str, ...] | None:
    """The broken rules that a model names, () for "ok"; None where it says something else."""
    words = re.sub(r"[\"'`*.]", "", said).strip().lower().splitlines()
    names = [name.strip() for name in words[0].removeprefix("verdict:").split(",")] if words else []
    if names == ["ok"]:
        return ()
    return tuple(names) if names and CATEGORIES.issuperset(names) else None
