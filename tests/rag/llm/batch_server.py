"""A provider's batch endpoint on a real socket: files, batches, results. It answers as the fault server does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response

from tests.fault_answers import answer_to


@dataclass
class BatchServer:
    base_url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    batches: dict[str, dict[str, Any]] = field(default_factory=dict)
    fails: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Result lines, by the id of the request, to be given instead of an answer."""
    never_reached: set[str] = field(default_factory=set)
    """Requests that the batch expires before."""
    rejects: str = ""
    """Why every batch fails as a whole."""
    broken_calls: list[int] = field(default_factory=list)
    """Statuses of the next calls, before anything is done."""
    calls: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)


def app_of(server: BatchServer) -> FastAPI:
    app = FastAPI()

    @app.middleware("http")
    async def watched(request: Request, go_on: Any) -> Response:
        server.calls.append(f"{request.method} {request.url.path.removeprefix('/v1')}")
        server.keys.append(request.headers.get("authorization", ""))
        if server.broken_calls and (status := server.broken_calls.pop(0)) != 200:
            return Response(json.dumps({"error": {"message": "not now"}}), status)
        return await go_on(request)  # type: ignore[no-any-return]

    @app.post("/v1/files")
    async def upload(request: Request) -> dict[str, Any]:
        name = f"file-{len(server.files)}"
        async with request.form() as form:
            file = form["file"]
            assert form["purpose"] == "batch"
            assert not isinstance(file, str)
            server.files[name] = await file.read()
        return {"id": name, "object": "file"}

    @app.post("/v1/batches")
    async def create(request: Request) -> dict[str, Any]:
        asked = await request.json()
        name = f"batch_{len(server.batches)}"
        lines = [json.loads(line) for line in server.files[asked["input_file_id"]].split(b"\n") if line]
        server.batches[name] = {
            **asked,
            "id": name,
            "status": "validating",
            "request_counts": {"total": len(lines), "completed": 0, "failed": 0},
        }
        return server.batches[name]

    @app.get("/v1/batches")
    async def listed(limit: int = 20, after: str = "") -> dict[str, Any]:
        names = list(server.batches)
        start = names.index(after) + 1 if after else 0
        page = names[start : start + min(limit, 2)]  # small pages, to be turned
        return {"data": [server.batches[name] for name in page], "has_more": start + 2 < len(names)}

    @app.get("/v1/batches/{name}")
    async def state(name: str) -> dict[str, Any]:
        if name not in server.batches:
            raise HTTPException(404, "no such batch")
        batch = server.batches[name]
        following = {"validating": "in_progress", "in_progress": "completed", "cancelling": "cancelled"}
        batch["status"] = following.get(batch["status"], batch["status"])
        if server.rejects:
            batch |= {"status": "failed", "errors": {"data": [{"message": server.rejects}]}}
        elif batch["status"] in ("completed", "cancelled"):
            work(server, batch)
        return batch

    @app.post("/v1/batches/{name}/cancel")
    async def cancel(name: str) -> dict[str, Any]:
        server.batches[name]["status"] = "cancelling"
        return server.batches[name]

    @app.get("/v1/files/{name}/content")
    async def content(name: str) -> Response:
        return Response(server.files[name], media_type="application/octet-stream")

    return app


def work(server: BatchServer, batch: dict[str, Any]) -> None:
    good, bad = [], []
    for line in server.files[batch["input_file_id"]].split(b"\n"):
        if not line:
            continue
        asked = json.loads(line)
        name, body = asked["custom_id"], asked["body"]
        assert (asked["method"], asked["url"]) == ("POST", "/v1/chat/completions")
        assert "stream" not in body
        if name in server.never_reached:
            batch["status"] = "expired"
        elif name in server.fails:
            bad.append({"custom_id": name, **server.fails[name]})
        else:
            text = answer_to(body["messages"][-1]["content"])
            choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            usage = {"prompt_tokens": 5, "completion_tokens": len(text.split(" "))}
            reply = {"model": body["model"], "choices": [choice], "usage": usage}
            good.append({"custom_id": name, "response": {"status_code": 200, "body": reply}, "error": None})
    for kind, entries in (("output", good[::-1]), ("error", bad)):
        if entries:
            file = f"file-{batch['id']}-{kind}"
            server.files[file] = "\n".join(json.dumps(one, ensure_ascii=False) for one in entries).encode()
            batch[f"{kind}_file_id"] = file
    batch["request_counts"] = {
        "total": batch["request_counts"]["total"],
        "completed": len(good),
        "failed": len(bad),
    }


@asynccontextmanager
async def batch_server() -> AsyncIterator[BatchServer]:
    server = BatchServer()
    config = uvicorn.Config(app_of(server), host="127.0.0.1", port=0, log_level="error", lifespan="off")
    running = uvicorn.Server(config)
    running.capture_signals = _nothing  # type: ignore[assignment,method-assign]
    task = asyncio.create_task(running.serve())
    while not running.started:
        await asyncio.sleep(0.005)
    server.base_url = f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}/v1"
    try:
        yield server
    finally:
        running.should_exit = True
        await task


class _nothing:
    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass
