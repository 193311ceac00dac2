from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from ingest.loaders import markup


def test_a_fence_is_longer_than_those_inside() -> None:
    assert markup.fence("  a\n    b\n", "py") == "```py\na\n  b\n```"
    assert markup.fence("```\nx\n```").startswith("````\n")


@given(st.lists(st.sampled_from(["# a", "> b", "---", "===", "```", "<div>", "word", "  * x", "***", "~~~"])))
def test_a_paragraph_never_opens_a_heading_a_quote_or_code(lines: list[str]) -> None:
    kinds = {token.type for token in MarkdownIt("commonmark").parse(markup.paragraph("\n".join(lines)))}
    assert not kinds & {"heading_open", "blockquote_open", "fence", "html_block", "hr"}


def test_emphasis_touches_words_only() -> None:
    assert markup.emphasis(" a \nb", "**") == " **a** \n**b**"
    assert markup.emphasis("  ", "*") == "  "


@pytest.mark.parametrize(
    ("href", "target"),
    [
        ("javascript:void(0)", ""),
        ("#top", ""),
        ("a b.png", "a%20b.png"),
        ("https://x.org/url?q=https://example.org/a&sa=1", "https://example.org/a"),
        ("https://x.org/r?s=" + "a" * 400, "https://x.org/r"),
        ("data:image/svg+xml,%3Csvg%20width%3D", "data:image/svg+xml…"),
        ("https://x.org/a)b", "https://x.org/a%29b"),
    ],
)
def test_where_a_link_leads(href: str, target: str) -> None:
    assert markup.target(href) == target


def test_a_link_that_leads_nowhere_is_its_text() -> None:
    assert markup.link("Top", "#top") == "Top"
    assert markup.link(" More ", "/m", 'the "best"') == " [More](/m \"the 'best'\") "
