from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from api import jobs as jobs_module
from api.job_store import MAX_ACTIVE, JobStore
from api.jobs import Jobs
from api.schemas import BatchLine
from rag import load_settings, open_footnote
from rag.core.errors import StoreError
from rag.core.types import Answer
from rag.llm.serving_db import FILE
from tests.api.conftest import served

ASKED = ["How many vacation days are there?", "What does error VPN-4711 mean?"]


@pytest.fixture
async def client(writable: Path) -> AsyncIterator[httpx.AsyncClient]:
    settings = load_settings(store=writable)
    with open_footnote(settings) as footnote:
        async with served(settings, footnote) as opened:
            yield opened


async def ended(client: httpx.AsyncClient, id: str) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while True:
            found: dict[str, Any] = (await client.get(f"/v1/batches/{id}")).json()
            if found["ended_at"]:
                return found
            await asyncio.sleep(0.02)


async def results(client: httpx.AsyncClient, id: str) -> list[dict[str, Any]]:
    response = await client.get(f"/v1/batches/{id}/results")
    assert response.headers["content-type"].startswith("application/x-ndjson")
    return [json.loads(line) for line in response.text.splitlines()]


# Over HTTP


async def test_questions_are_accepted_answered_and_read(client: httpx.AsyncClient) -> None:
    accepted = await client.post(
        "/v1/batches", json={"questions": [*ASKED, {"id": "x", "question": ASKED[0]}]}
    )
    assert accepted.status_code == 202
    assert accepted.headers["location"] == f"/v1/batches/{accepted.json()['id']}"
    found = await ended(client, accepted.json()["id"])
    assert (found["state"], found["n_lines"], found["n_answered"], found["n_failed"]) == ("done", 3, 3, 0)
    rows = await results(client, found["id"])
    assert [(row["line"], row["id"]) for row in rows] == [(1, None), (2, None), (3, "x")]
    assert "28 vacation days" in rows[0]["answer"]


async def test_a_file_of_json_lines_is_a_batch_and_bad_lines_fail_alone(client: httpx.AsyncClient) -> None:
    body = f'{{"id": 7, "question": "{ASKED[0]}"}}\nno json\n\n{{"question": ""}}\n'
    accepted = await client.post(
        "/v1/batches", content=body, headers={"content-type": "application/x-ndjson"}
    )
    found = await ended(client, accepted.json()["id"])
    assert (found["n_answered"], found["n_failed"]) == (3, 2)
    assert [error["line"] for error in found["errors"]] == [2, 3]
    assert found["errors"][1]["detail"] == "The question is empty; ask something in words."


async def test_filters_hold_for_all_that_have_none_of_their_own(client: httpx.AsyncClient) -> None:
    body = {
        "questions": [ASKED[1], {"question": ASKED[1], "filters": {"source": "it/**"}}],
        "filters": {"source": "hr/**"},
    }
    found = await ended(client, (await client.post("/v1/batches", json=body)).json()["id"])
    rows = await results(client, found["id"])
    assert [bool(row["citations"]) for row in rows] == [False, True]


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        ('{"questions": []}', "application/json", 422, "invalid-batch"),
        ('{"questions": ["a"], "other": 1}', "application/json", 422, "invalid-batch"),
        ('{"questions": 3}', "application/json", 422, "invalid-batch"),
        ("no json", "application/json", 422, "invalid-batch"),
        ("\n\n", "application/x-ndjson", 422, "invalid-batch"),
        ("{}\n" * 10_001, "application/x-ndjson", 422, "invalid-batch"),
        ("x" * (1 << 20) + "x", "application/x-ndjson", 413, "body-too-large"),
    ],
    ids=["none", "unknown key", "no list", "no json", "empty", "too many", "too large"],
)
async def test_what_is_no_batch_is_a_problem(
    client: httpx.AsyncClient, body: str, content_type: str, status: int, code: str
) -> None:
    response = await client.post("/v1/batches", content=body, headers={"content-type": content_type})
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("GET", "/results"), ("DELETE", "")])
async def test_a_batch_that_is_not_there_is_a_problem(
    client: httpx.AsyncClient, method: str, path: str
) -> None:
    response = await client.request(method, f"/v1/batches/nobody{path}")
    assert (response.status_code, response.json()["code"]) == (404, "unknown-batch")


async def test_batches_are_listed_the_newest_first_and_removed(client: httpx.AsyncClient) -> None:
    ids = []
    for question in ASKED:
        ids.append((await client.post("/v1/batches", json={"questions": [question]})).json()["id"])
    for id in ids:
        await ended(client, id)
    assert [one["id"] for one in (await client.get("/v1/batches")).json()["batches"]] == ids[::-1]
    assert (await client.delete(f"/v1/batches/{ids[0]}")).status_code == 204
    assert [one["id"] for one in (await client.get("/v1/batches")).json()["batches"]] == ids[1:]


# Running them


