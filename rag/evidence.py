"""What of a packed passage can support a sentence, and the words that it is read with."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rag.core.plain import plain
from rag.core.types import Block, PackedSource
from rag.guard.injected import is_order_to_the_model
from rag.passages import Unit, opens_with_pronoun, units_of
from rag.terms import Terms, terms_of

LEAD = re.compile(r"[ \t]*(?:[-*+•]|\d{1,3}[.)]|#{1,6})[ \t]+")
"""What opens a list item or a heading."""
_WORDS = re.compile(r"[-+−]?\w+(?:[.,:/'’%-]\w+)*[%$€£]?")


@dataclass(frozen=True, slots=True)
class Evidence:
    """A stretch of a packed source that may support a sentence, and the words that it is read with."""

    source: PackedSource
    start: int
    """Characters of the document."""
    end: int
    terms: Terms
    context: frozenset[str]
    """Stems that its surroundings supply: title, headings, table header, list intro."""
    context_terms: Terms
    wordings: frozenset[str] = frozenset()
    """What a sentence that repeats it word for word is, in its words alone."""


def place_of(source: PackedSource, start: int, blocks: Sequence[Block]) -> tuple[int | None, tuple[str, ...]]:
    """(page, headings) of a character of a document: of its block, for a passage may span several sections."""
    at = bisect_right(blocks, start, key=lambda block: block.start) - 1
    if at < 0:
        return source.page, source.heading_path
    return blocks[at].page, blocks[at].heading_path


def evidence_of(
    source: PackedSource, blocks: Sequence[Block] = (), heads: Mapping[int, str] | None = None
) -> list[Evidence]:
    """Everything of a passage that can be quoted: each unit, and each sentence that opens with a pronoun
    together with the one before it. Other sentences are not joined: two true halves can make one false whole.
    Orders to the model are no evidence.
    """
    every = units_of(source, heads or {})
    pieces = [unit for unit in every if unit.kind != "heading"] or list(every)
    pieces = [unit for unit in pieces if not is_order_to_the_model(source.text[unit.start : unit.end])]
    found = [_evidence(source, unit.start, unit.end, unit, blocks) for unit in pieces]
    for first, second in pairwise(pieces):
        if (
            first.kind in ("sentence", "item")
            and second.kind == first.kind
            and opens_with_pronoun(plain(source.text[second.start : second.end]))
        ):
            found.append(_evidence(source, first.start, second.end, first, blocks))
    return found


def _evidence(source: PackedSource, start: int, end: int, unit: Unit, blocks: Sequence[Block]) -> Evidence:
    around = "\n".join([source.source.title, *place_of(source, source.start + start, blocks)[1], unit.above])
    if unit.kind == "item" and unit.intro is not None:
        around += "\n" + source.text[slice(*unit.intro)]
    context = terms_of(plain(around))
    return Evidence(
        source,
        source.start + start,
        source.start + end,
        terms_of(plain(source.text[start:end])),
        context.stems,
        context,
        _wordings(source.text, start, end, unit),
    )


def _wordings(text: str, start: int, end: int, unit: Unit) -> frozenset[str]:
    repeated = {words_of(plain(LEAD.sub("", text[start:end], count=1))), words_of(unit.said)}
    return frozenset(filter(None, repeated))


def words_of(text: str) -> str:
    """The words and numbers of a text and what joins them, without case, spaces and punctuation around them."""
    return " ".join(_WORDS.findall(text.lower()))


def title_of(source: PackedSource) -> str:
    return "\n".join([source.source.title, *source.heading_path])
