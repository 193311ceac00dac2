"""``/v1/documents``: what the knowledge base holds, uploads and removal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, File, Query, UploadFile
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.concurrency import run_in_threadpool

from api.deps import Door, InKnowledgeBase
from api.handlers import problem_response
from api.problems import problem, problem_of
from api.schemas import (
    DocumentOut,
    DocumentsResponse,
    RemovedResponse,
    UploadResponse,
    document_json,
)
from rag.core.errors import LoadError, StoreError, UnknownSource, UsageError
from rag.core.reports import SourceInfo
from rag.wiring import Footnote

router = APIRouter(prefix="/v1/documents", tags=["documents"])


@router.get("", summary="List documents", responses={200: {"model": DocumentsResponse}})
def list_documents(footnote: Door, kb: InKnowledgeBase = None) -> JSONResponse:
    """Every document of the knowledge base, the failed ones with their reason."""
    return JSONResponse({"documents": [_shown(info, footnote) for info in footnote.sources(kb=kb)]})


@router.post(
    "",
    summary="Upload documents",
    status_code=201,
    responses={
        201: {"model": UploadResponse},
        207: {"model": UploadResponse, "description": "Some were stored, some failed; each says which."},
    },
)
async def upload_documents(
    files: Annotated[
        list[UploadFile],
        File(description="One or many; a file name may hold folders (`hr/leave.md`)."),
    ],
    footnote: Door,
    kb: InKnowledgeBase = None,
) -> Response:
    """Stores the files and makes them searchable. A file of the same name takes the old one's place."""
    results: list[dict[str, Any]] = []
    for file in files:
        name = file.filename or ""
        try:
            info = await run_in_threadpool(footnote.add_upload, name, await file.read(), kb=kb)
            results.append({"name": name, "document": _shown(info, footnote)})
        except (LoadError, UsageError) as exc:
            results.append({"name": name, "error": problem_of(exc)})
        except StoreError as exc:
            if len(files) == 1:
                raise
            results.append({"name": name, "error": problem_of(exc)})
    return _upload_response(results)


@router.get("/{id}", summary="Show one document", responses={200: {"model": DocumentOut}})
def show_document(id: str, footnote: Door, kb: InKnowledgeBase = None) -> JSONResponse:
    return JSONResponse(_shown(_find(id, footnote, kb), footnote))


@router.get(
    "/{id}/content",
    summary="Read a document's text",
    response_class=PlainTextResponse,
    responses={200: {"content": {"text/plain": {"example": "Up to five days carry over."}}}},
)
def read_content(
    id: str,
    footnote: Door,
    kb: InKnowledgeBase = None,
    start: Annotated[int, Query(ge=0, description="First character.")] = 0,
    end: Annotated[int | None, Query(ge=0, description="One past the last character.")] = None,
) -> PlainTextResponse:
    """The canonical text that `start` and `end` of hits and citations count in; a stretch of it if asked."""
    text = footnote.document(id, kb=kb).text
    stop = len(text) if end is None else min(end, len(text))
    if start > len(text) or (end is not None and end < start):
        raise UsageError(
            f"Characters {start} to {end} are not in this document of {len(text)} characters; "
            "ask for a stretch inside it.",
            n_chars=len(text),
        )
    return PlainTextResponse(text[start:stop], headers={"x-document-chars": str(len(text))})


@router.delete("/{id}", summary="Remove a document", responses={200: {"model": RemovedResponse}})
def remove_document(id: str, footnote: Door, kb: InKnowledgeBase = None) -> JSONResponse:
    """Removes it from the knowledge base; what was uploaded is deleted, a file of an ingested folder stays."""
    info = _find(id, footnote, kb)  # an id, never a pattern
    kept = footnote.original(info.id, kb=kb) if _is_upload(info, footnote) else None
    removed = footnote.remove([info.id], kb=kb)
    if kept is not None:
        kept.unlink(missing_ok=True)
    return JSONResponse({"removed": removed})


def _find(id: str, footnote: Footnote, kb: str | None) -> SourceInfo:
    for info in footnote.sources(kb=kb):
        if info.id == id:
            return info
    raise UnknownSource(
        f"There is no document {id[:80]!r} in this knowledge base; GET /v1/documents lists them.", id=id[:80]
    )


def _shown(info: SourceInfo, footnote: Footnote) -> dict[str, Any]:
    # Where folders lie on the server's disk is nobody's business.
    shown = document_json(info)
    shown.pop("root")
    return {**shown, "uploaded": _is_upload(info, footnote)}


def _is_upload(info: SourceInfo, footnote: Footnote) -> bool:
    return Path(info.root).is_relative_to((footnote.settings.store / "uploads").resolve())


def _upload_response(results: list[dict[str, Any]]) -> Response:
    errors: list[dict[str, Any]] = [result["error"] for result in results if "error" in result]
    if not errors:
        return JSONResponse({"results": results}, 201)
    if len(results) == 1:
        return problem_response(errors[0])
    if len(errors) < len(results):
        return JSONResponse({"results": results}, 207)
    statuses = {error["status"] for error in errors}
    detail = f"None of the {len(results)} files could be stored; each says why."
    status = statuses.pop() if len(statuses) == 1 else 422
    return problem_response(problem(status, "upload-failed", detail, {"results": results}))
