"""Two servers on real sockets; the first meets every fault there is, the second is well."""

from __future__ import annotations

import asyncio

import pytest

from rag.core.types import ChatRequest, Delta, Done, Message, Switched
from rag.llm.breaker import Breaker, BreakingChatModel
from rag.llm.client import HttpChatModel
from rag.llm.patience import PatientChatModel
from rag.llm.retry import RetryingChatModel
from rag.llm.route import Candidate, RoutedChatModel
from rag.llm.routing import Rule
from tests.fault_answers import answer_to
from tests.fault_server import fault_server
from tests.faults import ALL, IN_STREAM, Fault

QUESTION = "How many unused days may be carried over?"
TIMEOUT_S = 1.5


@pytest.mark.parametrize("fault", ALL)
async def test_an_answer_is_complete_whatever_one_of_two_servers_does(fault: Fault) -> None:
    request = ChatRequest((Message("user", QUESTION),), timeout_s=TIMEOUT_S)
    async with fault_server(seed=3) as ill, fault_server() as well:
        ill.script(*[fault] * 10)
        models = [HttpChatModel(ill.base_url, "ill"), HttpChatModel(well.base_url, "well")]
        stack = RoutedChatModel(
            [
                Candidate(
                    RetryingChatModel(
                        BreakingChatModel(PatientChatModel(one), Breaker(one.base_url)),
                        jitter=lambda low, _: low,
                    ),
                    "strong",
                )
                for one in models
            ],
            Rule(),
        )
        began = asyncio.get_running_loop().time()
        events = [event async for event in stack.stream(request)]
        took_s = asyncio.get_running_loop().time() - began
        await stack.close()

        assert "".join(one.text for one in events if isinstance(one, Delta)) == answer_to(QUESTION)
        assert isinstance(events[-1], Done)
        assert events[-1].finish_reason == "stop"
        assert took_s < TIMEOUT_S
        n_begun = sum(one.deltas > 0 for one in ill.requests)
        assert n_begun <= 1 or fault not in IN_STREAM, "sent again after its first delta"
        for switched in (one for one in events if isinstance(one, Switched)):
            assert (switched.from_model, switched.to_model) == ("ill", "well")
    assert len(asyncio.all_tasks()) == 1
