from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ingest.loaders.markdown import document_from_markdown
from ingest.loaders.parts import document_from_parts

PARTS = [
    "# A",
    "## B *b*",
    "### C [x](y) #",
    "| a | b |\n| --- | --- |\n| 1 | 2 |",
    "|  |\n| --- |\n| 1 |",
    "* **a:** 1\n* b",
    "* a\n  * nested",
    "Words.\nMore words.",
    "**name:**",
    "First.\n\nSecond.",
    "Words\n\n# Heading inside\n\nmore",
    "```\n# code\n\n* code\n```",
    "    indented",
    "> quoted",
    "1. one\n2. two",
    "Setext\n---",
    "<div>\n\n* x",
]


@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=8))
def test_the_map_is_that_of_the_markdown_parser(parts: list[str]) -> None:
    # Lists, quotations and indented code swallow what follows them; then the parts are no longer the blocks.
    swallowing = ("* ", "1. ", "    ", "> ")
    pairs = pairwise(parts)
    if any(a.startswith(swallowing) and b.startswith(swallowing) for a, b in pairs):
        return
    own, parsed = document_from_parts(parts, "x"), document_from_markdown("\n\n".join(parts) + "\n", "x")
    assert own == parsed
