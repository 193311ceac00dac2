"""Batches behind HTTP: they run beside the service, and go on when it starts again."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from api.batch.answering import RETRY_DELAYS_S, Ask, answered_line, asking
from api.batch.command import default_concurrency
from api.job_store import Job, JobStore
from api.problems import problem_of, unexpected_problem
from ingest.store.lock import FileLock
from rag.core.errors import FootnoteError, StoreError
from rag.llm.serving_db import FILE
from rag.wiring import Footnote

MAX_RUNNING: Final = 2
_LOOK_EVERY_S: Final = 5.0
_WAIT_S: Final = 60.0
"""For a store or a budget that is to be there again."""

T = TypeVar("T")


class Jobs:
    """Runs two batches at a time, at batch priority. Of several processes over one store one does so."""

    def __init__(
        self, footnote: Footnote, ask: Ask | None = None, *, retry_delays_s: Sequence[float] = RETRY_DELAYS_S
    ) -> None:
        self._footnote = footnote
        self._ask = ask
        self._folder: Path = footnote.settings.store
        self._concurrency = max(1, default_concurrency(footnote.settings) // MAX_RUNNING)
        self._retry_delays_s = retry_delays_s
        self._store: JobStore | None = None
        self._opening = threading.Lock()
        self._lock = FileLock(self._folder / "batches.lock")
        self._running: dict[str, asyncio.Task[None]] = {}
        self._waiting: dict[str, tuple[float, dict[str, Any]]] = {}
        self._wake = asyncio.Event()

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Runs what there is until the end of the block; what is left then is gone on with at the next start."""
        looking = asyncio.create_task(self._look())
        try:
            yield
        finally:
            tasks = [looking, *self._running.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._store is not None:
                self._store.close()
            self._lock.release()

    # What routes ask for

    async def create(
        self, tenant: str, lines: Sequence[str], *, groups: frozenset[str] | None = None, key: str = ""
    ) -> str:
        job = await self._in_store(lambda store: store.create(tenant, lines, groups=groups, key=key))
        self._wake.set()
        return job

    async def jobs(self, tenant: str, groups: frozenset[str] | None = None) -> list[Job]:
        return await self._in_store(lambda store: store.jobs(tenant, groups))

    async def job(self, job: str, tenant: str, groups: frozenset[str] | None = None) -> Job:
        return await self._in_store(lambda store: store.job(job, tenant, groups))

    async def errors(self, job: str) -> list[dict[str, Any]]:
        return await self._in_store(lambda store: store.errors(job))

    def why_waiting(self, job: str) -> dict[str, Any] | None:
        waiting = self._waiting.get(job)
        return waiting[1] if waiting else None

    async def results(self, job: str) -> AsyncIterator[str]:
        pages = await self._in_store(lambda store: store.results(job))
        while (page := await asyncio.to_thread(next, pages, None)) is not None:
            yield page

    async def cancel(self, job: str) -> None:
        """Ends it, with the requests that it has in flight. Its answers stay."""
        await self._in_store(lambda store: store.move(job, "cancelled"))
        if (task := self._running.get(job)) is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def remove(self, job: str) -> None:
        await self._in_store(lambda store: store.remove(job))

    # Running them

    async def _look(self) -> None:
        while True:
            self._wake.clear()
            with suppress(StoreError, OSError):  # tried again; who asks for a batch is told
                # Nothing is made in the store's folder before the first batch.
                if self._store is not None or (self._folder / FILE).exists():
                    await self._start()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY_S):
                    await self._wake.wait()

    async def _start(self) -> None:
        now = asyncio.get_running_loop().time()
        for job in await self._in_store(JobStore.active):
            if len(self._running) >= MAX_RUNNING:
                return
            if job in self._running or self._waiting.get(job, (0.0, {}))[0] > now:
                continue
            if not self._lock.acquire():
                return
            task = self._running[job] = asyncio.create_task(self._run(job))
            task.add_done_callback(lambda _, job=job: self._ended(job))  # type: ignore[misc]

    def _ended(self, job: str) -> None:
        self._running.pop(job, None)
        self._wake.set()

    async def _run(self, job: str) -> None:
        self._waiting.pop(job, None)
        try:
            await self._in_store(lambda store: store.move(job, "running"))
            left = iter(await self._in_store(lambda store: store.left(job)))
            tenant, groups, key = await self._in_store(lambda store: store.asker(job))
            ask = self._ask or asking(self._footnote.seen_by(tenant, groups, key=key))

            async def work() -> None:
                for number, raw in left:
                    result = await answered_line(number, raw, ask, retry_delays_s=self._retry_delays_s)
                    await self._in_store(lambda store, result=result: store.keep(job, result))  # type: ignore[misc]

            async with asyncio.TaskGroup() as workers:
                for _ in range(self._concurrency):
                    workers.create_task(work())
            await self._in_store(lambda store: store.move(job, "done"))
        except* Exception as group:
            await self._put_off(job, group)

    async def _put_off(self, job: str, group: ExceptionGroup[Exception]) -> None:
        """What stopped it would stop every question: it waits, with the answers it has."""
        first: Exception = group
        while isinstance(first, ExceptionGroup):
            first = first.exceptions[0]
        if isinstance(first, FootnoteError):
            why = problem_of(first)
        else:
            why = unexpected_problem(first, self._folder)
        self._waiting[job] = asyncio.get_running_loop().time() + _WAIT_S, why
        with suppress(StoreError):
            await self._in_store(lambda store: store.move(job, "queued"))

    async def _in_store(self, work: Callable[[JobStore], T]) -> T:
        def run() -> T:
            with self._opening:
                if self._store is None:
                    self._store = JobStore(self._folder / FILE)
            return work(self._store)

        return await asyncio.to_thread(run)
