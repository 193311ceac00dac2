from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rag.core.types import ChatEvent, ChatRequest, Done, Message
from rag.llm.cache import CachedChatModel
from rag.llm.cache_store import ReplyStore
from rag.llm.same_question import may_differ
from rag.llm.semantic import SemanticIndex, Vector
from tests.rag.llm.scripted import ScriptedModel, collected, text_of

CARRY = "How many vacation days can I carry over?"
CARRIED = "How many vacation days can be carried over?"


def near(cosine: float) -> Vector:
    """A vector with this cosine to (1, 0)."""
    return np.array([cosine, (1 - cosine**2) ** 0.5], np.float32)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[SemanticIndex]:
    with closing(SemanticIndex(tmp_path / "serving.sqlite", 0.9)) as opened:
        opened.remember(CARRY, near(1.0), "sources", "acme", "key")
        yield opened


def test_a_similar_question_about_the_same_sources_is_found(index: SemanticIndex) -> None:
    assert index.find(CARRIED, near(0.95), "sources", "acme") == "key"


@pytest.mark.parametrize(
    ("question", "cosine", "sources", "tenant"),
    [
        (CARRIED, 0.89, "sources", "acme"),
        (CARRIED, 0.95, "changed", "acme"),
        (CARRIED, 0.95, "sources", "globex"),
        ("How many vacation days can not be carried over?", 0.99, "sources", "acme"),
        ("How many vacation days can Dana carry over?", 0.99, "sources", "acme"),
    ],
    ids=["too far", "other sources", "other tenant", "negated", "a name"],
)
def test_nothing_is_found_where_anything_differs(
    index: SemanticIndex, question: str, cosine: float, sources: str, tenant: str
) -> None:
    assert index.find(question, near(cosine), sources, tenant) is None


def test_a_farther_question_serves_where_the_nearest_one_may_differ(index: SemanticIndex) -> None:
    index.remember("How many vacation days can't I carry over?", near(0.96), "sources", "acme", "negated")
    assert index.find(CARRIED, near(0.95), "sources", "acme") == "key"


def test_vectors_of_another_encoder_are_not_compared(tmp_path: Path) -> None:
    file = tmp_path / "serving.sqlite"
    with closing(SemanticIndex(file, 0.9, space="one")) as one:
        one.remember(CARRY, near(1.0), "sources", "acme", "key")
    with closing(SemanticIndex(file, 0.9, space="other")) as other:
        assert other.find(CARRY, near(1.0), "sources", "acme") is None
    with closing(SemanticIndex(file, 0.9, space="one")) as again:
        assert again.find(CARRY, [1.0, 0.0, 0.0], "sources", "acme") is None
        assert again.find(CARRY, [3.0, 0.0], "sources", "acme") == "key"


