from __future__ import annotations

import pytest

from rag.core.types import Message
from rag.rewrite import leans, standalone

LEIPZIG = "How many vacation days do employees in Leipzig get?"
HISTORY = (
    Message("user", LEIPZIG),
    Message("assistant", "Employees in Leipzig receive 28 days a year [1]."),
)


def asked(*questions: str) -> str:
    *earlier, last = questions
    return standalone(last, [Message("user", one) for one in earlier])


@pytest.mark.parametrize(
    "question",
    [
        "Which spare parts may customers fit themselves?",
        "What is photosynthesis?",
        "Who is Anna Schmidt?",
        "What is the capital of France?",
        "How long does it take to get a refund for a kettle?",
        "Is it possible to return a kettle after 30 days?",
        "If I return a kettle, is it refunded in full?",
        "When an employee leaves, do they keep the laptop?",
        "Can I open the kettle and clean it myself?",
        "Are there any public holidays in May?",
        "Is there a canteen in Porto?",
        "What does error E-101 mean?",
        "Which documents say that bank holidays count?",
        "How many public holidays are there this year?",
        "What was Anna Schmidt's main task in her time at the company?",
        "What is one way to clean the kettle?",
        "How long did Ms Berg work for the company before she left?",
        "What is it called when a customer sends a kettle back?",
        "Können Sie mir die Garantiezeit der Mühle nennen?",
        "Gibt es eine Kantine in Leipzig?",
        "Wie lange dauert es, bis eine Erstattung kommt?",
        "Was kostet das neue Mahlwerk?",
    ],
)
def test_a_question_that_stands_alone_is_left_as_it_is(question: str) -> None:
    assert not leans(question)
    assert standalone(question, HISTORY) == question


@pytest.mark.parametrize(
    "question",
    [
        "And in Germany?", "What about contractors?", "How about part-time staff?", "How long?", "For how long?", "Why?", "Contractors?",
        "Does it apply to interns?", "Do they need a form?", "Who approves that?", "Is this paid?", "What is the deadline?",
        "How do I claim them?", "What happens there?", "Who is her manager?", "And how many can be carried over?",
        "Und in Österreich?", "Gilt das auch für Praktikanten?", "Wie lange?", "Was ist mit Teilzeit?", "How long after that do I wait for my money?", "Does that include kettles?", "How heavy is the three-group one?", "Wer genehmigt sie?", "Muss ich dafür zahlen?",
        "Et en France ?", "¿Y en España?",
    ],
)  # fmt: skip
def test_a_follow_up_leans_on_what_was_said(question: str) -> None:
    assert leans(question)


@pytest.mark.parametrize(
    ("questions", "alone"),
    [
        ((LEIPZIG, "And in Porto?"), "How many vacation days do employees in Porto get?"),
        ((LEIPZIG, "What about New York?"), "How many vacation days do employees in New York get?"),
        (("What was the revenue in 2022?", "And in 2023?"), "What was the revenue in 2023?"),
        (("What was the revenue in 2022?", "2023?"), "What was the revenue in 2023?"),
        (("What does error E-101 mean?", "And E-102?"), "What does error E-102 mean?"),
        (
            ("Wie viele Urlaubstage gibt es in Leipzig?", "Und in Porto?"),
            "Wie viele Urlaubstage gibt es in Porto?",
        ),
        ((LEIPZIG, "And in Porto?", "What about Lyon?"), "How many vacation days do employees in Lyon get?"),
    ],
)
def test_another_name_takes_the_place_of_the_last_questions(questions: tuple[str, ...], alone: str) -> None:
    assert asked(*questions) == alone


@pytest.mark.parametrize(
    ("questions", "alone"),
    [
        ((LEIPZIG, "And for contractors?"), "And for contractors? (vacation days employees Leipzig)"),
        (("What was the revenue in 2022?", "And in Germany?"), "And in Germany? (revenue)"),
        (("Can I return a kettle?", "How long?"), "How long? (return kettle)"),
        (("How far is it from Porto to Lyon?", "And to Leipzig?"), "And to Leipzig? (far Porto Lyon)"),
        (
            (LEIPZIG, "And in Porto?", "How long do they last?"),
            "How long do they last? (vacation days employees Porto)",
        ),
        (("Was kostet eine Mühle?", "Wie lange hält sie?"), "Wie lange hält sie? (kostet Mühle)"),
        (
            ("Which forms does a refund need?", "Why?", "Who signs them?"),
            "Who signs them? (forms refund need)",
        ),
    ],
)
def test_a_follow_up_takes_the_topic_along(questions: tuple[str, ...], alone: str) -> None:
    assert asked(*questions) == alone


def test_she_is_who_was_named_in_the_last_answer() -> None:
    history = (
        Message("user", "Who approves refunds?"),
        Message("assistant", "Refunds are approved by Maria Lopez [1]."),
    )
    assert (
        standalone("What is her extension?", history)
        == "What is her extension? (approves refunds Maria Lopez)"
    )


def test_a_new_topic_takes_the_old_ones_place() -> None:
    assert asked(LEIPZIG, "What does error E-101 mean?", "And E-102?") == "What does error E-102 mean?"


def test_without_history_nothing_is_added() -> None:
    assert standalone("And in Porto?", ()) == "And in Porto?"
    assert standalone("And in Porto?", [Message("assistant", "Hello.")]) == "And in Porto?"
