from __future__ import annotations

from ingest.loaders.nesting import nested, plain_paragraphs, section
from rag.core.types import LoadedDocument


def test_headings_move_down_together_and_code_stays() -> None:
    text = "# A\n\n```sh\n# comment\n```\n\n## B\n\n###### F\n"
    assert nested(text, 3) == "### A\n\n```sh\n# comment\n```\n\n#### B\n\n###### F\n"


def test_no_heading_moves_up() -> None:
    assert nested("### A", 2) == "### A"


def test_plain_text_gains_no_structure() -> None:
    assert plain_paragraphs("# no heading\r\n> no quotation\r\n\r\n---\r\n") == (
        "\\# no heading\n\\> no quotation\n\n\\---"
    )


def test_code_becomes_a_fence() -> None:
    assert section(LoadedDocument("# x\ny = 1\n", (), "text/x-source"), 2) == "```\n# x\ny = 1\n```"
