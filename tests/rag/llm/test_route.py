from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.core.errors import (
    BudgetExceeded,
    ChatError,
    ChatProtocolError,
    ChatRateLimited,
    ChatRefused,
    ChatTimeout,
    ChatUnreachable,
    ContextOverflow,
    SettingsError,
)
from rag.core.types import Attempts, ChatEvent, ChatRequest, Delta, Done, Message, Switched, Usage
from rag.llm.breaker import Breaker, BreakingChatModel
from rag.llm.patience import PatientChatModel
from rag.llm.retry import RetryingChatModel
from rag.llm.route import Candidate, RoutedChatModel
from rag.llm.routing import Rule, routed
from tests.rag.llm.scripted import CountingMeter, ScriptedModel, Step, collected, text_of
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


def test_a_model_that_is_down_leaves_attempts_for_the_next_one() -> None:
    down, up = model("a", ChatUnreachable("down")), model("b", "fine")
    stack = RoutedChatModel([Candidate(RetryingChatModel(one), "strong") for one in (down, up)], Rule())
    one = request(attempts=Attempts(5))
    assert text_of(run_virtual(collected(stack.stream(one)))) == "fine"
    assert (len(down.requests), len(up.requests), one.attempts.left) == (3, 1, 1)


def test_a_model_that_hangs_leaves_time_for_the_next_one() -> None:
    hangs, up = model("a", 1000.0, "late"), model("b", 5.0, "fine")
    stack = RoutedChatModel(
        [Candidate(RetryingChatModel(PatientChatModel(one)), "strong") for one in (hangs, up)], Rule()
    )
    assert text_of(run_virtual(collected(stack.stream(request(timeout_s=30.0))))) == "fine"
    assert (len(hangs.requests), len(up.requests)) == (1, 1)


def test_a_prompt_too_long_for_one_model_goes_to_one_with_a_larger_window_only() -> None:
    small, smaller, large = model("a", ContextOverflow("too long")), model("b", "b"), model("c", "c")
    smaller.context_window, large.context_window = 4096, 128_000
    events = asked(small, smaller, large)
    assert text_of(events) == "c"
    assert not smaller.requests


def test_the_other_tier_serves_where_the_wanted_one_fails_and_the_answer_says_so() -> None:
    both = RoutedChatModel(
        [
            Candidate(model("strong", ChatUnreachable("down")), "strong"),
            Candidate(model("small", "s"), "small"),
        ],
        Rule(),
    )
    events = run_virtual(collected(both.stream(request(signals={"confidence": 0.41, "question_chars": 9.0}))))
    assert isinstance(events[-1], Done)
    assert events[-1].route == "small instead of strong: confidence 0.41 is below 0.8"


def test_fallbacks_are_counted_by_rung() -> None:
    meter = CountingMeter()
    models = [model("a", ChatTimeout("x")), model("b", "half", ChatTimeout("x")), model("c", " whole")]
    stack = RoutedChatModel([Candidate(one, "strong") for one in models], Rule(), meter=meter)
    assert text_of(run_virtual(collected(stack.stream(request())))) == "half whole"
    assert meter.counts == {("chat_fallbacks", "next-model"): 1, ("chat_fallbacks", "resumed"): 1}


ANSWER = "Up to five unused vacation days may be carried over until the last day of March next year ."
WORDS = ANSWER.split()


@st.composite
def scripts(draw: st.DrawFn) -> list[Step]:
    """The whole answer, or its beginning and then a fault; silence of any length anywhere."""
    n_words = draw(st.integers(0, len(WORDS)))
    steps: list[Step] = [(" " if n else "") + word for n, word in enumerate(WORDS[:n_words])]
    for at in draw(st.lists(st.integers(0, n_words), max_size=2)):
        steps.insert(at, draw(st.floats(0.0, 50.0)))
    if n_words < len(WORDS) or draw(st.booleans()):
        steps.append(draw(st.sampled_from(FAULTS)))
    return steps


FAULTS = [
    ChatUnreachable("x"),
    ChatTimeout("x"),
    ChatRefused("x"),
    ChatProtocolError("x"),
    ChatRateLimited("x", retry_after_s=3.0),
    ChatRateLimited("x", retry_after_s=300.0),
    ContextOverflow("x"),
]
TIMEOUT_S = 40.0


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(scripts(), min_size=1, max_size=3), min_size=1, max_size=3),
    st.integers(1, 6),
    st.integers(1, 3),
    st.randoms(use_true_random=False),
)
def test_whatever_fails_when_it_ends_in_time_and_nothing_is_sent_twice_or_said_twice(
    plays: list[list[list[Step]]], attempts: int, n_questions: int, dice: random.Random
) -> None:
    async def main() -> None:
        models = [ScriptedModel(play, f"m{n}") for n, play in enumerate(plays)]
        layers = [
            RetryingChatModel(
                BreakingChatModel(PatientChatModel(one), Breaker(one.name)), jitter=dice.uniform
            )
            for one in models
        ]
        stack = RoutedChatModel([Candidate(one, "strong") for one in layers], Rule())
        for _ in range(n_questions):
            before = [len(one.requests) for one in models]
            await ask(stack, attempts)
            sent = [one.n_deltas[n:] for one, n in zip(models, before, strict=True)]
            assert sum(map(len, sent)) <= attempts
            for n_deltas in sent:
                begun = [n for n, number in enumerate(n_deltas) if number]
                assert not begun or begun[0] == len(n_deltas) - 1, "sent again after its first delta"
            assert all(one.n_open == 0 for one in models), "a request goes on upstream"
            assert len(asyncio.all_tasks()) == 1

    async def ask(stack: RoutedChatModel, attempts: int) -> None:
        now = asyncio.get_running_loop().time
        began = now()
        said: list[str] = []
        done: list[Done] = []
        try:
            async for event in stack.stream(request(timeout_s=TIMEOUT_S, attempts=Attempts(attempts))):
                assert not done, "something after Done"
                said += [event.text] if isinstance(event, Delta) else []
                done += [event] if isinstance(event, Done) else []
        except ChatError:
            assert not said, "after a delta there is never an error"
        else:
            assert len(done) == 1
        assert now() - began <= TIMEOUT_S + 0.001
        # Every model says the same answer from the start, so what is joined is its beginning, once.
        assert ANSWER.startswith("".join(said))

    run_virtual(main())
