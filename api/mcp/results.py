"""What the tools give back: data for programs, and the same as text for a model to read."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, Field

from api.schemas import AnswerOut, SearchResponse
from api.terminal import place
from rag.core.errors import UsageError
from rag.core.types import Block, Document

MOST_CHARS: Final = 20_000


class OpenedSource(BaseModel):
    source_id: str
    source: str
    title: str
    n_chars: int = Field(description="Of the whole document.")
    page: int | None
    heading_path: list[str]
    start: int
    end: int = Field(description="One past the last character; less than asked for where `truncated`.")
    before: str = Field(description="The text just before the span.")
    text: str = Field(description="The document's text from start to end, to the character.")
    after: str
    truncated: bool = Field(description="There is more of what was asked for: go on at `end`.")


class ListedSource(BaseModel):
    id: str
    source: str
    title: str
    type: str
    state: str
    n_chunks: int
    modified_at: str
    reason: str | None = Field(description="Why it failed.")


class ListedSources(BaseModel):
    knowledge_base: str
    knowledge_bases: list[str] = Field(description="All there are.")
    n_sources: int = Field(description="All that match; `sources` is a page of them.")
    sources: list[ListedSource]


def opened(document: Document, start: int, end: int | None, context_chars: int) -> OpenedSource:
    """Raises ``UsageError`` for a span that is not in the document."""
    text, n_chars = document.text, len(document.text)
    stop = n_chars if end is None else min(end, n_chars)
    if start > n_chars or (end is not None and end < start):
        raise UsageError(
            f"Characters {start} to {end} are not in this document of {n_chars} characters; ask for a span inside it."
        )
    cut = min(stop, start + MOST_CHARS)
    block = _block_at(document.blocks, start)
    return OpenedSource(
        source_id=document.source.id,
        source=document.source.uri,
        title=document.source.title,
        n_chars=n_chars,
        page=block.page if block else None,
        heading_path=list(block.heading_path) if block else [],
        start=start,
        end=cut,
        before=text[max(0, start - context_chars) : start],
        text=text[start:cut],
        after=text[cut : cut + context_chars],
        truncated=cut < stop,
    )


def _block_at(blocks: tuple[Block, ...], start: int) -> Block | None:
    return next((block for block in blocks if block.end > start), None)


def opened_text(found: OpenedSource) -> str:
    where = place(found.source, found.page, found.heading_path)
    head = (
        f"{where} (source_id {found.source_id}), characters {found.start} to {found.end} of {found.n_chars}:"
    )
    parts = [head, found.text]
    if found.before:
        parts.insert(1, f"[before]\n{found.before}\n[the span]")
    if found.after:
        parts.append(f"[after]\n{found.after}")
    if found.truncated:
        parts.append(f"[there is more; go on with start={found.end}]")
    return "\n\n".join(parts)


def hits_text(found: SearchResponse) -> str:
    lines = []
    for hit in found.hits:
        where = place(hit.source, hit.page, hit.heading_path)
        lines.append(
            f"{hit.rank}. {where} (source_id {hit.source_id}, characters {hit.start} to {hit.end})\n{hit.text}"
        )
    return "\n\n".join([*(lines or ["Nothing found."]), *found.notices])


def answer_text(found: AnswerOut) -> str:
    lines = [found.answer]
    for one in found.citations:
        where = place(one.source, one.page, one.heading_path)
        at = f"source_id {one.source_id}, characters {one.start} to {one.end}"
        lines.append(f"[{one.marker}] {where} ({at}): “{one.quote}”")
    if found.abstained and found.closest:
        lines.append("Closest in the documents:")
        lines += [f"- {place(one.source, one.page, one.heading_path)}" for one in found.closest]
    return "\n\n".join([*lines, *found.notices])


def sources_text(found: ListedSources) -> str:
    lines = [f"{found.n_sources} sources in the knowledge base {found.knowledge_base}:"]
    lines += [
        f"- {one.source} (source_id {one.id}, {one.title})"
        + (f", failed: {one.reason}" if one.reason else "")
        for one in found.sources
    ]
    if len(found.sources) < found.n_sources:
        lines.append(f"{len(found.sources)} of them are listed here.")
    return "\n".join(lines)
