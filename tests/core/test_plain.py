from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.core.plain import plain


@pytest.mark.parametrize(
    ("markdown", "heard"),
    [
        ('See the [handbook](https://example.org/a_(b) "Title") now.', "See the handbook now."),
        ("![A heron](heron.png) stands.", "A heron stands."),
        ("**Never** open it, _ever_, says `man heron`.", "Never open it, ever, says man heron."),
        ("snake_case_name and 2 * 3 * 4 stay", "snake_case_name and 2 * 3 * 4 stay"),
        ("## Leave policy ##\n\nText", "Leave policy\n\nText"),
        ("Leave policy { #leave }", "Leave policy"),
        ("| a | b |\n|---|:--:|\n| 1 | 2 |", "a | b\n1 | 2"),
        ("> quoted\n> twice", "quoted\ntwice"),
        ('a<br/>b <span class="x">c</span><!-- hidden\nlines -->', "ab c"),
        (r"5 \* 3 and \[not a link\]", "5 * 3 and [not a link]"),
        ("x < y and y > z", "x < y and y > z"),
    ],
)
def test_markup_is_not_heard(markdown: str, heard: str) -> None:
    assert plain(markdown) == heard


@given(st.text(st.characters(exclude_characters="[<*_`#|>\\-{}"), max_size=300))
def test_ordinary_prose_comes_back_as_it_is(text: str) -> None:
    assert plain(text) == text


@given(st.text(st.sampled_from(list("ab \n[]()<>*_`#|\\-!\"'{}:/")), max_size=300))
def test_markup_is_only_ever_taken_away(text: str) -> None:
    left = plain(text)
    assert len(left.replace(" ", "")) <= len(text.replace(" ", ""))


@pytest.mark.parametrize(
    "piece", ["[", "![", "<a ", "**a", "*", "_a", "`", "|", "> ", "<!--", "\\", "(", "# "]
)
def test_hostile_markup_of_a_long_line_takes_no_time(piece: str) -> None:
    begun = time.perf_counter()
    plain(piece * 4000)
    assert time.perf_counter() - begun < 2
