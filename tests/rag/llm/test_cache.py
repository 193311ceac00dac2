from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from rag.core.errors import ChatUnreachable
from rag.core.types import ChatEvent, ChatRequest, Delta, Done, Message, Switched, Usage
from rag.llm.cache import CachedChatModel
from rag.llm.cache_store import ReplyStore
from rag.llm.reply_row import Reply
from rag.llm.share import SharedChatModel
from tests.rag.llm.scripted import ScriptedModel, Step, collected, text_of
from tests.virtual_time import run_virtual

T = TypeVar("T")
ASKED = ChatRequest((Message("system", "Sources: [1] 28 days"), Message("user", "How many days?")))
COST = Usage(10, 2, cost_usd=0.5)
WHOLE: list[Step] = ["28 ", "days [1]", COST]


class Counting:
    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def count(self, name: str, value: float = 1, **labels: str) -> None:
        self.counts[f"{name} {labels['result']}"] += int(value)

    def time(self, name: str, seconds: float, **labels: str) -> None: ...

    def gauge(self, name: str, value: float, **labels: str) -> None: ...


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "serving.sqlite"


@pytest.fixture
def store(file: Path) -> Iterator[ReplyStore]:
    with closing(ReplyStore(file)) as opened:
        yield opened


def asked(model: CachedChatModel, *requests: ChatRequest) -> list[list[ChatEvent]]:
    async def main() -> list[list[ChatEvent]]:
        return [await collected(model.stream(request)) for request in requests]

    return asyncio.run(main())


