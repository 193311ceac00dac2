"""What leaves the machine, and what comes back, against a chat server on a real socket."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncGenerator, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.answer import answer
from rag.core.types import ChatEvent, ChatRequest, Delta, Done, Final, Message, Scope
from rag.llm.client import HttpChatModel
from rag.llm.mask import MaskedChatModel, masks
from rag.llm.personal import find
from rag.llm.personal_names import names_finder
from rag.llm.placeholders import Placeholders, Restoring
from tests.rag.chat_server import ChatServer, chat_server, prompt_of, writes
from tests.rag.llm.personal_cases import NOT_PERSONAL, PERSONAL
from tests.rag.memory import parts

KEY = b"one key for all tests"
MAIL, PHONE = "anna.schmidt@example.com", "+49 30 901820"

PIECES = [
    *(text for _, text, _ in PERSONAL), *(one for _, _, wanted in PERSONAL for one in wanted), *NOT_PERSONAL,
    "[", "]", "[[", "]]", "EMAIL_", "email_417", "[[EMAIL_417]]", "[EMAIL_417]", "PHONE_", "KEY\\_123", "【", "】", "_", "1", "417", " ", "\n", "x",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=6), max_size=8).map("".join)


class Counted:
    """A meter that keeps what it is told."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], float] = {}

    def count(self, name: str, value: float = 1, **labels: str) -> None:
        key = (name, *labels.values())
        self.counts[key[0], key[-1]] = self.counts.get((key[0], key[-1]), 0) + value

    def time(self, name: str, seconds: float, **labels: str) -> None: ...

    def gauge(self, name: str, value: float, **labels: str) -> None: ...


def of(*texts: str) -> Placeholders:
    return Placeholders(texts, KEY)


# Placeholders


@given(TEXTS)
def test_what_was_masked_is_restored_to_the_character(text: str) -> None:
    placeholders = of(text)
    assert placeholders.restore(placeholders.mask(text)) == text


@given(TEXTS)
def test_nothing_personal_is_left_in_what_is_masked(text: str) -> None:
    placeholders = of(text)
    masked = placeholders.mask(text)
    left = [masked[one.start : one.end] for one in find(masked)]
    assert left == []
    for one in find(text):
        assert one.kind in ("PHONE", "CARD") or text[one.start : one.end] not in masked


@given(TEXTS, st.randoms(use_true_random=False))
def test_a_stream_cut_anywhere_is_restored_like_the_whole(text: str, chance: random.Random) -> None:
    placeholders = of(text)
    masked = placeholders.mask(text)
    restoring, shown, at = Restoring(placeholders), "", 0
    while at < len(masked):
        size = chance.randint(1, 6)
        shown += restoring.feed(masked[at : at + size])
        at += size
    assert shown + restoring.close() == placeholders.restore(masked) == text


def test_the_same_value_has_the_same_placeholder_in_every_request() -> None:
    first, second = of(), of()
    assert first.mask(f"{MAIL}, {PHONE}, {MAIL}").count(first.mask(MAIL)) == 2
    assert second.mask(f"{PHONE} {MAIL}") == f"{first.mask(PHONE)} {first.mask(MAIL)}"
    assert Placeholders([], b"another process").mask(MAIL) != first.mask(MAIL)


def test_many_values_of_one_request_have_placeholders_of_their_own() -> None:
    text = " ".join(f"user{n}@example.com" for n in range(2000))
    placeholders = of(text)
    masked = placeholders.mask(text)
    assert len(set(masked.split())) == 2000
    assert placeholders.restore(masked) == text


@pytest.mark.parametrize(
    "spelling",
    ["[{}]", "{}", "[ {} ]", "【{}】", "**[{}]**", "`{}`", "({})"],
)
@pytest.mark.parametrize("case", [str.upper, str.lower, str.capitalize])
def test_a_placeholder_is_known_however_a_model_writes_it(spelling: str, case: Callable[[str], str]) -> None:
    placeholders = of()
    name = placeholders.mask(MAIL).strip("[]")
    for one in (name, name.replace("_", "\\_")):
        restored = placeholders.restore("Write to " + spelling.format(case(one)) + ".")
        assert MAIL in restored
        assert not {"EMAIL", "[", "【"} & set(restored.upper().split()) and "[" not in restored


def test_words_that_only_look_like_a_placeholder_stay_as_they_are() -> None:
    placeholders = of()
    number = placeholders.mask(MAIL).strip("[]").partition("_")[2]
    for text in (
        "[EMAIL_1]",
        "[NAME_999999]",
        f"MYEMAIL_{number}",
        f"EMAIL_{number}x",
        f"email {number}",
        "[1]",
    ):
        assert placeholders.restore(text) == text


def test_what_one_message_tells_is_hidden_in_all() -> None:
    texts = ["Phone number 555-0123", "Is 555-0123 right, or 1555-01234?"]
    placeholders = of(*texts)
    first, second = map(placeholders.mask, texts)
    assert second == f"Is {first.removeprefix('Phone number ')} right, or 1555-01234?"


# Through the client


