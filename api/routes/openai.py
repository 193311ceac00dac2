"""``/v1/chat/completions``, ``/v1/models``, ``/v1/embeddings``: what OpenAI's clients call, with footnotes."""

from __future__ import annotations

import uuid
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from api.deps import Door
from api.disconnect import while_connected
from api.openai.errors import OpenAIError
from api.openai.names import knowledge_base, model_names, unknown_model
from api.openai.replies import Reply
from api.openai.requests import ChatCompletionRequest, EmbeddingsRequest
from api.openai.stream import Events, streamed
from api.openai.vectors import embeddings
from api.sse import EVENT_STREAM
from rag.core.errors import InvalidQuestion, UnknownKnowledgeBase
from rag.core.types import Answer, Final

_ERRORS: dict[int | str, dict[str, Any]] = {
    "default": {"model": OpenAIError, "description": "What went wrong, as OpenAI's API says it."}
}
router = APIRouter(tags=["OpenAI-compatible"], responses=_ERRORS)

CLIENT_CLOSED_REQUEST = 499


class ModelOut(BaseModel):
    id: str
    object: str = "model"
    created: int = 0
    owned_by: str = "footnote"


class ModelsOut(BaseModel):
    object: str = "list"
    data: list[ModelOut]


@router.post(
    "/v1/chat/completions",
    summary="Ask as with OpenAI's API",
    responses={
        200: {
            "description": "A `chat.completion`; with `stream` its chunks as an event stream.",
            "content": {
                "application/json": {"schema": {"type": "object"}},
                EVENT_STREAM: {
                    "schema": {"type": "string"},
                    "example": 'data: {"object": "chat.completion.chunk", "choices": [...]}\n\ndata: [DONE]\n\n',
                },
            },
        }
    },
)
async def chat_completions(asked: ChatCompletionRequest, footnote: Door, request: Request) -> Response:
    """The answer with its footnotes in the text, and each of them as an annotation of the message.

    `url_citation.url` opens the source in the web page, relative to the server; `start_index` and `end_index` are
    those of the sentence that the footnote supports, in characters. Beside the annotation's `url_citation` stands
    `footnote`, the citation as `/v1/ask` gives it. The reply's own `footnote` says whether it abstained, how sure
    it is, and what was passed over.
    """
    question, history = asked.conversation()
    kb = knowledge_base(asked.model, footnote)
    reply = Reply(
        uuid.uuid4().hex,
        asked.model,
        None if kb == footnote.settings.kb else kb,
        tuple(asked.notices()),
    )
    events = footnote.stream(question, kb=kb, history=history, trace_id=reply.trace_id)
    headers = {"x-request-id": reply.trace_id}
    try:
        if not asked.stream:
            answer = await while_connected(request, _last(events))
            return JSONResponse(reply.completion(answer), headers=headers)
        # What fails before the first event still gets a status of its own.
        first = await while_connected(request, anext(events))
    except ClientDisconnect:
        return Response(status_code=CLIENT_CLOSED_REQUEST)  # nobody reads it
    except UnknownKnowledgeBase as exc:
        raise unknown_model(asked.model) from exc
    except InvalidQuestion as exc:
        exc.fields["param"] = "messages"
        raise
    return StreamingResponse(
        streamed(first, events, reply, footnote.settings.store, with_usage=asked.wants_usage()),
        media_type=EVENT_STREAM,
        headers={**headers, "x-accel-buffering": "no"},
    )


@router.get("/v1/models", summary="List models", responses={200: {"model": ModelsOut}})
def list_models(footnote: Door) -> JSONResponse:
    """A knowledge base is a model, `footnote/NAME`; `footnote` alone is the default one. The encoder is one too."""
    return JSONResponse(ModelsOut(data=[ModelOut(id=name) for name in model_names(footnote)]).model_dump())


@router.get("/v1/models/{model:path}", summary="Show a model", responses={200: {"model": ModelOut}})
def show_model(model: str, footnote: Door) -> JSONResponse:
    if model not in model_names(footnote):
        raise unknown_model(model)
    return JSONResponse(ModelOut(id=model).model_dump())


@router.post(
    "/v1/embeddings",
    summary="Embed texts",
    responses={200: {"content": {"application/json": {"schema": {"type": "object"}}}}},
)
def create_embeddings(asked: EmbeddingsRequest, footnote: Door) -> JSONResponse:
    """Vectors of unit length from the encoder that searches, as numbers or as base64 of little-endian float32."""
    return JSONResponse(embeddings(asked, footnote))


async def _last(events: Events) -> Answer:
    answer: Answer | None = None
    async with aclosing(events):
        async for one in events:
            if isinstance(one, Final):
                answer = one.answer
    assert answer is not None  # the flow always ends with it
    return answer
