from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.cite import Checked, Verifier
from rag.core.types import Verdict
from rag.markers import answer_sentences
from tests.rag.memory import BILLING, HANDBOOK, VERTRAG, packed_source

S, W, U = Verdict.SUPPORTED, Verdict.WEAK, Verdict.UNSUPPORTED

CARRY = "You can carry over up to five unused vacation days until March 31. Requests go to your team lead."
PLANS = "The basic plan costs $5 per month and the premium plan costs $9 per month."
LEAVE = "Employees get 12 vacation days and 5 sick days per year."
REFUND = "Refunds are not given after 30 days. Error ERR-1042 means that the card was declined."
FOUNDED = "The company was founded in 1998 in Oslo by Ingrid Dahl."
SUED = "OPEC sued Exxon in 1973."
TWO = "Employees get 25 vacation days per year. You can carry over up to five unused vacation days until March 31."
ACCESS = "Visitors must wear a badge at all times. Contractors may enter the lab only with an escort."
BACKUP = "Backups run daily at 2:00 am and are kept for 30 days. Restores are done by the platform team."
MARKUP = "The [server](http://example.com/12) **must** be restarted *after* the `deploy-v2` update."
WINDOW = "The maintenance window opens on Sunday before 6 am. Support is free for Premium customers."
LONG = "Invoices are sent by email on the first working day of each month and are due within 14 days."


def check(source: str, claim: str, question: str = "") -> Checked:
    return Verifier([packed_source(source)], question).check(claim)


