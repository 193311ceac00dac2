"""``POST /v1/search``: the passages that fit a question best."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from api.deps import Door
from api.schemas import SearchRequest, SearchResponse, retrieval_json

router = APIRouter(tags=["questions"])


@router.post("/v1/search", summary="Find passages", responses={200: {"model": SearchResponse}})
def search(asked: SearchRequest, footnote: Door) -> JSONResponse:
    """The chunks that fit the question best, best first, each with its place in its document."""
    found = footnote.search(asked.question, k=asked.k, filters=asked.filters.to_core(), kb=asked.kb)
    return JSONResponse(retrieval_json(found))