def in_loop(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def test_the_second_time_nothing_is_asked_and_nothing_is_paid(store: ReplyStore) -> None:
    model = ScriptedModel([WHOLE])
    first, second = asked(CachedChatModel(model, store), ASKED, ASKED)
    assert text_of(first) == text_of(second) == "28 days [1]"
    assert [event for event in second if isinstance(event, Usage)] == [Usage()]
    assert isinstance(second[-1], Done)
    assert second[-1].cached
    assert isinstance(first[-1], Done)
    assert not first[-1].cached
    assert len(model.requests) == 1


def test_a_reply_outlives_the_process(file: Path) -> None:
    for n_asked in (1, 0):
        model = ScriptedModel([WHOLE])
        with closing(ReplyStore(file)) as store:
            (events,) = asked(CachedChatModel(model, store), ASKED)
        assert text_of(events) == "28 days [1]"
        assert len(model.requests) == n_asked


def test_a_reply_is_kept_before_its_end_is_told_so_that_a_kill_cannot_lose_it(file: Path) -> None:
    program = f"""
import asyncio, os, signal
from pathlib import Path
from rag.core.types import Done
from rag.llm.cache import CachedChatModel
from rag.llm.cache_store import ReplyStore
from tests.rag.llm.scripted import ScriptedModel
from tests.rag.llm.test_cache import ASKED, WHOLE

async def main():
    async for event in CachedChatModel(ScriptedModel([WHOLE]), ReplyStore(Path({str(file)!r}))).stream(ASKED):
        if isinstance(event, Done):
            os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""
    assert subprocess.run([sys.executable, "-c", program]).returncode == -9
    model = ScriptedModel([["asked again"]])
    with closing(ReplyStore(file)) as store:
        (events,) = asked(CachedChatModel(model, store), ASKED)
    assert text_of(events) == "28 days [1]"


def test_a_reader_who_leaves_while_a_reply_is_being_kept_does_not_stop_that(file: Path) -> None:
    async def main() -> None:
        with closing(ReplyStore(file)) as store, closing(sqlite3.connect(file)) as other:
            other.execute("BEGIN IMMEDIATE")  # so that keeping it takes a while
            keeping = asyncio.create_task(store.put("key", Reply("text", "m")))
            await asyncio.sleep(0.01)
            keeping.cancel()
            with pytest.raises(asyncio.CancelledError):
                await keeping
            other.execute("COMMIT")

    in_loop(main())
    with closing(ReplyStore(file)) as store:
        assert store.get("key") is not None


@pytest.mark.parametrize(
    "other",
    [
        replace(ASKED, messages=(Message("system", "Sources: [1] 29 days"), ASKED.messages[1])),
        replace(ASKED, messages=(*ASKED.messages, Message("user", "And in Germany?"))),
        replace(ASKED, max_tokens=100),
        replace(ASKED, response_format={"type": "json_object"}),
        replace(ASKED, extra={"top_k": 1}),
        replace(ASKED, model="other"),
        replace(ASKED, tenant="other"),
    ],
    ids=["document changed", "history", "max_tokens", "format", "extra", "model", "tenant"],
)
def test_a_request_that_differs_is_asked(store: ReplyStore, other: ChatRequest) -> None:
    model = ScriptedModel([WHOLE])
    asked(CachedChatModel(model, store), ASKED, other)
    assert len(model.requests) == 2


def test_other_servers_find_no_replies_of_those_before(store: ReplyStore) -> None:
    for n_asked, servers in ((1, "http://a gpt-1"), (1, "http://a gpt-2"), (0, "http://a gpt-1")):
        model = ScriptedModel([WHOLE])
        asked(CachedChatModel(model, store, asked_of=servers), ASKED)
        assert len(model.requests) == n_asked, servers


@pytest.mark.parametrize(
    "script",
    [
        ["28", Done("length", "m")],
        ["28", Done("interrupted", "m")],
        ["28", Done("content_filter", "m")],
        ["28", Done(None, "m")],
        [Done("stop", "m")],
    ],
    ids=["length", "interrupted", "filtered", "not told", "empty"],
)
def test_only_complete_replies_are_kept(store: ReplyStore, script: list[Step]) -> None:
    model = ScriptedModel([script])
    asked(CachedChatModel(model, store), ASKED, ASKED)
    assert len(model.requests) == 2


def test_errors_are_not_kept(store: ReplyStore) -> None:
    model = ScriptedModel([["28", ChatUnreachable("gone")], WHOLE])
    cached = CachedChatModel(model, store)
    with pytest.raises(ChatUnreachable):
        asked(cached, ASKED)
    assert text_of(asked(cached, ASKED)[0]) == "28 days [1]"


@pytest.mark.parametrize(
    ("request_", "n_asked"),
    [(replace(ASKED, temperature=0.5), 2), (replace(ASKED, temperature=0.5, seed=1), 1)],
    ids=["sampled", "seeded"],
)
def test_sampled_replies_are_neither_kept_nor_served(
    store: ReplyStore, request_: ChatRequest, n_asked: int
) -> None:
    model = ScriptedModel([WHOLE])
    asked(CachedChatModel(model, store), request_, request_)
    assert len(model.requests) == n_asked


def test_the_reply_of_a_model_that_stood_in_is_not_kept_for_long(
    store: ReplyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    switched = Switched("a", "b", "chat-timeout", resumed=False)

    class StoodIn(ScriptedModel):
        async def stream(self, request: ChatRequest) -> Any:
            yield switched
            async for event in super().stream(request):
                yield event

    model = StoodIn([WHOLE])
    cached = CachedChatModel(model, store)
    now = time.time()
    asked(cached, ASKED, ASKED)
    assert len(model.requests) == 1
    monkeypatch.setattr(time, "time", lambda: now + 3600)
    asked(cached, ASKED)
    assert len(model.requests) == 2


def test_a_reply_is_good_for_its_time(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    model = ScriptedModel([WHOLE])
    with closing(ReplyStore(file, ttl_s=100)) as store:
        cached = CachedChatModel(model, store)
        for later_s, n_asked in ((0, 1), (90, 1), (110, 2), (190, 2)):
            monkeypatch.setattr(time, "time", lambda later_s=later_s: now + later_s)
            asked(cached, ASKED)
            assert len(model.requests) == n_asked, later_s
    with closing(ReplyStore(file, ttl_s=10)) as store:  # a shorter time holds for what is there
        asked(CachedChatModel(model, store), ASKED)
    assert len(model.requests) == 3


@pytest.mark.parametrize("on_disk", [True, False])
def test_the_size_has_a_limit_and_the_least_recently_used_go_first(file: Path, on_disk: bool) -> None:
    with closing(ReplyStore(file if on_disk else None, max_mb=0.1)) as store:

        async def main() -> None:
            for n in range(300):
                await store.put(f"k{n}", Reply("x" * 1000, "m"))

        in_loop(main())
        deadline = time.monotonic() + 10
        while store.stats().n_bytes > 110_000 and time.monotonic() < deadline:
            time.sleep(0.01)  # the file is swept beside the loop
        assert store.stats().n_bytes <= 110_000
        assert store.get("k299") is not None
        assert store.get("k0") is None


def test_a_damaged_row_is_dropped_and_asked_again(file: Path) -> None:
    model = ScriptedModel([WHOLE])
    with closing(ReplyStore(file)) as store:
        asked(CachedChatModel(model, store), ASKED)
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("UPDATE reply SET events = replace(events, '28', '99')")
    with closing(ReplyStore(file)) as store:
        assert text_of(asked(CachedChatModel(model, store), ASKED)[0]) == "28 days [1]"
        assert store.stats().n_damaged == 1
    assert len(model.requests) == 2
    with closing(ReplyStore(file)) as store:
        asked(CachedChatModel(model, store), ASKED)
    assert len(model.requests) == 2


@pytest.mark.parametrize("content", [b"no database at all" * 100, b""], ids=["damaged", "empty"])
def test_a_file_that_is_no_database_leaves_the_cache_in_memory(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    model = ScriptedModel([WHOLE])
    with closing(ReplyStore(file)) as store:
        asked(CachedChatModel(model, store), ASKED, ASKED)
    assert len(model.requests) == 1


def test_a_table_that_vanishes_is_a_miss_and_no_error(file: Path) -> None:
    model = ScriptedModel([WHOLE])
    with closing(ReplyStore(file)) as store:
        with closing(sqlite3.connect(file)) as db, db:
            db.execute("DROP TABLE reply")
        asked(CachedChatModel(model, store), ASKED, ASKED)
        assert store.stats().n_damaged > 0
    assert len(model.requests) == 1


def test_processes_share_the_file_while_all_of_them_write(file: Path) -> None:
    program = f"""
import asyncio, sys
from pathlib import Path
from rag.llm.cache_store import ReplyStore
from rag.llm.reply_row import Reply

async def main():
    store = ReplyStore(Path({str(file)!r}))
    for n in range(100):
        await store.put(f"{{sys.argv[1]}}-{{n}}", Reply("text", "m"))
    print(store.stats().n_damaged)
    store.close()

asyncio.run(main())
"""
    writers = [
        subprocess.Popen([sys.executable, "-c", program, name], stdout=subprocess.PIPE, text=True)
        for name in "abc"
    ]
    assert [writer.communicate()[0].strip() for writer in writers] == ["0"] * 3
    with closing(ReplyStore(file)) as store:
        assert all(store.get(f"{name}-{n}") for name in "abc" for n in range(100))


def test_what_one_process_keeps_another_one_finds_at_once(file: Path) -> None:
    with closing(ReplyStore(file)) as one, closing(ReplyStore(file)) as other:
        in_loop(one.put("key", Reply("text", "m")))
        assert other.get("key") == Reply("text", "m")


def test_a_tenants_replies_can_be_forgotten(file: Path) -> None:
    with closing(ReplyStore(file)) as store:
        in_loop(store.put("a", Reply("text", "m"), "acme"))
        in_loop(store.put("b", Reply("text", "m"), "globex"))
        store.forget("acme")
    with closing(ReplyStore(file)) as store:
        assert (store.get("a"), store.get("b")) == (None, Reply("text", "m"))


def test_hits_misses_and_what_they_saved_are_told(store: ReplyStore) -> None:
    meter = Counting()
    model = ScriptedModel([WHOLE])
    cached = CachedChatModel(model, store, meter)
    asked(cached, ASKED, ASKED, ASKED, replace(ASKED, temperature=1.0))
    stats = cached.stats()
    assert (stats.n_hits, stats.n_misses, stats.n_replies, stats.saved_usd) == (2, 1, 1, 1.0)
    assert stats.hit_rate == pytest.approx(2 / 3)
    assert meter.counts == {"chat_cache hit": 2, "chat_cache miss": 1}


def test_equal_requests_at_once_are_kept_once_and_joined_ones_are_told(file: Path) -> None:
    meter = Counting()
    model = ScriptedModel([["28", 1.0, " days", COST]])
    store = ReplyStore(None)

    async def main() -> list[list[ChatEvent]]:
        shared = SharedChatModel(CachedChatModel(model, store, meter), meter)
        events = [shared.stream(ASKED) for _ in range(10)]
        results = await asyncio.gather(*(collected(one) for one in events))
        return [*results, await collected(shared.stream(ASKED))]

    results = run_virtual(main())
    assert {text_of(events) for events in results} == {"28 days"}
    assert len(model.requests) == 1
    assert meter.counts == {"chat_cache miss": 1, "chat_cache joined": 9, "chat_cache hit": 1}


@pytest.mark.parametrize("text", ["ä" * 1000, "\ud800 lone", "a\0b", "🦉" * 300])
def test_a_text_comes_back_to_the_character(file: Path, text: str) -> None:
    with closing(ReplyStore(file)) as store:
        in_loop(store.put("key", Reply(text, "m", "strong: long", 0.25)))
    with closing(ReplyStore(file)) as store:
        found = store.get("key")
    assert found == Reply(text, "m", "strong: long", 0.25)
    assert "".join(event.text for event in found.events() if isinstance(event, Delta)) == text
