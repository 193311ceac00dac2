"""The smallest pieces a chunk is made of: sentences, list items, table rows, lines of code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from rag.core.plain import plain
from rag.core.protocols import ChunkTokenizer
from rag.core.text import sentence_spans
from rag.core.types import Block, BlockKind

_LINE = re.compile(r"[^\n]+")
_ITEM = re.compile(r"^[ \t]*(?:[-*+•]|\(?\d{1,4}[.)]|\(?[a-zA-Z][.)])[ \t]+", re.MULTILINE)
_TABLE_RULE = re.compile(r"[ \t|:+=-]*-[ \t|:+=-]*")
_RUN = re.compile(r"\S+")


# A word of a hundred letters or more is one unknown token to a WordPiece encoder, and white space is none:
# without a limit on characters too, a chunk of few tokens could hold any amount of text.
_CHARS_PER_TOKEN = 20
_WINDOW_CHARS = 10_000


@dataclass(frozen=True, slots=True)
class Unit:
    """``text[start:end]`` of the document; a chunk never begins or ends inside one."""

    start: int
    end: int
    size: int
    """Its tokens, or what its characters count for if that is more; never 0."""
    block: int
    """Index of the block it belongs to."""
    whole: bool = True
    """False if a sentence had to be cut to make it."""


def units_of(text: str, blocks: list[Block], tokenizer: ChunkTokenizer, max_tokens: int) -> list[Unit]:
    """Units of at most the size ``max_tokens``, in order, that cover every non-space character of the blocks."""
    found: list[Unit] = []
    for index, block in enumerate(blocks):
        pieces = (window for piece in _pieces(text, block) for window in _windows(text, *piece))
        for start, end in pieces:
            size = _size(text, start, end, tokenizer, max_tokens)
            if size <= max_tokens:
                found.append(Unit(start, end, size, index))
            else:
                found.extend(_cut(text, start, end, index, tokenizer, max_tokens))
    return found


def _size(text: str, start: int, end: int, tokenizer: ChunkTokenizer, max_tokens: int) -> int:
    by_chars = -(-(end - start) // _CHARS_PER_TOKEN)
    if by_chars > max_tokens:
        return by_chars  # too large in any case, so the tokens of a very long line need not be counted
    return max(1, by_chars, tokenizer.count(plain(text[start:end])))


def table_header(text: str, block: Block) -> str | None:
    """A table's header row, where a rule under it says that it is one."""
    lines = [match.group() for match in _LINE.finditer(text, block.start, block.end)][:2]
    if len(lines) == 2 and _TABLE_RULE.fullmatch(lines[1].strip()) and "|" in lines[0]:
        return lines[0].strip()
    return None


def _pieces(text: str, block: Block) -> Iterator[tuple[int, int]]:
    if block.kind in (BlockKind.TABLE, BlockKind.CODE):
        for match in _LINE.finditer(text, block.start, block.end):
            yield from _trimmed(text, match.start(), match.end())
    elif block.kind is BlockKind.LIST:
        starts = [match.start() for match in _ITEM.finditer(text, block.start, block.end)]
        edges = sorted({block.start, *starts, block.end})
        for start, end in pairwise(edges):
            yield from sentence_spans(text, start, end)
    else:
        yield from sentence_spans(text, block.start, block.end)


def _windows(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """One piece in stretches that tokenizers and regular expressions are quick with, cut between words."""
    while end - start > _WINDOW_CHARS:
        stop = start + _WINDOW_CHARS
        space = max(text.rfind(" ", start + 1, stop), text.rfind("\n", start + 1, stop))
        stop = space if space > 0 else stop
        yield from _trimmed(text, start, stop)
        start = stop
    yield from _trimmed(text, start, end)


def _trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start < end:
        yield start, end


def _cut(
    text: str, start: int, end: int, block: int, tokenizer: ChunkTokenizer, max_tokens: int
) -> Iterator[Unit]:
    """Cuts one long piece between words, and a word without spaces between tokens."""
    offsets = tokenizer.offsets(text[start:end])
    if not offsets:
        yield from _checked(text, start, end, block, tokenizer, max_tokens)
        return
    n_parts = -(-len(offsets) // max_tokens)
    step = -(-len(offsets) // n_parts)
    begin = start
    first = 0
    while first < len(offsets):
        last = min(first + step, len(offsets))
        if last < len(offsets):
            # Step back to the beginning of a word, unless the whole part is one word.
            cut = last
            while cut > first + 1 and not text[start + offsets[cut][0] - 1].isspace():
                cut -= 1
            last = cut if cut > first + 1 else last
        stop = start + offsets[last][0] if last < len(offsets) else end
        for piece_start, piece_end in _trimmed(text, begin, stop):
            yield from _checked(text, piece_start, piece_end, block, tokenizer, max_tokens)
        begin, first = stop, last


def _checked(
    text: str, start: int, end: int, block: int, tokenizer: ChunkTokenizer, max_tokens: int
) -> Iterator[Unit]:
    """Tokens may differ where a text is cut, so each piece is counted again, and halved if need be."""
    size = _size(text, start, end, tokenizer, max_tokens)
    if size <= max_tokens or end - start < 2:
        yield Unit(start, end, size, block, whole=False)
        return
    middle = (start + end) // 2
    for a, b in ((start, middle), (middle, end)):
        for piece_start, piece_end in _trimmed(text, a, b):
            yield from _checked(text, piece_start, piece_end, block, tokenizer, max_tokens)
