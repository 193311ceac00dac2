from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from rag.passages import opens_with_pronoun, units

TEXT = """# Leave

Everyone has 25 days. It is paid.

Ask for it so:

- open the portal
- press Send

| Plan | Price |
|---|---|
| Basic | $5 |
"""


def kinds(text: str) -> list[tuple[str, str]]:
    return [(unit.kind, text[unit.start : unit.end]) for unit in units(text)]


def test_a_passage_falls_into_headings_sentences_items_and_rows() -> None:
    assert kinds(TEXT) == [
        ("heading", "# Leave"),
        ("sentence", "Everyone has 25 days."),
        ("sentence", "It is paid."),
        ("sentence", "Ask for it so:"),
        ("item", "- open the portal"),
        ("item", "- press Send"),
        ("row", "| Plan | Price |"),
        ("row", "| Basic | $5 |"),
    ]


def test_an_item_knows_what_introduces_it_and_a_row_its_header() -> None:
    found = units(TEXT)
    item, row = found[4], found[-1]
    assert item.intro is not None and TEXT[slice(*item.intro)] == "Ask for it so:"
    assert row.said == "Plan: Basic; Price: $5"


def test_a_row_with_other_columns_than_the_header_is_shown_without_names() -> None:
    text = "| A | B |\n|---|---|\n| 1 | 2 | 3 |\n"
    assert units(text)[-1].said == "1; 2; 3"


def test_a_sentence_that_leans_on_the_one_before_is_seen() -> None:
    assert opens_with_pronoun("It expires in March.")
    assert not opens_with_pronoun("Vacation expires in March.")


@given(st.text(alphabet="ab .|#-*\n`1:\t", max_size=300))
def test_units_are_in_order_and_hold_every_word(text: str) -> None:
    found = units(text)
    assert all(a.end <= b.start for a, b in itertools.pairwise(found))
    assert all(0 <= unit.start < unit.end <= len(text) for unit in found)
