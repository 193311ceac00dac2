"""A reply as OpenAI's server-sent events: a chunk for each verified sentence, the footnotes, the end."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from api.openai.errors import openai_error
from api.openai.replies import Reply, finish_reason, footnotes, url_citations
from api.problems import problem_of, unexpected_problem
from rag.core.errors import FootnoteError
from rag.core.types import Answer, AnswerEvent, Citation, Final, Sentence

Events = AsyncGenerator[AnswerEvent, None]

_ITEM = re.compile(r"(?:[-*+]|\d{1,3}[.)])\s")


async def streamed(
    first: AnswerEvent, rest: Events, reply: Reply, log_folder: Path, *, with_usage: bool
) -> AsyncIterator[bytes]:
    """An error becomes the last event, without ``[DONE]``. Whoever stops reading ends the flow."""
    # Where the usage comes in a chunk of its own, the others say that they have none.
    none: dict[str, Any] = {"usage": None} if with_usage else {}
    deltas = Deltas(reply)
    # A reader who leaves ends the flow, and with it the request to the chat server.
    async with aclosing(rest):
        try:
            yield sse(reply.chunk({"role": "assistant", "content": ""}, **none))
            async for one in _all(first, rest):
                if isinstance(one, Sentence):
                    yield sse(reply.chunk(deltas.of(one), **none))
                elif isinstance(one, Final):
                    if left := deltas.rest(one.answer):
                        yield sse(reply.chunk({"content": left}, **none))
                    details = reply.details(one.answer)
                    yield sse(reply.chunk({}, finish_reason(one.answer), footnote=details, **none))
                    if with_usage:
                        yield sse(reply.usage_chunk(one.answer))
        except FootnoteError as exc:
            yield sse(openai_error(problem_of(exc)))
        except Exception as exc:
            yield sse(openai_error(unexpected_problem(exc, log_folder)))
        else:
            yield sse("[DONE]")


@dataclass(slots=True)
class Deltas:
    """The deltas of one reply, sentence by sentence. Together they are the message."""

    reply: Reply
    text: str = ""
    n_annotations: int = 0
    known: dict[int, Citation] = field(default_factory=dict)

    def of(self, event: Sentence) -> dict[str, Any]:
        self.known |= {citation.marker: citation for citation in event.citations}
        said = event.sentence
        between = ("\n" if _ITEM.match(said.text) else " ") if self.text else ""
        start = len(self.text) + len(between)
        delta: dict[str, Any] = {"content": between + said.text}
        self.text += between + said.text
        if found := list(url_citations(said, start, self.known, self.reply.kb)):
            # Streaming helpers join lists of objects by ``index``.
            delta["annotations"] = [{"index": self.n_annotations + i, **one} for i, one in enumerate(found)]
            self.n_annotations += len(found)
        return delta

    def rest(self, answer: Answer) -> str:
        """What is still to be said when the answer is complete."""
        return footnotes(answer) if self.text else answer.text + footnotes(answer)


def sse(data: Mapping[str, Any] | str) -> bytes:
    said = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    return f"data: {said}\n\n".encode()


async def _all(first: AnswerEvent, rest: Events) -> AsyncIterator[AnswerEvent]:
    yield first
    async for one in rest:
        yield one
