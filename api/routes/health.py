"""``/healthz`` (the process lives) and ``/readyz`` (it can answer)."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from api.deps import Asker
from api.handlers import problem_response
from api.problems import problem_of
from rag.core.errors import FootnoteError
from rag.wiring import Footnote

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="Is it alive?")
def healthz() -> dict[str, str]:
    return {"status": "ok", "version": version("footnote")}


@router.get("/readyz", summary="Can it answer?")
def readyz(request: Request, who: Asker) -> JSONResponse:
    """503 with the reason while the store cannot be read. What it holds is told to its administrators."""
    footnote: Footnote = request.app.state.footnote
    try:
        status = footnote.seen_by(who.tenant, who.groups).status()
    except FootnoteError as exc:
        return problem_response({**problem_of(exc), "status": 503})
    if not who.may("admin"):
        return JSONResponse({"status": "ready"})
    chunks = {kb.name: kb.n_chunks for kb in status.knowledge_bases}
    return JSONResponse({"status": "ready", "chunks": chunks, "writer_active": status.writer_active})
