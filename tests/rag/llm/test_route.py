from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.core.errors import (
    BudgetExceeded,
    ChatError,
    ChatRefused,
    ChatTimeout,
    ChatUnreachable,
    SettingsError,
)
from rag.core.types import Attempts, ChatEvent, ChatRequest, Delta, Done, Message, Switched, Usage
from rag.llm.retry import RetryingChatModel
from rag.llm.route import Candidate, RoutedChatModel
from rag.llm.routing import Rule, routed
from tests.rag.llm.scripted import ScriptedModel, Step, collected, text_of
from tests.virtual_time import run_virtual


def request(**fields: object) -> ChatRequest:
    return ChatRequest((Message("user", "hello"),), **fields)  # type: ignore[arg-type]


def model(name: str, *script: Step) -> ScriptedModel:
    return ScriptedModel([script], name)


def asked(*models: ScriptedModel, one: ChatRequest | None = None) -> list[ChatEvent]:
    routed_model = RoutedChatModel([Candidate(each, "strong") for each in models], Rule())
    return run_virtual(collected(routed_model.stream(one or request())))


@pytest.mark.parametrize(
    ("fields", "tier", "reason"),
    [
        ({"purpose": "rewrite"}, "small", "small: rewrite"),
        ({"signals": {"confidence": 0.95, "question_chars": 40.0}}, "small", "confidence 0.95"),
        ({"signals": {"confidence": 0.41, "question_chars": 40.0}}, "strong", "confidence 0.41 is below 0.8"),
        (
            {"signals": {"confidence": 0.95, "question_chars": 900.0}},
            "strong",
            "900 characters are more than 300",
        ),
        ({}, "strong", "not known"),
    ],
)
def test_the_rule_names_the_tier_and_says_why(fields: dict[str, object], tier: str, reason: str) -> None:
    route = routed(request(**fields), Rule())
    assert route.tier == tier
    assert reason in route.reason


def test_the_tier_is_asked_and_the_answer_says_why() -> None:
    strong, small = model("strong", "S"), model("small", "s")
    both = RoutedChatModel([Candidate(strong, "strong"), Candidate(small, "small")], Rule())
    sure = request(signals={"confidence": 0.97, "question_chars": 20.0})
    events = run_virtual(collected(both.stream(sure)))
    assert text_of(events) == "s"
    assert isinstance(events[-1], Done)
    assert events[-1].route == "small: confidence 0.97, 20 characters"
    assert small.requests[0].model == "small"
    assert not strong.requests


def test_the_next_model_answers_when_one_fails_before_its_first_delta() -> None:
    events = asked(model("a", ChatUnreachable("down")), model("b", "fine"))
    assert [event for event in events if not isinstance(event, Done)] == [
        Switched("a", "b", "chat-unreachable", resumed=False),
        Delta("fine"),
    ]


def test_the_next_model_goes_on_where_one_broke_off() -> None:
    second = model("b", " until March 31.")
    events = asked(model("a", "You may carry over ", "five days", ChatUnreachable("cut")), second)
    assert text_of(events) == "You may carry over five days until March 31."
    assert Switched("a", "b", "chat-unreachable", resumed=True) in events
    assert second.requests[0].messages[-2] == Message("assistant", "You may carry over five days")


@pytest.mark.parametrize(
    "again",
    [
        ["five days until March 31."],
        ["You may carry over five days until March 31."],
        ["You may ca", "rry over five ", "days until March 31."],
        ["carry over five days", " until March 31."],
    ],
    ids=["its last words", "all of it", "all of it, in pieces", "half of it"],
)
def test_what_the_next_model_says_again_is_taken_out(again: list[str]) -> None:
    events = asked(model("a", "You may carry over five days", ChatTimeout("cut")), model("b", *again))
    assert text_of(events) == "You may carry over five days until March 31."


