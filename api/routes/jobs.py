"""``/v1/batches``: thousands of questions, answered beside the service."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from api.deps import Asker
from api.job_store import Job
from api.jobs import Jobs
from api.quotas import Quotas
from api.schemas import FiltersIn, KnowledgeBaseName, Problem, validation_sentence
from rag.core.errors import UsageError

MAX_QUESTIONS = 10_000
JSON_LINES = "application/x-ndjson"


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    jobs = Jobs(app.state.footnote)
    app.state.jobs = jobs
    async with jobs.at_work():
        yield


router = APIRouter(prefix="/v1/batches", tags=["batches"], lifespan=_lifespan)


class BatchIn(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "questions": [
                        "How many vacation days can I carry over?",
                        {"id": 2, "question": "And who approves?"},
                    ]
                }
            ]
        },
    )

    questions: list[str | dict[str, Any]] = Field(
        min_length=1,
        max_length=MAX_QUESTIONS,
        description="Questions, or objects as the lines of a batch file.",
    )
    kb: KnowledgeBaseName | None = None
    filters: FiltersIn | None = Field(default=None, description="For all that have none of their own.")

    def lines(self) -> list[str]:
        common: dict[str, Any] = {}
        if self.kb:
            common["kb"] = self.kb
        if self.filters:
            common["filters"] = self.filters.model_dump(exclude_defaults=True)
        asked = [{"question": one} if isinstance(one, str) else one for one in self.questions]
        return [json.dumps({**common, **one}, ensure_ascii=False) for one in asked]


class BatchError(BaseModel):
    line: int
    detail: str


class BatchOut(BaseModel):
    id: str
    state: str = Field(description="`queued`, `running`, `done` or `cancelled`.")
    made_at: str
    ended_at: str | None
    n_lines: int
    n_answered: int = Field(description="The failed ones too.")
    n_failed: int
    cost_usd: float
    errors: list[BatchError] = Field(default=[], description="The first lines that failed.")
    waiting: Problem | None = Field(default=None, description="Why it does not go on for now.")


class BatchesOut(BaseModel):
    batches: list[BatchOut]


def _jobs(request: Request) -> Jobs:
    jobs: Jobs = request.app.state.jobs
    return jobs


AllJobs = Annotated[Jobs, Depends(_jobs)]
_BODY = TypeAdapter(BatchIn)


@router.post(
    "",
    summary="Ask many questions",
    status_code=202,
    responses={202: {"model": BatchOut, "description": "Accepted; `Location` tells how it goes."}},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": BatchIn.model_json_schema(ref_template="#/components/schemas/{model}")
                },
                JSON_LINES: {
                    "schema": {"type": "string"},
                    "example": '{"id": 1, "question": "How many days?"}\n',
                },
            },
        }
    },
)
async def create_batch(request: Request, jobs: AllJobs, who: Asker) -> JSONResponse:
    """A list of questions as JSON, or a file of JSON lines. They are asked behind those of people who wait."""
    lines = _lines(await request.body(), request.headers.get("content-type", ""))
    quotas: Quotas = request.app.state.quotas
    await quotas.count_questions(who, len(lines))
    id = await jobs.create(who.tenant, lines, groups=who.groups, key=who.label)
    return JSONResponse(
        await _shown(jobs, await jobs.job(id, who.tenant, who.groups)),
        202,
        headers={"location": f"/v1/batches/{id}"},
    )


@router.get("", summary="List batches", responses={200: {"model": BatchesOut}})
async def list_batches(jobs: AllJobs, who: Asker) -> JSONResponse:
    """The newest first."""
    return JSONResponse({"batches": [_counts(job, jobs) for job in await jobs.jobs(who.tenant, who.groups)]})


@router.get("/{id}", summary="Show a batch", responses={200: {"model": BatchOut}})
async def show_batch(id: str, jobs: AllJobs, who: Asker) -> JSONResponse:
    return JSONResponse(await _shown(jobs, await jobs.job(id, who.tenant, who.groups)))


@router.get(
    "/{id}/results",
    summary="Read a batch's answers",
    response_class=Response,
    responses={200: {"content": {JSON_LINES: {"example": '{"id": 1, "line": 1, "answer": "..."}\n'}}}},
)
async def read_results(id: str, jobs: AllJobs, who: Asker) -> StreamingResponse:
    """What has been answered so far, in the order of the questions: one JSON object on each line."""
    job = await jobs.job(id, who.tenant, who.groups)
    return StreamingResponse(jobs.results(job.id), media_type=JSON_LINES)


@router.delete("/{id}", summary="Cancel or remove a batch", responses={200: {"model": BatchOut}, 204: {}})
async def cancel_batch(id: str, jobs: AllJobs, who: Asker) -> Response:
    """Ends one that is under way and keeps its answers; removes one that has ended (204)."""
    job = await jobs.job(id, who.tenant, who.groups)
    if job.ended_at is not None:
        await jobs.remove(job.id)
        return Response(status_code=204)
    await jobs.cancel(job.id)
    return JSONResponse(await _shown(jobs, await jobs.job(id, who.tenant, who.groups)))


def _lines(body: bytes, content_type: str) -> list[str]:
    """Raises ``UsageError``."""
    if "json" in content_type and not any(kind in content_type for kind in ("ndjson", "jsonl", "json-seq")):
        try:
            return _BODY.validate_json(body).lines()
        except ValidationError as exc:
            raise InvalidBatch(f"{validation_sentence(exc.errors(), 'The batch')}; correct it.") from exc
    lines = [line for line in body.decode("utf-8-sig", "replace").split("\n") if line.strip()]
    if not 1 <= len(lines) <= MAX_QUESTIONS:
        raise InvalidBatch(
            f"The batch has {len(lines):,} lines; send 1 to {MAX_QUESTIONS:,} questions as JSON lines.",
            n_lines=len(lines),
        )
    return lines


class InvalidBatch(UsageError):
    http_status, code = 422, "invalid-batch"


def _counts(job: Job, jobs: Jobs) -> dict[str, Any]:
    return {
        "id": job.id,
        "state": job.state,
        "made_at": job.made_at,
        "ended_at": job.ended_at,
        "n_lines": job.n_lines,
        "n_answered": job.n_answered,
        "n_failed": job.n_failed,
        "cost_usd": job.cost_usd,
        "waiting": jobs.why_waiting(job.id),
    }


async def _shown(jobs: Jobs, job: Job) -> dict[str, Any]:
    return {**_counts(job, jobs), "errors": await jobs.errors(job.id)}