async def asked(
    server: ChatServer, *contents: str, meter: Counted | None = None
) -> tuple[str, list[ChatEvent]]:
    model = MaskedChatModel(HttpChatModel(server.base_url, "gpt-4"), meter, key=KEY)
    roles = ("system", "user", "assistant", "user")
    messages = tuple(Message(role, text) for role, text in zip(roles, contents, strict=False))  # type: ignore[arg-type]
    events = [event async for event in model.stream(ChatRequest(messages, extra={"user": MAIL}))]
    return "".join(event.text for event in events if isinstance(event, Delta)), events


async def test_personal_data_stays_here_and_is_in_the_answer() -> None:
    mask, meter = of().mask, Counted()
    reply = f"Write to {mask(MAIL)} [1], or call {mask(PHONE).lower()}."
    async with chat_server(writes(*reply, usage={"prompt_tokens": 9, "completion_tokens": 9})) as server:
        text, events = await asked(
            server, "Answer.", f"Who is {MAIL}?", f"Call {PHONE}.", f"{MAIL}, {PHONE}", meter=meter
        )
        sent = json.dumps(server.bodies[0])
        prompt = prompt_of(server.bodies[0])
    assert text == f"Write to {MAIL} [1], or call {PHONE}."
    assert isinstance(events[-1], Done)
    assert MAIL not in sent and PHONE not in sent
    assert prompt == [
        "Answer.",
        f"Who is {mask(MAIL)}?",
        f"Call {mask(PHONE)}.",
        f"{mask(MAIL)}, {mask(PHONE)}",
    ]
    assert meter.counts == {("chat_masked", "email"): 1, ("chat_masked", "phone"): 1}


async def test_a_request_without_personal_data_is_sent_as_it_is() -> None:
    async with chat_server(writes("Five", " E", "MAIL")) as server:
        model = MaskedChatModel(HttpChatModel(server.base_url, "gpt-4"))
        events = [
            event
            async for event in model.stream(
                ChatRequest((Message("system", "A"), Message("user", "On 2024-03-01?")))
            )
        ]
        assert prompt_of(server.bodies[0]) == ["A", "On 2024-03-01?"]
    assert "".join(event.text for event in events if isinstance(event, Delta)) == "Five EMAIL"


async def test_an_invented_placeholder_is_shown_as_it_is() -> None:
    async with chat_server(writes("See [EM", "AIL_1] and [", "1].")) as server:
        text, _ = await asked(server, "Answer.", f"Who is {MAIL}?")
    assert text == "See [EMAIL_1] and [1]."


async def test_closing_the_answer_ends_the_request() -> None:
    closed = False

    class Endless:
        name, context_window = "endless", 8192

        async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
            nonlocal closed
            try:
                while True:
                    yield Delta("more ")
            finally:
                closed = True

        async def close(self) -> None: ...

    events = MaskedChatModel(Endless()).stream(ChatRequest((Message("user", "?"),)))
    assert await anext(events) == Delta("more ")
    await events.aclose()
    assert closed


# When


@pytest.mark.parametrize(
    ("setting", "base_url", "masked"),
    [
        ("auto", "http://127.0.0.1:8080/v1", False), ("auto", "http://localhost/v1", False), ("auto", "http://[::1]:1/v1", False),
        ("auto", "http://127.8.8.8/v1", False), ("auto", "https://api.openai.com/v1", True), ("auto", "http://192.168.1.5/v1", True),
        ("auto", "http://localhost.example.com/v1", True), ("auto", "http://127.0.0.1.example.com", True), ("auto", "http://[bad", True),
        ("auto", "https://127.0.0.1@api.example.com/v1", True),
        ("mask", "http://127.0.0.1/v1", True), ("send", "https://api.openai.com/v1", False),
    ],
)  # fmt: skip
def test_personal_data_is_replaced_unless_the_server_is_on_this_machine(
    setting: str, base_url: str, masked: bool
) -> None:
    assert masks(setting, base_url) is masked  # type: ignore[arg-type]


def test_names_are_found_by_spacy_or_its_absence_is_told() -> None:
    from rag.core.errors import SettingsError

    try:
        names = names_finder()
    except SettingsError as exc:
        assert "footnote[names]" in exc.message
        return
    text = "The contract was signed by Angela Merkel and by Barack Obama in Berlin."
    placeholders = Placeholders([text], KEY, names)
    masked = placeholders.mask(text)
    assert "Merkel" not in masked and "Obama" not in masked and "Berlin" in masked
    assert placeholders.restore(masked) == text


async def test_a_restored_answer_is_verified_against_the_documents() -> None:
    texts = {"desk.md": f"# Service desk\n\nThe service desk answers mail to {MAIL} within one day.\n"}
    said = f"The service desk answers mail to {of().mask(MAIL)} within one day [1]."
    async with chat_server(writes(*said)) as server:
        chat = MaskedChatModel(HttpChatModel(server.base_url, "gpt-4"), key=KEY)
        asked = answer(
            "Which mail does the service desk answer?", Scope(), parts(chat, texts, abstain_below=0.0)
        )
        final = [event async for event in asked][-1]
        assert MAIL not in json.dumps(server.bodies)
    assert isinstance(final, Final)
    assert final.answer.mode == "llm"
    assert final.answer.text == f"The service desk answers mail to {MAIL} within one day [1]."
    assert MAIL in final.answer.citations[0].quote