def test_a_model_that_begins_anew_in_other_words_is_not_joined() -> None:
    first = model("a", "You may carry over five days of leave", ChatTimeout("cut"))
    events = asked(first, model("b", "You may carry over five unused days until March."))
    assert text_of(events) == "You may carry over five days of leave"
    assert isinstance(events[-1], Done)
    assert events[-1].finish_reason == "interrupted"


def test_where_nobody_can_go_on_the_answer_ends_marked() -> None:
    events = asked(model("a", "half", ChatTimeout("cut")))
    assert isinstance(events[-1], Done)
    assert (text_of(events), events[-1].finish_reason) == ("half", "interrupted")


def test_what_a_broken_stream_cost_is_told() -> None:
    events = asked(model("a", "half", ChatTimeout("cut", usage=Usage(10, 2))))
    assert Usage(10, 2) in events


def test_where_all_fail_the_first_ones_error_is_told() -> None:
    with pytest.raises(ChatRefused, match=r"bad key.*1 other chat model failed too"):
        asked(model("a", ChatRefused("bad key")), model("b", ChatUnreachable("down")))


def test_money_that_is_spent_is_spent_for_every_model() -> None:
    second = model("b", "fine")
    with pytest.raises(BudgetExceeded):
        asked(model("a", BudgetExceeded("spent")), second)
    assert not second.requests


def test_without_a_model_it_says_what_to_set() -> None:
    with pytest.raises(SettingsError, match="llm_base_url"):
        RoutedChatModel([], Rule())


WORDS = [
    "Up",
    "to",
    "five",
    "unused",
    "vacation",
    "days",
    "may",
    "be",
    "carried",
    "over",
    "until",
    "the",
    "last",
    "day",
    "of",
    "March",
    "next",
    "year",
    ".",
]
ANSWER = " ".join(WORDS)


@st.composite
def scripts(draw: st.DrawFn) -> list[Step]:
    """The whole answer, or its beginning and then a fault."""
    n_words = draw(st.integers(0, len(WORDS)))
    steps: list[Step] = [(" " if n else "") + word for n, word in enumerate(WORDS[:n_words])]
    for at in draw(st.lists(st.integers(0, n_words), max_size=2)):
        steps.insert(at, draw(st.floats(0.0, 20.0)))
    if n_words < len(WORDS) or draw(st.booleans()):
        steps.append(draw(st.sampled_from([ChatUnreachable("x"), ChatTimeout("x"), ChatRefused("x")])))
    return steps


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(scripts(), min_size=1, max_size=3), min_size=1, max_size=3), st.integers(1, 6))
def test_whatever_fails_when_it_ends_in_time_and_nothing_is_sent_twice_or_said_twice(
    plays: list[list[list[Step]]], attempts: int
) -> None:
    async def main() -> None:
        models = [ScriptedModel(play, f"m{n}") for n, play in enumerate(plays)]
        dice = random.Random(0)
        stack = RoutedChatModel(
            [Candidate(RetryingChatModel(one, jitter=dice.uniform), "strong") for one in models], Rule()
        )
        one = request(timeout_s=40.0, attempts=Attempts(attempts))
        deltas: list[str] = []
        done: list[Done] = []
        try:
            async with asyncio.timeout(200):
                async for event in stack.stream(one):
                    deltas += [event.text] if isinstance(event, Delta) else []
                    done += [event] if isinstance(event, Done) else []
        except ChatError:
            assert not deltas, "after a delta there is never an error"
        else:
            assert len(done) == 1
        said = "".join(deltas)
        # Every model says the same answer from the start, so what is joined is its beginning, once.
        assert ANSWER.startswith(said)
        assert sum(len(each.requests) for each in models) <= attempts
        for each in models:
            begun = [n for n, n_deltas in enumerate(each.n_deltas) if n_deltas]
            assert not begun or begun[0] == len(each.n_deltas) - 1, "sent again after its first delta"
        assert all(each.n_open == 0 for each in models)
        assert len(asyncio.all_tasks()) == 1

    run_virtual(main())