class Desk:
    """Answers when it is let, and counts what it was asked."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.open = asyncio.Event()
        self.now = self.most = 0
        self.error: Exception | None = None

    async def __call__(self, line: BatchLine) -> Answer:
        self.asked[line.question] += 1
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            if not line.question.startswith("quick"):
                await self.open.wait()
            if self.error is not None:
                raise self.error
            return Answer("yes", (), (), False, 1.0, "llm", cost_usd=0.5)
        finally:
            self.now -= 1


def lines(*questions: str) -> list[str]:
    return [json.dumps({"question": question}) for question in questions]


Working = Callable[[Desk], Any]


@pytest.fixture
def working(writable: Path) -> Working:
    @asynccontextmanager
    async def at_work(desk: Desk) -> AsyncIterator[Jobs]:
        with open_footnote(load_settings(store=writable)) as footnote:
            jobs = Jobs(footnote, desk, retry_delays_s=())
            async with jobs.at_work():
                yield jobs

    return at_work


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await condition():
            await asyncio.sleep(0.01)


async def test_a_batch_goes_on_after_a_restart_without_asking_what_was_answered(working: Working) -> None:
    desk = Desk()
    async with working(desk) as jobs:
        id = await jobs.create("default", lines("quick 1", "slow 2", "quick 3"))

        async def two_are_answered() -> bool:
            return bool((await jobs.job(id, "default")).n_answered == 2)

        await until(two_are_answered)
    assert desk.now == 0
    desk.open.set()
    async with working(desk) as jobs:

        async def is_done() -> bool:
            return bool((await jobs.job(id, "default")).state == "done")

        await until(is_done)
        assert (await jobs.job(id, "default")).cost_usd == 1.5
    assert desk.asked == {"quick 1": 1, "slow 2": 2, "quick 3": 1}


async def test_two_batches_run_at_once_and_the_third_waits(working: Working) -> None:
    desk = Desk()
    async with working(desk) as jobs:
        ids = [await jobs.create("default", lines(f"slow {n}")) for n in range(3)]

        async def two_are_asked() -> bool:
            return desk.asked.total() == 2

        await until(two_are_asked)
        assert [(await jobs.job(id, "default")).state for id in ids] == ["running", "running", "queued"]
        desk.open.set()

        async def all_are_done() -> bool:
            return {(await jobs.job(id, "default")).state for id in ids} == {"done"}

        await until(all_are_done)


async def test_cancelling_ends_what_is_in_flight_and_keeps_the_answers(working: Working) -> None:
    desk = Desk()
    async with working(desk) as jobs:
        id = await jobs.create("default", lines("quick 1", "slow 2"))

        async def one_is_answered() -> bool:
            return bool((await jobs.job(id, "default")).n_answered == 1) and desk.now == 1

        await until(one_is_answered)
        await jobs.cancel(id)
        assert desk.now == 0
        found = await jobs.job(id, "default")
        assert (found.state, found.n_answered) == ("cancelled", 1)
        assert len("".join([page async for page in jobs.results(id)]).splitlines()) == 1


async def test_a_store_that_fails_puts_a_batch_off_and_says_why(
    working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs_module, "_WAIT_S", 0.05)
    monkeypatch.setattr(jobs_module, "_LOOK_EVERY_S", 0.05)
    desk = Desk()
    desk.error = StoreError("The catalog is gone.")
    async with working(desk) as jobs:
        id = await jobs.create("default", lines("quick 1"))

        async def waits() -> bool:
            return jobs.why_waiting(id) is not None

        await until(waits)
        why = jobs.why_waiting(id)
        assert why is not None
        assert why["detail"] == "The catalog is gone."
        desk.error = None

        async def is_done() -> bool:
            return bool((await jobs.job(id, "default")).state == "done")

        await until(is_done)


async def test_of_two_processes_over_one_store_one_runs_a_batch(working: Working) -> None:
    one, other = Desk(), Desk()
    one.open.set()
    async with working(one) as jobs:
        first = await jobs.create("default", lines("slow 1"))

        async def is_done() -> bool:
            return bool((await jobs.job(first, "default")).state == "done")

        await until(is_done)
        async with working(other) as jobs_of_other:
            await jobs_of_other.create("default", lines("slow 2"))
            await asyncio.sleep(0.1)
            assert other.asked.total() == 0


async def test_batches_of_another_tenant_are_not_seen(working: Working) -> None:
    async with working(Desk()) as jobs:
        id = await jobs.create("acme", lines("slow 1"))
        assert await jobs.jobs("globex") == []
        assert [job.id for job in await jobs.jobs("acme")] == [id]


def test_so_many_batches_may_wait_and_no_more(tmp_path: Path) -> None:
    store = JobStore(tmp_path / FILE)
    for _ in range(MAX_ACTIVE):
        store.create("default", lines("a"))
    with pytest.raises(Exception, match="20 batches are waiting or running"):
        store.create("default", lines("a"))
    store.close()


def test_an_answer_is_kept_once(tmp_path: Path) -> None:
    store = JobStore(tmp_path / FILE)
    id = store.create("default", lines("a"))
    for text in ("first", "second"):
        store.keep(id, {"line": 1, "answer": text, "cost_usd": 1.0})
    assert [json.loads(page)["answer"] for page in store.results(id)] == ["first"]
    assert store.job(id, "default").cost_usd == 1.0
    store.close()
