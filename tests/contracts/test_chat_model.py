"""What every layer around a chat model keeps to. A further layer joins with one line in ``LAYERS``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import pytest

from rag.core.errors import ChatError, ChatRefused, ChatTimeout, ContextOverflow
from rag.core.protocols import ChatModel
from rag.core.types import Attempts, ChatEvent, ChatRequest, Delta, Done, Message, Usage
from rag.llm.breaker import Breaker, BreakingChatModel, GatedChatModel
from rag.llm.mask import MaskedChatModel
from rag.llm.patience import PatientChatModel
from rag.llm.queue import QueuedChatModel
from rag.llm.retry import RetryingChatModel
from rag.llm.route import Candidate, RoutedChatModel
from rag.llm.routing import Rule
from rag.llm.schedule.scheduler import Scheduler
from tests.rag.llm.scripted import ScriptedModel, Step, collected, text_of
from tests.virtual_time import run_virtual

LAYERS: dict[str, Callable[[ChatModel], ChatModel]] = {
    "retry": RetryingChatModel,
    "breaker": lambda inner: BreakingChatModel(inner, Breaker("http://here")),
    "gate": lambda inner: GatedChatModel(inner, Breaker("http://here")),
    "patience": PatientChatModel,
    "queue": lambda inner: QueuedChatModel(inner, Scheduler("http://here")),
    "mask": MaskedChatModel,
    "route": lambda inner: RoutedChatModel([Candidate(inner, "strong")], Rule()),
}
PIECES = ("Up to ", "five days ", "[1]", ".")


@pytest.fixture(params=LAYERS)
def layer(request: pytest.FixtureRequest) -> Callable[[ChatModel], ChatModel]:
    return LAYERS[request.param]


@dataclass
class Watched:
    """A scripted model that notes when it was asked and how long it was given."""

    scripts: list[list[Step]]
    name: str = "watched"
    context_window: int = 1234
    until_s: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.played = ScriptedModel(self.scripts)

    async def close(self) -> None:
        await self.played.close()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        self.until_s.append(asyncio.get_running_loop().time() + request.timeout_s)
        async with aclosing(self.played.stream(request)) as events:
            async for event in events:
                yield event


def request(**fields: Any) -> ChatRequest:
    return ChatRequest((Message("user", "How many days?"),), **fields)


def streamed(model: ChatModel, one: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
    events = model.stream(one)
    assert isinstance(events, AsyncGenerator)
    return events


def run(main: Coroutine[Any, Any, None]) -> None:
    """In virtual time; nothing may be left running."""

    async def checked() -> None:
        await main
        assert len(asyncio.all_tasks()) == 1, "a task is left behind"

    run_virtual(checked())


def test_a_reply_comes_through_whole_and_ends_with_one_done(
    layer: Callable[[ChatModel], ChatModel],
) -> None:
    async def main() -> None:
        events = await collected(streamed(layer(Watched([[*PIECES, Usage(20, 4)]])), request()))
        assert text_of(events) == "".join(PIECES)
        assert [event for event in events if isinstance(event, Usage)] == [Usage(20, 4)]
        assert [isinstance(event, Done) for event in events] == [False] * (len(events) - 1) + [True]
        done = events[-1]
        assert isinstance(done, Done)
        assert (done.finish_reason, done.cached) == ("stop", False)

    run(main())


def test_deltas_are_passed_on_as_they_come(layer: Callable[[ChatModel], ChatModel]) -> None:
    async def main() -> None:
        now = asyncio.get_running_loop().time
        events = streamed(layer(Watched([["one ", 5.0, "two"]])), request())
        first = await anext(events)
        assert first == Delta("one ")
        assert now() < 0.1
        assert text_of(await collected(events)) == "two"

    run(main())


def test_its_name_and_window_are_those_of_the_model_inside(layer: Callable[[ChatModel], ChatModel]) -> None:
    async def main() -> None:
        model = layer(Watched([["hello"]]))
        assert (model.name, model.context_window) == ("watched", 1234)

    run(main())


@pytest.mark.parametrize("n_read", [0, 1, 2])
def test_closing_it_closes_the_one_inside(layer: Callable[[ChatModel], ChatModel], n_read: int) -> None:
    async def main() -> None:
        inner = Watched([["one ", "two ", "three"]])
        events = streamed(layer(inner), request())
        for _ in range(n_read):
            await anext(events)
        assert inner.played.n_open == (n_read > 0)
        await events.aclose()
        assert inner.played.n_open == 0

    run(main())


@pytest.mark.parametrize(
    "script", [[100.0, "late"], ["early ", 100.0, "late"]], ids=["silent", "in the middle"]
)
def test_cancelling_the_reader_ends_the_request_and_leaves_nothing(
    layer: Callable[[ChatModel], ChatModel], script: list[Step]
) -> None:
    async def main() -> None:
        inner = Watched([script])
        reading = asyncio.create_task(collected(streamed(layer(inner), request())))
        await asyncio.sleep(1)
        assert inner.played.n_open == 1
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert inner.played.n_open == 0

    run(main())


@pytest.mark.parametrize("kind", [ChatRefused, ContextOverflow, ChatTimeout])
def test_an_error_before_the_first_delta_comes_through_with_its_kind_and_fields(
    layer: Callable[[ChatModel], ChatModel], kind: type[ChatError]
) -> None:
    async def main() -> None:
        inner = Watched([[kind("The server said no.", status=418, base_url="http://here")]])
        with pytest.raises(kind, match="The server said no") as caught:
            await collected(streamed(layer(inner), request(attempts=Attempts(1))))
        assert caught.value.fields.items() >= {"status": 418, "base_url": "http://here"}.items()
        assert inner.played.n_open == 0

    run(main())


def test_a_reply_that_breaks_off_keeps_what_it_had_and_says_so(
    layer: Callable[[ChatModel], ChatModel],
) -> None:
    async def main() -> None:
        inner = Watched([["half of ", ChatTimeout("The server fell silent.")]])
        events: list[ChatEvent] = []
        error: ChatError | None = None
        try:
            async for event in streamed(layer(inner), request()):
                events.append(event)
        except ChatError as exc:
            error = exc
        done = [event.finish_reason for event in events if isinstance(event, Done)]
        assert text_of(events) == "half of "
        assert (done, error is None) in ((["interrupted"], True), ([], False))
        assert len(inner.until_s) == 1, "sent again after its first delta"

    run(main())


def test_the_deadline_that_is_passed_on_never_moves_back(layer: Callable[[ChatModel], ChatModel]) -> None:
    async def main() -> None:
        inner = Watched([[3.0, ChatTimeout("slow", status=408)], [3.0, "hello"]])
        try:
            await collected(streamed(layer(inner), request(timeout_s=20.0)))
        except ChatTimeout:
            assert len(inner.until_s) == 1
        assert max(inner.until_s) <= 20.0 + 1e-6

    run(main())


def test_what_the_request_says_of_itself_is_passed_on(layer: Callable[[ChatModel], ChatModel]) -> None:
    async def main() -> None:
        inner = Watched([["hello"]])
        sent = request(
            purpose="rewrite",
            priority="batch",
            tenant="t1",
            trace_id="abc",
            temperature=0.3,
            max_tokens=77,
            stop=("\n\n",),
            seed=5,
        )
        await collected(streamed(layer(inner), sent))
        got = inner.played.requests[0]
        for name in (
            "messages",
            "purpose",
            "priority",
            "tenant",
            "trace_id",
            "temperature",
            "max_tokens",
            "stop",
            "seed",
        ):
            assert getattr(got, name) == getattr(sent, name), name

    run(main())


def test_requests_at_once_do_not_mix(layer: Callable[[ChatModel], ChatModel]) -> None:
    async def main() -> None:
        model = layer(Watched([["a", 1.0, "1"], ["b", 1.0, "2"], ["c", 1.0, "3"]]))
        questions = [question(n) for n in range(3)]
        replies = await asyncio.gather(*(collected(streamed(model, one)) for one in questions))
        assert sorted(text_of(events) for events in replies) == ["a1", "b2", "c3"]

    run(main())


def question(n: int) -> ChatRequest:
    return ChatRequest((Message("user", f"question {n}"),))


def test_closing_the_model_closes_the_one_inside(layer: Callable[[ChatModel], ChatModel]) -> None:
    async def main() -> None:
        inner = Watched([["hello"]])
        model = layer(inner)
        await collected(streamed(model, request()))
        await model.close()
        assert inner.played.is_closed

    run(main())
