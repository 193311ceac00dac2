from __future__ import annotations

from rag.retrieve.coverage import coverage


def test_the_share_of_the_question_s_words_is_measured_by_stem() -> None:
    found = coverage(
        ["carrying", "vacations"], {"all": "You carry over vacation.", "none": "Invoices are due."}
    )
    assert found == {"all": 1.0, "none": 0.0}


def test_a_word_that_few_candidates_hold_counts_more() -> None:
    texts = {"rare": "gasket", "common": "machine", "too": "machine", "three": "machine"}
    found = coverage(["gasket", "machine"], texts)
    assert found["rare"] > found["common"] > 0


def test_nothing_asked_or_nothing_found_is_no_coverage() -> None:
    assert coverage([], {"a": "text"}) == {}
    assert coverage(["word"], {}) == {}
