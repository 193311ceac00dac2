"""``POST /v1/ask``: an answer with footnotes, at once or as it is verified."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import cast

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from api.deps import Door
from api.problems import problem_of, unexpected_problem
from api.schemas import AnswerOut, AskRequest, answer_json, released_json, retrieved_json
from api.sse import EVENT_STREAM, event
from rag.core.errors import FootnoteError
from rag.core.types import AnswerEvent, Final, Retrieved

router = APIRouter(tags=["questions"])

_STREAM_EXAMPLE = (
    'event: retrieved\ndata: {"mode": "hybrid", "sources": [...]}\n\n'
    'event: sentence\ndata: {"text": "... [1]", "citations": [1], "verdict": "supported", "footnotes": [...]}\n\n'
    'event: final\ndata: {"answer": "... [1]", ...}\n\n'
)


@router.post(
    "/v1/ask",
    summary="Ask a question",
    responses={
        200: {
            "model": AnswerOut,
            "description": "The answer; with `stream` an event stream that ends with it.",
            "content": {EVENT_STREAM: {"schema": {"type": "string"}, "example": _STREAM_EXAMPLE}},
        }
    },
)
async def ask(asked: AskRequest, footnote: Door, request: Request) -> Response:
    """An answer in which every sentence cites the documents, or that they do not say.

    With `stream: true` the reply is server-sent events: `retrieved` (the passages), a `sentence` each time
    one has been verified, `final` (the whole answer). An error after the first event comes as an `error` event.
    """
    events = footnote.stream(
        asked.question, filters=asked.filters.to_core(), kb=asked.kb, history=asked.messages()
    )
    if asked.stream:
        # What fails before the first event still gets a status of its own.
        first = await anext(aiter(events))
        return StreamingResponse(
            _stream(first, events, footnote.settings.store),
            media_type=EVENT_STREAM,
            headers={"x-accel-buffering": "no"},
        )
    final: Final | None = None
    async for one in events:
        if isinstance(one, Final):
            final = one
    assert final is not None  # the flow always ends with it
    return JSONResponse(answer_json(final.answer))


async def _stream(
    first: AnswerEvent, rest: AsyncIterator[AnswerEvent], log_folder: Path
) -> AsyncIterator[bytes]:
    try:
        yield _event(first)
        async for one in rest:
            yield _event(one)
    except FootnoteError as exc:
        yield event("error", problem_of(exc))
    except Exception as exc:
        yield event("error", unexpected_problem(exc, log_folder))
    finally:
        # A reader who leaves ends the flow, and with it the request to the chat server.
        await cast(AsyncGenerator[AnswerEvent, None], rest).aclose()


def _event(one: AnswerEvent) -> bytes:
    if isinstance(one, Retrieved):
        return event("retrieved", retrieved_json(one))
    if isinstance(one, Final):
        return event("final", answer_json(one.answer))
    return event("sentence", released_json(one))
