"""The HTTP service: one ``Footnote`` for its life, routes over it, problems for everything that goes wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.middleware.cors import CORSMiddleware

from api.auth.guard import KeyGuard
from api.auth.store import KeyStore
from api.body_limit import BodyLimit
from api.boundary import Boundary
from api.guard import OriginGuard, is_loopback
from api.handlers import add_handlers
from api.metrics import PrometheusMeter
from api.openai.errors import OpenAIErrors
from api.problems import MEDIA_TYPE
from api.quotas import Quotas
from api.routes import ask, documents, health, jobs, metrics, openai, original, reference, search, web
from api.schemas import Problem
from rag.core.settings import Settings
from rag.wiring import Footnote, open_footnote

JSON_LIMIT_BYTES = 1 << 20
MULTIPART_OVERHEAD_BYTES = 1 << 16

DESCRIPTION = (
    "Answers questions from your own documents; every sentence carries a verified footnote. "
    "Offsets count characters of a document's canonical text. Errors are RFC 9457 problems."
)


def create_app(settings: Settings, footnote: Footnote | None = None) -> FastAPI:
    """The service over an open store, or over one that it opens when it starts and closes when it ends."""

    keys, quotas = KeyStore(settings.store), Quotas(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            if footnote is not None:
                app.state.footnote = footnote
                yield
                await footnote.aclose()
                return
            meter = PrometheusMeter()
            with await run_in_threadpool(open_footnote, settings, create=True, meter=meter) as opened:
                app.state.footnote = opened
                yield
                await opened.aclose()
        finally:
            keys.close()
            quotas.close()

    app = FastAPI(
        title="Footnote",
        version=version("footnote"),
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses={
            "default": {
                "description": "What went wrong.",
                "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
            }
        },
    )
    app.state.quotas = quotas
    add_handlers(app)
    for module in (search, ask, jobs, documents, openai, health, metrics, reference, original, web):
        app.include_router(module.router)
    app.openapi_schema = _with_problem(app)

    upload_bytes = int(settings.max_upload_mb * (1 << 20)) + MULTIPART_OVERHEAD_BYTES

    def limit_bytes(path: str) -> int:
        return upload_bytes if path == "/v1/documents" else JSON_LIMIT_BYTES

    # The last one added is the outermost.
    app.add_middleware(BodyLimit, limit_bytes=limit_bytes)
    app.add_middleware(
        KeyGuard, keys=keys, quotas=quotas, open_without_keys=settings.insecure or is_loopback(settings.host)
    )
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["*"],
            expose_headers=["location", "ratelimit", "ratelimit-policy", "retry-after"],
        )
    app.add_middleware(OriginGuard, host=settings.host, origins=frozenset(settings.cors_origins))
    app.add_middleware(Boundary, log_folder=settings.store)
    app.add_middleware(OpenAIErrors)  # the outermost: it says the others' problems in OpenAI's shape
    return app


def _with_problem(app: FastAPI) -> dict[str, object]:
    schema = app.openapi()
    schema.setdefault("components", {}).setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
    return schema
