"""Rewriting by a chat model: what it may do, and what happens where it does something else."""

from __future__ import annotations

from typing import Any

import pytest

from rag.core.types import ChatRequest, Message, Usage
from rag.llm.client import HttpChatModel
from rag.rewrite import standalone
from rag.rewrite_model import Rewritten, invents, rewritten
from tests.rag.chat_server import Act, chat_server, cut_after, error, prompt_of, then_waits, writes

LEIPZIG = "How many vacation days do employees in Leipzig get?"
HISTORY = (Message("user", LEIPZIG), Message("assistant", "Employees in Leipzig get 28 days [1]."))
FOLLOW_UP = "And how many of them can they carry over to 2025?"
ALONE = "How many vacation days can employees in Leipzig carry over to 2025?"


async def by(
    act: Act, question: str = FOLLOW_UP, history: tuple[Message, ...] = HISTORY, **like: Any
) -> tuple[Rewritten, Any]:
    async with chat_server(act) as server:
        model = HttpChatModel(server.base_url, "small")
        return await rewritten(question, history, model, ChatRequest((), **like)), server


async def test_the_model_makes_a_follow_up_stand_alone() -> None:
    result, server = await by(writes(ALONE, usage={"prompt_tokens": 150, "completion_tokens": 14}))
    assert result == Rewritten(ALONE, "model", Usage(150, 14))
    assert server.bodies[0]["temperature"] == 0.0
    assert server.bodies[0]["max_tokens"] == 96
    assert f"Q: {LEIPZIG}\nA: Employees in Leipzig get 28 days (1)." in prompt_of(server.bodies[0])[1]


@pytest.mark.parametrize("said", [f'"{ALONE}"', f"Rewritten question: {ALONE}", f"\n**{ALONE}**\n"])
async def test_what_models_put_around_the_question_is_taken_off(said: str) -> None:
    assert (await by(writes(said)))[0] == Rewritten(ALONE, "model")


@pytest.mark.parametrize("question", [LEIPZIG, "Which spare parts may customers fit themselves?"])
async def test_a_question_that_stands_alone_costs_no_request(question: str) -> None:
    result, server = await by(writes("never"), question)
    assert (result, server.bodies) == (Rewritten(question, "asked"), [])


async def test_the_first_question_costs_no_request() -> None:
    result, server = await by(writes("never"), FOLLOW_UP, ())
    assert (result, server.bodies) == (Rewritten(FOLLOW_UP, "asked"), [])


async def test_without_a_model_the_rule_does_it() -> None:
    assert await rewritten(FOLLOW_UP, HISTORY, None) == Rewritten(standalone(FOLLOW_UP, HISTORY), "rule")


@pytest.mark.parametrize(
    "said",
    [
        "",
        "They can carry over five of them.\nThat is until March.",
        "How many vacation days can employees in Leipzig carry over?",  # lost 2025
        "How many vacation days can employees in Porto carry over to 2025?",  # another place
        "How many of the 30 vacation days can employees in Leipzig carry over to 2025?",  # another number
        "How many unpaid sabbatical days can employees in Leipzig carry over to 2025?",  # another thing
        "How many vacation days can employees in Leipzig not carry over to 2025?",  # the opposite
        "What is the weather like?",
        "word " * 200,
    ],
)
async def test_a_question_that_lost_or_invented_something_is_not_taken(said: str) -> None:
    assert (await by(writes(said)))[0] == Rewritten(standalone(FOLLOW_UP, HISTORY), "rule")


@pytest.mark.parametrize("act", [error(500, "boom"), error(401, "no"), cut_after("How "), then_waits()])
async def test_where_the_model_fails_or_is_late_the_rule_does_it_and_says_why(act: Act) -> None:
    result, _ = await by(act, timeout_s=0.2)
    assert (result.question, result.by) == (standalone(FOLLOW_UP, HISTORY), "rule")
    assert "by rule, because the chat model failed" in (result.notice or "")


@pytest.mark.parametrize(
    ("alone", "question"),
    [
        ("How many vacation days do employees in Germany get?", "And in Germany?"),
        ("Is E-417 covered by the warranty of 28 days?", "Does that cover E-417?"),
    ],
)
def test_words_of_the_conversation_are_no_inventions(alone: str, question: str) -> None:
    history = (*HISTORY, Message("assistant", "The warranty is 28 days, and is covered."))
    assert not invents(alone, question, history)


def test_a_code_must_be_kept_to_the_letter() -> None:
    assert invents(
        "Does the policy cover E-418?",
        "Does that cover E-417?",
        (Message("user", "What is the policy on E-418?"),),
    )
