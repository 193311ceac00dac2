"""The chunker: follows headings, paragraphs, lists, tables and code, and counts as the encoder counts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import pairwise

from ingest.chunk.segment import (
    CUT_BETWEEN_BLOCKS,
    CUT_BETWEEN_SECTIONS,
    CUT_BETWEEN_SENTENCES,
    CUT_INSIDE_SENTENCE,
    CUT_INSIDE_WHOLE,
    segment,
)
from ingest.chunk.units import Unit, table_header, units_of
from rag.core.plain import plain
from rag.core.protocols import ChunkTokenizer
from rag.core.types import Block, BlockKind, ChunkSpan, LoadedDocument

_VERSION = 2
_PREFIX_SHARE = 4
_HEADER_SHARE = 3
_JOINT = " › "


class StructureChunker:
    """Chunks of at most ``max_tokens`` tokens, prefix and special tokens included.

    The prefix, which only the encoder sees, is the document's own title and the headings above the chunk.
    """

    def __init__(
        self,
        tokenizer: ChunkTokenizer,
        *,
        max_tokens: int,
        overlap_tokens: int = 0,
        heading_prefix: bool = True,
    ) -> None:
        self._tokenizer = tokenizer
        self._max_tokens = min(max_tokens, tokenizer.max_tokens)
        self._overlap_tokens = overlap_tokens
        self._heading_prefix = heading_prefix
        parts = f"{_VERSION}|{self._max_tokens}|{overlap_tokens}|{heading_prefix}"
        self.fingerprint = f"structure/{hashlib.blake2b(parts.encode(), digest_size=6).hexdigest()}"

    def chunk(self, document: LoadedDocument) -> list[ChunkSpan]:
        """In reading order. Every non-space character of a block that is not hidden is in a chunk."""
        spans: list[ChunkSpan] = []
        for blocks in _stretches(document.blocks):
            spans.extend(self._section(document, blocks))
        return spans

    def _section(self, document: LoadedDocument, blocks: list[Block]) -> Iterator[ChunkSpan]:
        prefix_tokens = max(self._tokenizer.count(self._prefix(document.title, block)) for block in blocks)
        room = max(8, self._max_tokens - self._tokenizer.n_special - prefix_tokens)
        units = units_of(document.text, blocks, self._tokenizer, room)
        whole = _fitting_blocks(units, blocks, room)
        costs = [0.0, *(_cut_cost(a, b, blocks, whole) for a, b in pairwise(units))]
        sizes = [unit.size for unit in units]
        chunk_before = 0
        for first, last in segment(sizes, costs, room, self._repeated(document.text, blocks, units, room)):
            begin = self._with_overlap(units, blocks, (chunk_before, first, last), room)
            spans = list(self._spans(document, blocks, units[begin:last]))
            if begin < first and len(spans) > 1:
                # Not a chunk more for the overlap's sake, perhaps one of nothing else.
                spans = list(self._spans(document, blocks, units[first:last]))
            chunk_before = spans[-1].start
            yield from spans

    def _repeated(self, text: str, blocks: list[Block], units: list[Unit], room: int) -> list[int]:
        """Tokens of the header that a chunk repeats if it begins with this unit."""
        headers: dict[int, int] = {}
        for index, block in enumerate(blocks):
            header = table_header(text, block) if block.kind is BlockKind.TABLE else None
            if header is not None:
                n_tokens = self._tokenizer.count(plain(header))
                headers[index] = n_tokens if n_tokens <= room // _HEADER_SHARE else 0
        return [headers.get(unit.block, 0) if unit.start > blocks[unit.block].start else 0 for unit in units]

    def _with_overlap(
        self, units: list[Unit], blocks: list[Block], place: tuple[int, int, int], room: int
    ) -> int:
        """``place``: the character where the chunk before begins, the units of this one. Nothing is taken from
        another section, under whose heading the chunk would then be filed, and never the whole chunk before."""
        chunk_before, first, last = place
        section = blocks[units[first].block].heading_path
        spare = min(self._overlap_tokens, room - sum(unit.size for unit in units[first:last]))
        while first > 0 and units[first - 1].start > chunk_before and units[first - 1].size <= spare:
            if blocks[units[first - 1].block].heading_path != section:
                break
            first -= 1
            spare -= units[first].size
        return first

    def _spans(self, document: LoadedDocument, blocks: list[Block], units: list[Unit]) -> Iterator[ChunkSpan]:
        """One chunk, or two where the joined text has more tokens than its parts."""
        block = blocks[units[0].block]
        start, end = units[0].start, units[-1].end
        text = self._embedding_text(document, block, units[0], document.text[start:end])
        n_tokens = self._tokenizer.count(text) + self._tokenizer.n_special
        if n_tokens > self._max_tokens and len(units) > 1:
            middle = len(units) // 2
            yield from self._spans(document, blocks, units[:middle])
            yield from self._spans(document, blocks, units[middle:])
            return
        if n_tokens > self._max_tokens:
            text = plain(document.text[start:end])
            n_tokens = self._tokenizer.count(text) + self._tokenizer.n_special
        yield ChunkSpan(start, end, block.heading_path, block.page, n_tokens, text)

    def _embedding_text(self, document: LoadedDocument, block: Block, unit: Unit, body: str) -> str:
        parts = [self._prefix(document.title, block), plain(body)]
        if block.kind is BlockKind.TABLE and unit.start > block.start:
            header = table_header(document.text, block)
            if header is not None and self._fits([parts[0], plain(header), parts[1]]):
                parts.insert(1, plain(header))
        return "\n".join(part for part in parts if part)

    def _fits(self, parts: list[str]) -> bool:
        n_tokens = self._tokenizer.count("\n".join(part for part in parts if part))
        return n_tokens + self._tokenizer.n_special <= self._max_tokens

    def _prefix(self, title: str | None, block: Block) -> str:
        """Title and headings, outermost first, shortened from the outside to a quarter of the room."""
        if not self._heading_prefix:
            return ""
        headings = block.heading_path[:-1] if block.kind is BlockKind.HEADING else block.heading_path
        parts = [plain(part).strip() for part in (title or "", *headings)]
        names = [name for name in dict.fromkeys(parts) if name]
        while names and self._tokenizer.count(_JOINT.join(names)) > self._max_tokens // _PREFIX_SHARE:
            names.pop(0 if len(names) > 1 else -1)
        return _JOINT.join(names)


def _stretches(blocks: Sequence[Block]) -> Iterator[list[Block]]:
    """Runs of blocks that chunks may be made of. A top-level heading starts afresh: no chunk holds text of two
    chapters. So does hidden text, because a chunk that went on behind it would hold it."""
    stretch: list[Block] = []
    for block in blocks:
        hidden = block.kind is BlockKind.HIDDEN
        if stretch and (hidden or block.heading_path[:1] != stretch[-1].heading_path[:1]):
            yield stretch
            stretch = []
        if not hidden:
            stretch.append(block)
    if stretch:
        yield stretch


def _fitting_blocks(units: Sequence[Unit], blocks: Sequence[Block], room: int) -> set[int]:
    """Tables and code that fit into one chunk."""
    sizes: dict[int, int] = {}
    for unit in units:
        if blocks[unit.block].kind in (BlockKind.TABLE, BlockKind.CODE):
            sizes[unit.block] = sizes.get(unit.block, 0) + unit.size
    return {index for index, size in sizes.items() if size <= room}


def _cut_cost(left: Unit, right: Unit, blocks: list[Block], whole: set[int]) -> float:
    """What it costs to end a chunk between two neighbouring units."""
    if left.block == right.block:
        if left.block in whole:
            return CUT_INSIDE_WHOLE
        return CUT_BETWEEN_SENTENCES if left.whole and right.whole else CUT_INSIDE_SENTENCE
    before, after = blocks[left.block], blocks[right.block]
    if before.kind is BlockKind.HEADING:
        return CUT_INSIDE_SENTENCE  # a heading stays with what it heads
    return CUT_BETWEEN_BLOCKS if before.heading_path == after.heading_path else CUT_BETWEEN_SECTIONS