def test_a_damaged_row_or_file_finds_nothing_and_raises_nothing(index: SemanticIndex, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "serving.sqlite")) as db, db:
        db.execute("UPDATE question SET vector = x'00'")
    assert index.find(CARRY, near(1.0), "sources", "acme") is None
    broken = tmp_path / "broken.sqlite"
    broken.write_bytes(b"no database" * 100)
    with closing(SemanticIndex(broken, 0.9)) as other:
        other.remember(CARRY, near(1.0), "sources", "acme", "key")
        assert other.find(CARRY, near(1.0), "sources", "acme") is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Is smoking allowed?", "Is smoking not allowed?"),
        ("Is smoking allowed?", "Isn't smoking allowed?"),
        ("Is smoking allowed?", "Is smoking forbidden?"),
        ("What does plan 3 cost?", "What does plan 4 cost?"),
        ("What does it cost for two users?", "What does it cost for three users?"),
        ("What does error VPN-4711 mean?", "What does error VPN-4712 mean?"),
        ("Who is Dana's manager?", "Who is Omar's manager?"),
        ("Where is the Berlin office?", "Where is the Munich office?"),
        ("Berlin office hours?", "Munich office hours?"),
        ("Who wrote the policy?", "When was the policy written?"),
        ("What is the minimum age?", "What is the maximum age?"),
        ("Can I cancel before the trial ends?", "Can I cancel after the trial ends?"),
        ("Was kostet es mit Versand?", "Was kostet es ohne Versand?"),
        ("Darf ich rauchen?", "Darf ich nicht rauchen?"),
        ("What is the user_id?", "What is the group_id?"),
        ("Does the API work with OAuth?", "Does the API work with SAML?"),
        ("Is 5 % enough?", "Is 5 € enough?"),
    ],
)
def test_questions_that_may_differ_are_told(one: str, other: str) -> None:
    assert may_differ(one, other)
    assert may_differ(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (CARRY, CARRIED),
        ("What does error VPN-4711 mean?", "what is the meaning of error vpn-4711"),
        ("Is smoking not allowed?", "Isn't smoking allowed?"),
        ("What is Dana's job?", "Which job does Dana have?"),
        ("Do I get 1,000 points?", "Will I get 1000 points?"),
        ("Are there three plans?", "Are there 3 plans?"),
    ],
)
def test_other_words_for_the_same_do_not_differ(one: str, other: str) -> None:
    assert not may_differ(one, other)


# Around a chat model


def request(question: str, sources: str = "[1] 5 days") -> ChatRequest:
    return ChatRequest((Message("system", "Answer."), Message("user", f"{sources}\n\nQuestion: {question}")))


class Desk:
    def __init__(self, folder: Path) -> None:
        self.model = ScriptedModel([["5 days [1]"]])
        self.store = ReplyStore(folder / "serving.sqlite")
        self.index = SemanticIndex(folder / "serving.sqlite", 0.9)
        self.cached = CachedChatModel(self.model, self.store, asked_of="m")

    def ask(self, question: str, sent: ChatRequest, cosine: float) -> list[ChatEvent]:
        around = self.index.around(
            self.cached, self.store, question, lambda _: near(cosine), asked_of=self.cached.asked_of
        )
        return asyncio.run(collected(around.stream(sent)))  # type: ignore[arg-type]

    def close(self) -> None:
        self.store.close()
        self.index.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with closing(Desk(tmp_path)) as opened:
        opened.ask(CARRY, request(CARRY), 1.0)
        yield opened


def test_a_similar_question_gets_the_reply_without_asking(desk: Desk) -> None:
    events = desk.ask(CARRIED, request(CARRIED), 0.95)
    assert text_of(events) == "5 days [1]"
    assert isinstance(events[-1], Done)
    assert events[-1].cached
    assert len(desk.model.requests) == 1


@pytest.mark.parametrize(
    ("question", "sent"),
    [
        (CARRIED, request(CARRIED, "[1] 6 days")),
        (CARRIED, replace(request(CARRIED), max_tokens=9)),
        (CARRIED, replace(request(CARRIED), tenant="globex")),
        (CARRIED, replace(request(CARRIED), temperature=0.5)),
        (
            "How many vacation days can't be carried over?",
            request("How many vacation days can't be carried over?"),
        ),
    ],
    ids=["changed document", "parameter", "tenant", "sampled", "negated"],
)
def test_a_similar_question_is_asked_where_anything_else_differs(
    desk: Desk, question: str, sent: ChatRequest
) -> None:
    desk.ask(question, sent, 0.99)
    assert len(desk.model.requests) == 2


def test_what_has_left_the_cache_is_asked_again(desk: Desk, tmp_path: Path) -> None:
    desk.store.forget("default")
    desk.store.close()
    desk.store = ReplyStore(tmp_path / "serving.sqlite")
    desk.cached = CachedChatModel(desk.model, desk.store, asked_of="m")
    assert text_of(desk.ask(CARRIED, request(CARRIED), 0.95)) == "5 days [1]"
    assert len(desk.model.requests) == 2
