"""The JSON of Footnote: one shape for HTTP, ``--json`` and batch files."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import to_jsonable_python

from rag.core.errors import UsageError
from rag.core.types import (
    Answer,
    AnswerSentence,
    Citation,
    Filters,
    Hit,
    Message,
    Retrieval,
    Retrieved,
    Sentence,
)

KnowledgeBaseName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$", description="Knowledge base.")
]


class FiltersIn(BaseModel):
    """Which documents a question may see; every field that is given must hold."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"source": "hr/**", "type": "pdf", "after": "2024-01-01", "meta.author": "Dana Ruiz"}
            ],
            "patternProperties": {
                r"^meta\..+$": {"type": "string", "description": "Value of a front-matter key."}
            },
        },
    )

    source: str | None = Field(default=None, description="Glob on the document's path; `**` crosses folders.")
    type: str | None = Field(
        default=None, description="Media type (`application/pdf`) or file ending (`pdf`)."
    )
    after: str | None = Field(default=None, description="ISO date: only documents dated on or after it.")
    before: str | None = Field(default=None, description="ISO date: only documents dated before it.")
    heading: str | None = Field(default=None, description="Part of a heading above the passage, any case.")
    meta: dict[str, str] = Field(
        default={}, description="Front-matter key → value; `meta.KEY` says the same."
    )

    @model_validator(mode="before")
    @classmethod
    def _gather_meta(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        dotted = {key[5:]: value for key, value in data.items() if str(key).startswith("meta.") and key[5:]}
        if not dotted:
            return data
        rest = {key: value for key, value in data.items() if not (str(key).startswith("meta.") and key[5:])}
        meta = rest.get("meta") or {}
        return {**rest, "meta": {**meta, **dotted}} if isinstance(meta, dict) else rest

    @field_validator("meta", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {
            key: json.dumps(item) if isinstance(item, bool | int | float) else item
            for key, item in value.items()
        }

    @field_validator("after", "before")
    @classmethod
    def _iso_date(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                datetime.fromisoformat(value)
            except ValueError:
                raise ValueError(f"{value!r} is not an ISO date such as 2026-01-31") from None
        return value

    def to_core(self) -> Filters:
        return Filters(**self.model_dump())


class SearchRequest(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"question": "How many vacation days can I carry over?", "k": 3}]},
    )

    question: str
    k: int | None = Field(
        default=None, ge=1, le=1000, description="Hits to return; the setting `top_k` otherwise."
    )
    kb: KnowledgeBaseName | None = None
    filters: FiltersIn = FiltersIn()


class MessageIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    role: Literal["user", "assistant"]
    content: str


class AskRequest(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"question": "How many vacation days can I carry over?"},
                {
                    "question": "And in Germany?",
                    "history": [{"role": "user", "content": "How many vacation days can I carry over?"}],
                    "filters": {"source": "hr/**"},
                    "stream": True,
                },
            ]
        },
    )

    question: str
    kb: KnowledgeBaseName | None = None
    filters: FiltersIn = FiltersIn()
    history: list[MessageIn] = Field(default=[], max_length=100, description="Earlier turns, oldest first.")
    stream: bool = Field(
        default=False, description="Answer with server-sent events: `retrieved`, `sentence`…, `final`."
    )

    def messages(self) -> tuple[Message, ...]:
        return tuple(Message(turn.role, turn.content) for turn in self.history)


class BatchLine(BaseModel):
    """One line of a batch file. Other keys are passed over, so that question sets can be run as they are."""

    id: str | int | None = None
    question: str
    k: int | None = Field(default=None, ge=1, le=1000)
    kb: KnowledgeBaseName | None = None
    filters: FiltersIn | None = None


class HitOut(BaseModel):
    rank: int = Field(description="From 1, best first.")
    score: float = Field(description="Higher is better; comparable within one result only.")
    source: str = Field(description="Path relative to the ingested folder.")
    source_id: str
    title: str
    page: int | None
    heading_path: list[str]
    start: int = Field(description="First character in the document's canonical text.")
    end: int = Field(description="One past the last character.")
    text: str
    origin: dict[str, float] = Field(description="What each retriever said of it.")


class SearchResponse(BaseModel):
    question: str
    hits: list[HitOut]
    mode: Literal["hybrid", "dense", "lexical"]
    notices: list[str]
    timings_ms: dict[str, float]


class SentenceOut(BaseModel):
    text: str
    citations: list[int] = Field(description="Markers of the citations that support it.")
    verdict: str


class CitationOut(BaseModel):
    marker: int
    source: str
    source_id: str
    title: str
    page: int | None
    heading_path: list[str]
    start: int
    end: int
    quote: str = Field(description="The document's text from start to end, to the character.")
    verdict: str


class ClosestOut(BaseModel):
    source: str
    title: str
    page: int | None
    heading_path: list[str]


class DroppedOut(BaseModel):
    source: str
    start: int
    end: int
    n_tokens: int


class UsageOut(BaseModel):
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    estimated: bool


class SwitchedOut(BaseModel):
    from_model: str
    to_model: str
    reason: str = Field(description="Code of the error.")
    resumed: bool = Field(description="In the middle of the answer.")


class AnswerOut(BaseModel):
    answer: str
    abstained: bool
    confidence: float = Field(description="Probability that the sources hold the answer.")
    mode: Literal["llm", "extractive", "canned"]
    sentences: list[SentenceOut]
    citations: list[CitationOut]
    closest: list[ClosestOut] = Field(description="Where to look instead, when it abstained.")
    withheld: list[SentenceOut] = Field(description="Sentences the model wrote that no source supports.")
    unknown_markers: int = Field(description="Markers that pointed at no source; removed.")
    notices: list[str]
    dropped: list[DroppedOut] = Field(description="Passages that did not fit into the prompt.")
    usage: UsageOut
    cost_usd: float
    timings_ms: dict[str, float]
    trace_id: str
    prompt_version: str | None
    chat_error: str | None = Field(
        description="Code of the chat model's error, where the answer does without it or stops early."
    )
    model: str | None = Field(description="The chat model that wrote it.")
    route: str | None = Field(description="Why that model.")
    switched: list[SwitchedOut] = Field(description="Models that failed on the way, and what took over.")
    truncated: bool = Field(description="It ends early.")
    cached: bool = Field(description="The chat model's reply came from the cache.")
    flags: list[str] = Field(description="What moderation objected to.")
    injected_instructions: int = Field(description="Orders to a model that the sources hold; passed over.")


class DocumentOut(BaseModel):
    id: str
    source: str = Field(description="Path relative to the ingested folder.")
    uploaded: bool = Field(description="It came over HTTP, not from an ingested folder.")
    title: str
    type: str = Field(description="Media type.")
    state: Literal["live", "words-only", "updating", "failed"]
    n_chunks: int
    size_bytes: int
    modified_at: str
    ingested_at: str | None
    reason: str | None = Field(description="Why it failed.")
    warnings: list[str]
    metadata: dict[str, str | int | float | bool]


class Problem(BaseModel):
    """An error, as RFC 9457 has it."""

    type: str
    title: str
    status: int
    detail: str = Field(description="What happened, to what, and what to do, in one sentence.")
    code: str
    fields: dict[str, Any] = {}


class DocumentsResponse(BaseModel):
    documents: list[DocumentOut]


class UploadResult(BaseModel):
    name: str
    document: DocumentOut | None = None
    error: Problem | None = None


class UploadResponse(BaseModel):
    results: list[UploadResult]


class RemovedResponse(BaseModel):
    removed: list[str] = Field(description="Paths of what was removed.")


def hit_json(rank: int, hit: Hit) -> dict[str, Any]:
    return {
        "rank": rank,
        "score": hit.score,
        "source": hit.source.uri,
        "source_id": hit.source.id,
        "title": hit.source.title,
        "page": hit.chunk.page,
        "heading_path": list(hit.chunk.heading_path),
        "start": hit.chunk.start,
        "end": hit.chunk.end,
        "text": hit.chunk.text,
        "origin": dict(hit.origin),
    }


def hits_json(retrieval: Retrieval) -> list[dict[str, Any]]:
    return [hit_json(rank, hit) for rank, hit in enumerate(retrieval.hits, 1)]


def retrieval_json(retrieval: Retrieval) -> dict[str, Any]:
    return {
        "question": retrieval.question,
        "hits": hits_json(retrieval),
        "mode": retrieval.mode,
        "notices": list(retrieval.notices),
        "timings_ms": dict(retrieval.timings_ms),
    }


def sentence_json(sentence: AnswerSentence) -> dict[str, Any]:
    return {
        "text": sentence.text,
        "citations": list(sentence.citations),
        "verdict": sentence.verdict.value,
    }


def citation_json(citation: Citation) -> dict[str, Any]:
    return {
        "marker": citation.marker,
        "source": citation.source,
        "source_id": citation.source_id,
        "title": citation.title,
        "page": citation.page,
        "heading_path": list(citation.heading_path),
        "start": citation.start,
        "end": citation.end,
        "quote": citation.quote,
        "verdict": citation.verdict.value,
    }


def answer_json(answer: Answer) -> dict[str, Any]:
    return {
        "answer": answer.text,
        "abstained": answer.abstained,
        "confidence": answer.confidence,
        "mode": answer.mode,
        "sentences": [sentence_json(sentence) for sentence in answer.sentences],
        "citations": [citation_json(citation) for citation in answer.citations],
        "closest": plain(answer.closest),
        "withheld": [sentence_json(sentence) for sentence in answer.withheld],
        "unknown_markers": answer.unknown_markers,
        "notices": list(answer.notices),
        "dropped": plain(answer.dropped),
        "usage": {name: value for name, value in plain(answer.usage).items() if name != "cost_usd"},
        "cost_usd": answer.cost_usd,
        "timings_ms": dict(answer.timings_ms),
        "trace_id": answer.trace_id,
        "prompt_version": answer.prompt_version,
        "chat_error": answer.chat_error,
        "model": answer.model,
        "route": answer.route,
        "switched": plain(answer.switched),
        "truncated": answer.truncated,
        "cached": answer.cached,
        "flags": list(answer.flags),
        "injected_instructions": answer.injected_instructions,
    }


def retrieved_json(event: Retrieved) -> dict[str, Any]:
    """What a stream tells before the first sentence: the passages that the answer may cite."""
    return {
        "mode": event.retrieval.mode,
        "notices": list(event.retrieval.notices),
        "sources": [
            {
                "marker": packed.number,
                "source": packed.source.uri,
                "source_id": packed.source.id,
                "title": packed.source.title,
                "page": packed.page,
                "heading_path": list(packed.heading_path),
                "start": packed.start,
                "end": packed.end,
            }
            for packed in event.packed.sources
        ],
        "dropped": plain(event.packed.dropped),
    }


def released_json(event: Sentence) -> dict[str, Any]:
    return {
        **sentence_json(event.sentence),
        "citations": list(event.sentence.citations),
        "footnotes": [citation_json(citation) for citation in event.citations],
    }


def document_json(info: Any) -> dict[str, Any]:
    """A ``SourceInfo`` with the names that hits and filters use: ``source`` and ``type``."""
    row: dict[str, Any] = plain(info)
    return {
        "id": row.pop("id"),
        "source": row.pop("uri"),
        "root": row.pop("root"),
        "title": row.pop("title"),
        "type": row.pop("media_type"),
        **row,
    }


def plain(value: Any) -> Any:
    """Dataclasses, tuples, enums and paths as JSON knows them."""
    return to_jsonable_python(value)


def filters_from(values: dict[str, Any]) -> Filters:
    """Filters as users write them. Raises ``UsageError``."""
    try:
        return FiltersIn.model_validate(values).to_core()
    except ValidationError as exc:
        raise UsageError(f"{validation_sentence(exc.errors(), 'The filter')}; correct it.") from exc


def validation_sentence(errors: Any, subject: str = "The request") -> str:
    """The first finding of a validation in words, and how many more there are."""
    first = errors[0]
    place = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
    message = str(first["msg"]).removeprefix("Value error, ")
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return (
        f"{subject} is not valid{f' at {place}' if place else ''}: {message[:1].lower()}{message[1:]}{more}"
    )
