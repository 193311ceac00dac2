from __future__ import annotations

import asyncio

import pytest

from rag.core.errors import ChatTimeout
from rag.core.types import ChatEvent, ChatRequest, Delta, Done, Message
from rag.llm.patience import IDLE_S, Patience, PatientChatModel
from tests.rag.llm.scripted import ScriptedModel, Step, collected, text_of
from tests.virtual_time import run_virtual


def request(timeout_s: float = 60.0, patience: float = 0.5) -> ChatRequest:
    return ChatRequest((Message("user", "hello"),), timeout_s=timeout_s, patience=patience)


def asked(one: ChatRequest, *script: Step) -> tuple[list[ChatEvent], float, str]:
    """(events, seconds, code of the error)"""

    async def main() -> tuple[list[ChatEvent], float, str]:
        inner = ScriptedModel([script])
        events: list[ChatEvent] = []
        code = ""
        try:
            async for event in PatientChatModel(inner).stream(one):
                events.append(event)
        except ChatTimeout as exc:
            code = exc.code
        assert inner.n_open == 0, "the request goes on upstream"
        assert len(asyncio.all_tasks()) == 1
        return events, asyncio.get_running_loop().time(), code

    return run_virtual(main())


def test_a_server_that_says_nothing_gets_its_share_of_the_time() -> None:
    events, seconds, code = asked(request(60, patience=0.5), 100.0, "late")
    assert (events, code) == ([], "chat-timeout")
    assert seconds == pytest.approx(30)


def test_the_last_one_that_can_be_asked_gets_all_of_it() -> None:
    assert asked(request(60, patience=1.0), 59.0, "late")[2] == ""


def test_an_answer_that_makes_progress_is_not_cut_by_that_share() -> None:
    script: list[Step] = []
    for n in range(50):
        script += [1.0, f"{n} "]
    events, seconds, code = asked(request(60, patience=0.5), *script)
    assert code == ""
    assert seconds == pytest.approx(50)
    assert text_of(events).split() == [str(n) for n in range(50)]
    assert isinstance(events[-1], Done)


def test_one_that_stalls_in_the_middle_is_given_up() -> None:
    events, seconds, code = asked(request(600, patience=1.0), 1.0, "half", 300.0, "never")
    assert (events, code) == ([Delta("half")], "chat-timeout")
    assert seconds == pytest.approx(1 + IDLE_S)


def test_the_readers_time_is_not_taken_for_the_servers_silence() -> None:
    async def main() -> str:
        text = ""
        async for event in PatientChatModel(ScriptedModel([["a", "b", "c"]])).stream(request(600)):
            text += event.text if isinstance(event, Delta) else ""
            await asyncio.sleep(100)
        return text

    assert run_virtual(main()) == "abc"


def test_a_reader_who_is_cancelled_is_cancelled_and_not_timed_out() -> None:
    async def main() -> None:
        inner = ScriptedModel([[50.0, "late"]])
        task = asyncio.create_task(collected(PatientChatModel(inner).stream(request())))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert inner.n_open == 0

    run_virtual(main())


@pytest.mark.parametrize(
    ("left_s", "share", "begun", "silence_s"),
    [(60, 0.5, False, 30), (60, 1.0, False, 60), (60, 1.0, True, IDLE_S), (10, 0.5, True, 5)],
)
def test_the_rule_for_silence(left_s: float, share: float, begun: bool, silence_s: float) -> None:
    assert Patience().silence_s(left_s, share, begun=begun) == silence_s


def test_a_server_that_is_usually_quick_is_given_up_sooner_while_others_can_be_asked() -> None:
    patience = Patience()
    patience.first_delta_after(1.0)
    assert patience.silence_s(60, 0.5, begun=False) == patience.silence_s(60, 0.5, begun=True) == 8.0
    assert patience.silence_s(60, 1.0, begun=False) == 60
    assert patience.silence_s(6, 0.5, begun=False) == 3.0


def test_a_server_that_has_become_slow_is_waited_for_longer_each_time() -> None:
    patience = Patience()
    patience.first_delta_after(1.0)
    waits = []
    for _ in range(3):
        waits.append(patience.silence_s(60, 0.5, begun=False))
        patience.silent_for(waits[-1])
    assert waits == [8.0, 16.0, 30.0]


def test_what_was_slow_once_is_forgotten() -> None:
    patience = Patience()
    patience.first_delta_after(20.0)
    for _ in range(200):
        patience.first_delta_after(0.1)
    assert patience.silence_s(60, 0.5, begun=False) == 2.0


def test_it_learns_from_the_replies_it_passes_on() -> None:
    async def main() -> float:
        model = PatientChatModel(ScriptedModel([[0.2, "quick"], [100.0, "late"]]))
        await collected(model.stream(request()))
        before = asyncio.get_running_loop().time()
        with pytest.raises(ChatTimeout, match="silent for 2 s"):
            await collected(model.stream(request()))
        return asyncio.get_running_loop().time() - before

    assert run_virtual(main()) == pytest.approx(2.0)
