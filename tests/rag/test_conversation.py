"""Earlier turns within their share of the window: kept, left out or summed up by a model on a real socket."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.conversation import Conversation, Summaries, prepared
from rag.core.settings import Settings
from rag.core.types import Message, Usage
from rag.llm.client import HttpChatModel
from rag.llm.tokens import EstimatedCounter, TiktokenCounter, count_messages
from tests.rag.chat_server import Act, ChatServer, chat_server, error, prompt_of, writes

COUNTER = EstimatedCounter()
QUESTION = "Which spare parts may customers fit themselves?"


def talk(n: int, words: int = 40) -> tuple[Message, ...]:
    turns: list[Message] = []
    for one in range(1, n + 1):
        turns += [
            Message("user", f"Question {one} about kettles?"),
            Message("assistant", f"Answer {one}: " + "kettle " * words),
        ]
    return tuple(turns)


def settings(**values: Any) -> Settings:
    return Settings(**{"history_share": 0.25, **values})


async def made(
    server: ChatServer | None, history: tuple[Message, ...], question: str = QUESTION, window: int = 2000, summaries: Summaries | None = None, **values: Any
) -> Conversation:  # fmt: skip
    chat = HttpChatModel(server.base_url if server else "http://127.0.0.1:9/v1", "small")
    kept = Summaries() if summaries is None else summaries
    return await prepared(history, question, chat, COUNTER, window, settings(**values), summaries=kept)


async def test_a_history_that_fits_is_kept_whole_and_costs_nothing() -> None:
    result = await made(None, talk(3))
    assert result == Conversation(talk(3), QUESTION)


async def test_the_oldest_exchanges_go_first_and_whole() -> None:
    result = await made(None, talk(20))
    assert 0 < len(result.history) < 40
    assert result.history == talk(20)[-len(result.history) :]
    assert result.history[0].role == "user"
    assert result.n_left_out == 40 - len(result.history)
    assert f"the first {result.n_left_out} turns" in result.notices[0]


@given(
    st.lists(st.tuples(st.sampled_from(["user", "assistant", "system"]), st.text(max_size=400)), max_size=12),
    st.integers(512, 3000),
    st.sampled_from([0.0, 0.1, 0.25, 0.9]),
)
async def test_what_is_kept_never_outgrows_its_share(
    turns: list[tuple[Any, str]], window: int, share: float
) -> None:
    history = tuple(Message(role, text) for role, text in turns)
    result = await prepared(history, QUESTION, None, COUNTER, window, settings())
    assert result.history == tuple(turn for turn in history if turn.role != "system" and turn.content.strip())
    chat = HttpChatModel("http://127.0.0.1:9/v1", "small")
    result = await prepared(
        history, QUESTION, chat, COUNTER, window, settings(history_share=share, rewrite="rule")
    )
    shown = count_messages(COUNTER, result.history) if result.history else 0
    assert shown <= window * share
    assert (result.n_left_out > 0) is bool(result.notices)


async def test_a_counter_that_may_fall_short_gets_less_room() -> None:
    counter = TiktokenCounter("some-open-model")
    chat = HttpChatModel("http://127.0.0.1:9/v1", "some-open-model")
    result = await prepared(talk(20), QUESTION, chat, counter, 2000, settings())
    assert 0 < count_messages(counter, result.history) <= 500 / (1 + counter.margin)


# Summed up


async def test_what_outgrows_its_share_is_summed_up() -> None:
    usage = {"prompt_tokens": 700, "completion_tokens": 20}
    async with chat_server(writes("They talked ", "about kettles.", usage=usage)) as server:
        result = await made(server, talk(20), history_overflow="summarize")
        prompt = prompt_of(server.bodies[0])
    assert result.summary == "They talked about kettles."
    assert result.history[0].content == "Summary of our conversation so far: They talked about kettles."
    assert [turn.role for turn in result.history[:3]] == ["user", "assistant", "user"]
    assert result.history[2:] == talk(20)[-len(result.history) + 2 :]
    assert (result.usage, result.n_left_out, result.notices) == (Usage(700, 20), 0, ())
    assert count_messages(COUNTER, result.history) <= 500
    assert "Q: Question 1 about kettles?" in prompt[1]
    assert server.bodies[0]["max_tokens"] == 166


async def test_a_summary_serves_for_several_turns_and_the_next_is_made_from_it() -> None:
    summaries = Summaries()
    async with chat_server(writes("The first part."), writes("Both parts.")) as server:
        seen: list[str | None] = []
        for n in range(1, 16):
            result = await made(
                server, talk(n), summaries=summaries, history_overflow="summarize", window=2000
            )
            seen.append(result.summary)
        n_requests = len(server.bodies)
        second = prompt_of(server.bodies[1])[1]
    assert seen[:3] == [None] * 3
    assert seen[-1] == "Both parts."
    assert 2 <= n_requests <= 6
    assert "Summary so far:\n\nThe first part." in second
    assert "Question 1 about" not in second


async def test_a_history_that_outgrows_even_the_window_is_summed_up_from_its_latest_part() -> None:
    async with chat_server(writes("Kettles.")) as server:
        result = await made(server, talk(100), history_overflow="summarize", window=1200)
        prompt = "".join(prompt_of(server.bodies[0]))
    assert result.summary == "Kettles."
    assert COUNTER.count(prompt) + server.bodies[0]["max_tokens"] <= 1200


@pytest.mark.parametrize("act", [error(500, "boom"), writes(""), writes("far too long " * 400)])
async def test_where_it_cannot_be_summed_up_the_oldest_turns_are_left_out_and_that_is_told(act: Act) -> None:
    async with chat_server(act) as server:
        result = await made(server, talk(20), history_overflow="summarize")
    assert result.summary is None
    assert result.history == talk(20)[-len(result.history) :]
    assert result.n_left_out > 0
    assert "left out" in result.notices[0] or "did not see the first" in result.notices[0]


# And the question


async def test_the_question_is_made_to_stand_alone_beside_it() -> None:
    history = (
        Message("user", "How many vacation days do employees in Leipzig get?"),
        Message("assistant", "28 [1]."),
    )
    async with chat_server(writes("How many vacation days do employees in Porto get?")) as server:
        result = await made(server, history, "And in Porto?")
        assert (result.question, result.rewritten_by) == (
            "How many vacation days do employees in Porto get?",
            "model",
        )
        by_rule = await made(server, history, "And in Porto?", rewrite="rule")
        assert (by_rule.question, by_rule.rewritten_by) == (result.question, "rule")
        assert len(server.bodies) == 1
    alone = await prepared(history, "And in Porto?", None, None, 0, settings())
    assert (alone.question, alone.history) == (by_rule.question, history)
