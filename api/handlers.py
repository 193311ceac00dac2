"""Exceptions of the service as ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from api.problems import MEDIA_TYPE, problem, problem_of, status_problem
from api.schemas import validation_sentence
from rag.core.errors import FootnoteError

_NOT_JSON = ("json_invalid",)


def problem_response(found: dict[str, Any], headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse(found, found["status"], headers=headers, media_type=MEDIA_TYPE)


def add_handlers(app: FastAPI) -> None:
    app.exception_handler(FootnoteError)(_footnote_error)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(HTTPException)(_http)


async def _footnote_error(request: Request, exc: FootnoteError) -> JSONResponse:
    headers = {}
    if (wait_s := exc.fields.get("retry_after_s")) is not None:
        headers["retry-after"] = str(max(1, round(wait_s)))
    return problem_response(problem_of(exc), headers)


async def _invalid(request: Request, exc: RequestValidationError) -> JSONResponse:
    errors = exc.errors()
    if errors[0]["type"] in _NOT_JSON:
        why = errors[0].get("ctx", {}).get("error", "")
        detail = f"The request body is not JSON ({why} at character {errors[0]['loc'][-1]}); correct it."
        return problem_response(problem(400, "invalid-json", detail))
    if errors[0]["loc"] == ("body",) and isinstance(exc.body, bytes | type(None)):
        detail = "The request needs a JSON object as its body and Content-Type: application/json."
        return problem_response(problem(400, "invalid-json", detail))
    found = [
        {"at": ".".join(str(part) for part in error["loc"]), "message": error["msg"]} for error in errors[:20]
    ]
    return problem_response(
        problem(422, "invalid-request", f"{validation_sentence(errors)}; correct it.", {"errors": found})
    )


async def _http(request: Request, exc: HTTPException) -> JSONResponse:
    details = {
        404: f"There is nothing at {request.url.path[:200]}; /docs lists what there is.",
        405: f"{request.method} is not possible at {request.url.path[:200]}; /docs lists what is.",
        400: "The request body cannot be read; check its Content-Type and its form.",
    }
    if exc.status_code == 413:
        return problem_response(problem(413, "body-too-large", str(exc.detail)))
    found = status_problem(exc.status_code, details.get(exc.status_code, str(exc.detail)))
    return problem_response(found, dict(exc.headers or {}))
