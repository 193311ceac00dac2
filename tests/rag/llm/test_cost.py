from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag.core.errors import BudgetExceeded, ChatError, ChatTimeout, ChatUnreachable, ContextOverflow
from rag.core.types import ChatRequest, Done, Message, Usage
from rag.llm.cost import Budget, CostedChatModel
from rag.llm.ledger import Ledger, usage_by
from rag.llm.models import ModelInfo
from rag.llm.tokens import TiktokenCounter, count_messages
from tests.rag.llm.scripted import CountingMeter, ScriptedModel, collected

INFO = ModelInfo("gpt-4", usd_input=1000.0, usd_cached_input=100.0, usd_output=2000.0)  # dollars per million
REQUEST = ChatRequest((Message("user", "hello"),), tenant="acme", max_tokens=100)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    one = Ledger(tmp_path / "serving.sqlite")
    yield one
    one.close()


def test_the_servers_usage_is_priced(ledger: Ledger) -> None:
    inner = ScriptedModel([["yes", Usage(1000, 10, 400)]], "gpt-4")
    events = asyncio.run(collected(CostedChatModel(inner, INFO, ledger=ledger).stream(REQUEST)))
    [usage] = [event for event in events if isinstance(event, Usage)]
    assert usage.cost_usd == pytest.approx(0.6 + 0.04 + 0.02)
    assert isinstance(events[-1], Done), "the usage comes before the end"
    assert ledger.spent_today_usd("acme") == pytest.approx(0.66)


def test_a_server_that_says_nothing_is_counted_here(ledger: Ledger) -> None:
    events = asyncio.run(
        collected(CostedChatModel(ScriptedModel([["hello world"]], "gpt-4"), INFO).stream(REQUEST))
    )
    [usage] = [event for event in events if isinstance(event, Usage)]
    assert usage.estimated
    assert usage.output_tokens == 2
    assert usage.cost_usd > 0


def test_a_stream_that_breaks_off_is_in_the_ledger_and_in_the_error(ledger: Ledger) -> None:
    inner = ScriptedModel([["hello world", ChatUnreachable("cut")]], "gpt-4")
    with pytest.raises(ChatUnreachable) as caught:
        asyncio.run(collected(CostedChatModel(inner, INFO, ledger=ledger).stream(REQUEST)))
    assert caught.value.fields["usage"].output_tokens == 2
    assert ledger.spent_today_usd("acme") == pytest.approx(caught.value.fields["usage"].cost_usd)


def test_a_reader_who_leaves_has_cost_something_too(ledger: Ledger) -> None:
    async def main() -> None:
        events = CostedChatModel(ScriptedModel([["hello", "world"]], "gpt-4"), INFO, ledger=ledger).stream(
            REQUEST
        )
        await anext(events)
        await events.aclose()

    asyncio.run(main())
    assert ledger.spent_today_usd("acme") > 0


def test_output_that_the_server_left_out_is_counted_beside_what_it_said() -> None:
    inner = ScriptedModel([["hello world", Usage(1000, 0)]], "gpt-4")
    events = asyncio.run(collected(CostedChatModel(inner, INFO).stream(REQUEST)))
    [usage] = [event for event in events if isinstance(event, Usage)]
    assert (usage.input_tokens, usage.output_tokens, usage.estimated) == (1000, 2, True)


def test_a_silent_server_that_is_given_up_or_left_has_read_the_prompt(ledger: Ledger) -> None:
    n_prompt = count_messages(TiktokenCounter("gpt-4"), REQUEST.messages)

    async def leave() -> None:
        silent = CostedChatModel(ScriptedModel([[60.0]], "gpt-4"), INFO, ledger=ledger)
        asking = asyncio.create_task(collected(silent.stream(REQUEST)))
        await asyncio.sleep(0.01)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)

    given_up = CostedChatModel(ScriptedModel([[ChatTimeout("silent")]], "gpt-4"), INFO, ledger=ledger)
    with pytest.raises(ChatTimeout) as caught:
        asyncio.run(collected(given_up.stream(REQUEST)))
    assert caught.value.fields["usage"].input_tokens == n_prompt
    asyncio.run(leave())
    assert ledger.spent_today_usd("acme") == pytest.approx(2 * n_prompt * 1000 / 1e6)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ChatUnreachable("x"), ("chat_requests", "gpt-4", "chat-unreachable")),
        (ContextOverflow("too long, says the server", status=400), ("chat_requests", "gpt-4", "context-overflow")),
        (ContextOverflow("too long, say we"), ("chat_refused", "window")),
    ],
)  # fmt: skip
def test_what_was_not_sent_is_no_request(error: ChatError, told: tuple[str, ...]) -> None:
    meter = CountingMeter()
    with pytest.raises(ChatError):
        asyncio.run(
            collected(CostedChatModel(ScriptedModel([[error]], "gpt-4"), INFO, meter=meter).stream(REQUEST))
        )
    assert meter.counts == {told: 1}


def test_a_request_that_failed_before_it_began_costs_nothing(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(ChatUnreachable):
        asyncio.run(
            collected(
                CostedChatModel(ScriptedModel([[ChatUnreachable("x")]]), INFO, ledger=ledger).stream(REQUEST)
            )
        )
    ledger.flush()
    assert usage_by(tmp_path / "serving.sqlite", "model", days=1) == []


def test_a_budget_that_is_spent_stops_the_next_request_of_that_tenant_only(ledger: Ledger) -> None:
    inner = ScriptedModel([["yes", Usage(1000, 10)]], "gpt-4")
    meter = CountingMeter()
    model = CostedChatModel(inner, INFO, ledger=ledger, budget=Budget(1.0), meter=meter)
    asyncio.run(collected(model.stream(REQUEST)))
    with pytest.raises(BudgetExceeded, match="midnight UTC"):
        asyncio.run(collected(model.stream(REQUEST)))
    asyncio.run(collected(model.stream(ChatRequest(REQUEST.messages, tenant="zen"))))
    assert len(inner.requests) == 2
    assert meter.counts["chat_refused", "budget"] == 1


def test_a_budget_that_no_price_can_spend_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    CostedChatModel(ScriptedModel([["yes"]], "gpt-4"), INFO, budget=Budget(1.0))
    CostedChatModel(ScriptedModel([["yes"]], "ours"), ModelInfo("ours"))
    assert not caplog.records
    CostedChatModel(ScriptedModel([["yes"]], "ours"), ModelInfo("ours"), budget=Budget(1.0))
    assert "No price of the chat model ours is known" in caplog.text


def test_a_hundred_at_once_do_not_overdraw_together(ledger: Ledger) -> None:
    inner = ScriptedModel([[0.01, "yes", Usage(100, 50)]], "gpt-4")  # $0.20 each
    model = CostedChatModel(inner, INFO, ledger=ledger, budget=Budget(1.0))

    async def main() -> None:
        await asyncio.gather(*(collected(model.stream(REQUEST)) for _ in range(100)), return_exceptions=True)

    asyncio.run(main())
    assert 1.0 <= ledger.spent_today_usd("acme") <= 2.2
    assert ledger.spent_today_usd("acme") == pytest.approx(0.2 * len(inner.requests)), (
        "nothing stays set aside"
    )