@pytest.mark.parametrize(
    ("source", "claim", "verdict"),
    [
        # the same, reworded, rewritten numbers and dates
        (CARRY, "You can carry over up to five unused vacation days [1].", S),
        (CARRY, "You can carry over up to 5 vacation days until 31 March [1].", S),
        (CARRY, "Up to five unused vacation days can be carried over [1].", S),
        (CARRY, "Based on the documents, you can carry over up to five vacation days [1].", S),
        (PLANS, "The premium plan costs 9 USD monthly [1].", S),
        (PLANS, "The basic plan costs $5, while the premium plan costs $9 [1].", S),
        (FOUNDED, "Ingrid Dahl founded the company in Oslo in 1998 [1].", S),
        (SUED, "Exxon was sued by OPEC in 1973 [1].", S),
        (REFUND, "No refunds are given after 30 days [1].", S),
        (REFUND, "The error ERR 1042 means the card was declined [1].", S),
        (MARKUP, "The server must be restarted after the deploy-v2 update [1].", S),
        (LONG, "Invoices are due within fourteen days [1].", S),
        # a number, date, unit or bound changed
        (CARRY, "You can carry over up to ten unused vacation days [1].", U),
        (CARRY, "You can carry over up to five weeks of vacation [1].", U),
        (CARRY, "You can carry over at least five unused vacation days [1].", U),
        (CARRY, "You can carry over up to five unused vacation days until April 30 [1].", U),
        (CARRY, "You can carry over up to five unused vacation days until March 30 [1].", U),
        (PLANS, "The premium plan costs 9 EUR per month [1].", U),
        (PLANS, "The premium plan costs $9 per year [1].", U),
        (PLANS, "The premium plan costs $90 per month [1].", U),
        (BACKUP, "Backups run daily at 2:00 pm [1].", U),
        (BACKUP, "Backups run weekly at 2:00 am [1].", U),
        (BACKUP, "Backups are kept for 30 weeks [1].", U),
        (FOUNDED, "The company was founded in 1989 in Oslo [1].", U),
        (LONG, "Invoices are due within 14 months [1].", U),
        # a number that belongs to something else
        (PLANS, "The premium plan costs $5 per month [1].", U),
        (PLANS, "The basic plan costs $9 per month [1].", U),
        (LEAVE, "Employees get 12 sick days per year [1].", U),
        (TWO, "You can carry over 25 vacation days per year [1].", U),
        # someone or something else
        (FOUNDED, "Kari Dahl founded the company in 1998 [1].", U),
        (FOUNDED, "The company was founded in Bergen in 1998 [1].", U),
        (SUED, "Shell sued Exxon in 1973 [1].", U),
        (SUED, "Exxon sued OPEC in 1973 [1].", U),
        (REFUND, "Error ERR-1043 means that the card was declined [1].", U),
        (CARRY, "You can carry over five sick days [1].", U),
        # denied, or the other way round
        (CARRY, "You cannot carry over unused vacation days [1].", U),
        (REFUND, "Refunds are given after 30 days [1].", U),
        (MARKUP, "The server must be restarted before the deploy-v2 update [1].", U),
        (MARKUP, "The server must not be restarted after the deploy-v2 update [1].", U),
        (ACCESS, "Contractors must enter the lab without an escort [1].", U),
        (ACCESS, "Visitors may wear a badge sometimes, but not at all times [1].", U),
        (WINDOW, "The maintenance window closes on Sunday before 6 am [1].", U),
        (WINDOW, "Support is not free for Premium customers [1].", U),
        # invented, whole or in part
        (CARRY, "Employees are entitled to twelve weeks of parental leave [1].", U),
        (CARRY, "Pets are welcome at the office on Fridays [1].", U),
        (CARRY, "You can carry over five vacation days, and unused days are paid out in cash [1].", U),
        (BACKUP, "Backups run daily at 2:00 am, and they are encrypted with a customer key [1].", U),
        (REFUND, "The card was declined after 30 days [1].", U),
        (FOUNDED, "The company was founded in 1998 and offers unlimited free coffee to all visitors [1].", U),
    ],
)
def test_verdicts(source: str, claim: str, verdict: Verdict) -> None:
    checked = check(source, claim)
    assert (checked.sentence.verdict, checked.is_claim) == (verdict, True), checked.reason
    assert bool(checked.citations) == (verdict is not U)


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
        ("Die Kündigungsfrist beträgt 3 Monate zum Quartalsende [1].", S),
        ("Die Kündigungsfrist beträgt sechs Monate zum Quartalsende [1].", U),
        ("Die Kündigungsfrist beträgt drei Wochen zum Quartalsende [1].", U),
        ("Die Kündigung muss nicht schriftlich erfolgen [1].", U),
        ("Eine Kündigung per Fax wird angenommen [1].", U),
        ("Eine Kündigung per Fax wird nicht angenommen [1].", S),
    ],
)
def test_german(claim: str, verdict: Verdict) -> None:
    checked = check(VERTRAG, claim)
    assert checked.sentence.verdict is verdict, checked.reason


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
        ("The Premium plan has 25 seats [1].", S),
        ("The price per month of the Premium plan is $19 [1].", S),
        ("The Premium plan has 3 seats [1].", U),
        ("The Basic plan has 25 seats [1].", U),
        ("The Premium plan costs $5 [1].", U),
    ],
)
def test_table_rows_are_read_with_their_header(claim: str, verdict: Verdict) -> None:
    checked = check(BILLING, claim)
    assert checked.sentence.verdict is verdict, checked.reason
    if verdict is S:
        assert checked.citations[0].quote == "| Premium | $19 | 25 |"


def test_a_list_item_is_read_with_what_introduces_it() -> None:
    checked = check(BILLING, "To change your plan, open Billing in the settings [1].")
    assert checked.sentence.verdict is S
    assert checked.citations[0].quote == "- Open Billing in the settings."


def test_a_sentence_that_opens_with_a_pronoun_is_quoted_with_the_one_before() -> None:
    checked = check(HANDBOOK, "The doctor's note is uploaded in the Aldero portal [1].")
    assert checked.sentence.verdict is S
    assert checked.citations[0].quote.startswith("A doctor's note is needed from the third day.")
    assert checked.citations[0].quote.endswith("It is uploaded in the Aldero portal.")


def test_a_quote_is_the_document_to_the_character() -> None:
    start = 1234
    checked = Verifier([packed_source(MARKUP, start=start)]).check("The server must be restarted [1].")
    citation = checked.citations[0]
    assert citation.quote == MARKUP[citation.start - start : citation.end - start]
    assert "[server](http://example.com/12) **must**" in citation.quote


def test_a_number_inside_a_link_target_supports_nothing() -> None:
    assert check(MARKUP, "The server must be restarted 12 times after the update [1].").sentence.verdict is U


