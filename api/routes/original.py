"""``GET /v1/documents/{id}/original``: the file that a document was read from."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import FileResponse

from api.deps import Door, InKnowledgeBase
from rag.core.errors import UnknownSource

PDF = "application/pdf"

router = APIRouter(prefix="/v1/documents", tags=["documents"])


@router.get(
    "/{id}/original",
    summary="Read the original file",
    response_class=FileResponse,
    responses={200: {"content": {PDF: {"schema": {"type": "string", "format": "binary"}}}}},
)
def read_original(id: str, footnote: Door, kb: InKnowledgeBase = None) -> FileResponse:
    """The bytes as they were ingested. A PDF opens in the browser (`#page=3`); every other file is a download."""
    path = footnote.original(id, kb=kb)
    info = next((one for one in footnote.sources(kb=kb) if one.id == id), None)
    if info is None:
        raise UnknownSource(
            f"There is no document {id[:80]!r} in this knowledge base; GET /v1/documents lists them.",
            id=id[:80],
        )
    if path is None:
        raise UnknownSource(
            f"The original file of {info.uri} is no longer where it was; its text is still at its content.",
            id=id[:80],
        )
    # Somebody's HTML or SVG, shown from our origin, could act in the name of whoever opens it.
    return FileResponse(
        path,
        media_type=info.media_type,
        filename=path.name,
        content_disposition_type="inline" if info.media_type == PDF else "attachment",
    )
