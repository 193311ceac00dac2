from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.retrieve.words import is_identifier, word_queries


def test_stop_words_are_left_out_and_neighbours_are_paired() -> None:
    queries = word_queries("How many vacation days can I carry over?")
    assert queries.content == ("vacation", "days", "carry")
    assert queries.words == '"vacation" OR "days" OR "carry"'
    assert queries.pairs == 'NEAR("vacation" "days", 6) OR NEAR("days" "carry", 6)'


def test_a_question_of_stop_words_alone_is_searched_by_them() -> None:
    assert word_queries("What is it?").words


@pytest.mark.parametrize("token", ["E-417", "AX_100", "v2.3.1", "getUserName", "00-731", "40-0101", "PW-G64"])
def test_codes_and_part_numbers_are_identifiers(token: str) -> None:
    assert is_identifier(token)
    assert word_queries(f"What is {token}?").identifiers == (f'"{token}"',)


@pytest.mark.parametrize("token", ["vacation", "Hamburg", "2026", "NASA", "well-known"])
def test_plain_words_and_years_are_not_identifiers(token: str) -> None:
    assert not is_identifier(token)


def test_a_camel_case_name_is_also_searched_by_its_words() -> None:
    assert word_queries("getUserName").words == '"getUserName" OR "get" OR "User" OR "Name"'


@given(st.text(max_size=200))
def test_whatever_is_asked_each_query_is_valid_full_text_syntax(question: str) -> None:
    queries = word_queries(question)
    db = sqlite3.connect(":memory:")
    try:
        db.execute("CREATE VIRTUAL TABLE words USING fts5(body)")
        for query in (queries.words, queries.pairs, *queries.identifiers):
            if query:
                db.execute("SELECT * FROM words WHERE words MATCH ?", (query.replace("\x00", ""),)).fetchall()
    finally:
        db.close()