def test_a_wrong_marker_is_put_right() -> None:
    verifier = Verifier([packed_source(PLANS, 1), packed_source(FOUNDED, 2, "History")])
    checked = verifier.check("The company was founded in Oslo in 1998 [1].")
    assert checked.sentence.verdict is S
    assert (checked.citations[0].source, checked.citations[0].marker) == ("doc2.md", 1)
    assert checked.sentence.text == "The company was founded in Oslo in 1998 [1]."


def test_a_missing_marker_is_put_in() -> None:
    assert check(CARRY, "You can carry over up to five vacation days.").sentence.text.endswith("days [1].")


def test_unknown_markers_are_removed_and_counted() -> None:
    checked = check(CARRY, "You can carry over up to five vacation days [1][7][12].")
    assert checked.unknown_markers == 2
    assert checked.sentence.text == "You can carry over up to five vacation days [1]."


def test_citations_are_numbered_as_they_appear_and_one_span_is_one_citation() -> None:
    verifier = Verifier([packed_source(PLANS, 1), packed_source(FOUNDED, 2, "History")])
    first = verifier.check("The company was founded in 1998 [2].")
    second = verifier.check("The premium plan costs $9 per month [1].")
    third = verifier.check("It was founded in Oslo, the company, by Ingrid Dahl [2].")
    assert [c.marker for c in (*first.citations, *second.citations, *third.citations)] == [1, 2]
    assert third.sentence.citations == (1,)


def test_two_sources_that_both_say_it_are_both_cited() -> None:
    verifier = Verifier(
        [packed_source(FOUNDED, 1), packed_source("Ingrid Dahl founded the company in 1998.", 2, "About")]
    )
    checked = verifier.check("The company was founded in 1998 [1][2].")
    assert {citation.source for citation in checked.citations} == {"doc1.md", "doc2.md"}
    assert checked.sentence.citations == (1, 2)


def test_a_compound_sentence_is_supported_clause_by_clause() -> None:
    verifier = Verifier([packed_source(PLANS, 1), packed_source(FOUNDED, 2, "History")])
    checked = verifier.check(
        "The company was founded in Oslo in 1998, and the premium plan costs $9 per month [1][2]."
    )
    assert checked.sentence.verdict is S
    assert len(checked.citations) == 2


@pytest.mark.parametrize(
    "filler",
    ["Here is what I found:", "I hope this helps!", "Sure!", "Let me know if you have more questions.", "Hello!",
     "According to the provided documents:", "To carry over vacation days:"],
)  # fmt: skip
def test_sentences_that_claim_nothing(filler: str) -> None:
    checked = check(FOUNDED, filler, question="How do I carry over vacation days?")
    assert not checked.is_claim
    assert checked.citations == ()


def test_a_claim_that_repeats_the_question_is_still_a_claim() -> None:
    assert check(
        FOUNDED, "You can carry over vacation days.", question="Can I carry over vacation days?"
    ).is_claim


@given(st.text(max_size=200), st.text(max_size=200))
def test_nothing_is_supported_without_an_exact_quote(source: str, claim: str) -> None:
    if not source.strip():
        return
    checked = check(source, claim)
    for citation in checked.citations:
        assert citation.quote == source[citation.start : citation.end] != ""
    assert (checked.sentence.verdict is U) == (not checked.sentence.citations)


def test_a_quoted_sentence_supports_itself() -> None:
    for text in (CARRY, PLANS, LEAVE, REFUND, FOUNDED, SUED, ACCESS, BACKUP, WINDOW, LONG, HANDBOOK, VERTRAG):
        for sentence in answer_sentences(text):
            if "#" not in sentence:
                checked = check(text, sentence)
                assert checked.sentence.verdict is S, (sentence, checked.reason)


def test_a_sentence_is_checked_in_milliseconds() -> None:
    sources = [
        packed_source(f"{text} It is copy {n}.", n)
        for n, text in enumerate([HANDBOOK, BILLING, VERTRAG, PLANS, ACCESS] * 2, 1)
    ]
    verifier = Verifier(sources)
    verifier.check("The premium plan costs $9 per month [4].")
    started_s = time.perf_counter()
    for _ in range(20):
        verifier.check("You can carry over up to five unused vacation days [1].")
        verifier.check("Nothing here is said by any source of course.")
    assert (time.perf_counter() - started_s) / 40 < 0.02
