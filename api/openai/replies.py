"""Answers as OpenAI's clients read them: messages and chunks with annotations, footnotes in the text."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import urlencode

from api.schemas import citation_json, plain
from api.terminal import place
from rag.answer import ABSTENTION
from rag.core.plain import plain as without_markup
from rag.core.types import Answer, AnswerSentence, Citation

FinishReason = Literal["stop", "length", "content_filter"]

_QUOTE_CHARS: Final = 240
_CLOSEST: Final = "Closest in the documents:"
_FOOT = re.compile(rf"\n\n(?:{_CLOSEST}\n+|(?=- \[\d+\] ))(?:- [^\n]*(?:\n|\Z))+\Z")


@dataclass(frozen=True, slots=True)
class Reply:
    """What all parts of one reply have in common."""

    trace_id: str
    model: str
    """As it was asked for."""
    kb: str | None
    """For links; None where the default one needs no name."""
    notices: tuple[str, ...] = ()
    created: int = field(default_factory=lambda: int(time.time()))

    def completion(self, answer: Answer) -> dict[str, Any]:
        foot = footnotes(answer)
        message = {
            "role": "assistant",
            "content": answer.text + foot,
            "refusal": None,
            "annotations": _located(answer, self.kb),
        }
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason(answer)}
        return {
            **self._head("chat.completion"),
            "choices": [choice],
            "usage": usage(answer),
            "footnote": self.details(answer),
        }

    def chunk(
        self, delta: Mapping[str, Any], finish: FinishReason | None = None, **more: Any
    ) -> dict[str, Any]:
        choice = {"index": 0, "delta": dict(delta), "logprobs": None, "finish_reason": finish}
        return {**self._head("chat.completion.chunk"), "choices": [choice], **more}

    def usage_chunk(self, answer: Answer) -> dict[str, Any]:
        return {**self._head("chat.completion.chunk"), "choices": [], "usage": usage(answer)}

    def details(self, answer: Answer) -> dict[str, Any]:
        """What OpenAI's shape has no place for."""
        return {
            "abstained": answer.abstained,
            "confidence": answer.confidence,
            "mode": answer.mode,
            "model": answer.model,
            "closest": plain(answer.closest),
            "flags": list(answer.flags),
            "notices": [*self.notices, *answer.notices],
            "trace_id": answer.trace_id,
        }

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{self.trace_id}",
            "object": kind,
            "created": self.created,
            "model": self.model,
        }


def finish_reason(answer: Answer) -> FinishReason:
    if answer.abstained and answer.flags and answer.text != ABSTENTION:
        return "content_filter"  # a canned reply stands in place of what was asked, or answered
    return "length" if answer.truncated else "stop"


def usage(answer: Answer) -> dict[str, Any]:
    """Tokens of the chat model; none where the answer is made of quoted sentences."""
    used = answer.usage
    return {
        "prompt_tokens": used.input_tokens,
        "completion_tokens": used.output_tokens,
        "total_tokens": used.input_tokens + used.output_tokens,
        "prompt_tokens_details": {"cached_tokens": used.cached_tokens},
    }


def footnotes(answer: Answer) -> str:
    """What stands below an answer: a line for each citation, or where to look instead."""
    if answer.abstained:
        lines = [place(one.source, one.page, one.heading_path) for one in answer.closest]
        head = f"{_CLOSEST}\n\n"
    else:
        lines, head = [_footnote(citation) for citation in answer.citations], ""
    return f"\n\n{head}" + "\n".join(f"- {line}" for line in lines) if lines else ""


def without_footnotes(text: str) -> str:
    """An earlier answer as it was before its footnotes were put below it."""
    return _FOOT.sub("", text)


def url_citations(
    sentence: AnswerSentence, start: int, known: Mapping[int, Citation], kb: str | None
) -> Iterable[dict[str, Any]]:
    """One for each citation of a sentence that begins at ``start`` of the message."""
    for marker in sentence.citations:
        if (citation := known.get(marker)) is not None:
            yield {
                "type": "url_citation",
                "url_citation": {
                    "start_index": start,
                    "end_index": start + len(sentence.text),
                    "title": citation.title,
                    "url": source_url(citation, kb),
                },
                "footnote": citation_json(citation),
            }


def source_url(citation: Citation, kb: str | None) -> str:
    """Where the web page shows the quoted words, relative to the server."""
    query: dict[str, Any] = {"start": citation.start, "end": citation.end, **({"kb": kb} if kb else {})}
    return f"/#/source/{citation.source_id}?{urlencode(query)}"


def _located(answer: Answer, kb: str | None) -> list[dict[str, Any]]:
    known = {citation.marker: citation for citation in answer.citations}
    found: list[dict[str, Any]] = []
    at = 0
    for sentence in answer.sentences:
        at = answer.text.index(sentence.text, at)
        found += url_citations(sentence, at, known, kb)
        at += len(sentence.text)
    return found


def _footnote(citation: Citation) -> str:
    # A document must not bring images or links into a page that renders the answer.
    quote = " ".join(without_markup(citation.quote).split())
    if len(quote) > _QUOTE_CHARS:
        quote = quote[: _QUOTE_CHARS - 1].rstrip() + "…"
    where = place(citation.source, citation.page, [without_markup(one) for one in citation.heading_path])
    return f"[{citation.marker}] {where}: “{quote}”"
