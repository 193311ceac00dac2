"""The chunker: follows headings, paragraphs, lists, tables and code, and counts as the encoder counts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import groupby, pairwise

from ingest.chunk.segment import (
    CUT_BETWEEN_BLOCKS,
    CUT_BETWEEN_SECTIONS,
    CUT_BETWEEN_SENTENCES,
    CUT_INSIDE_SENTENCE,
    segment,
)
from ingest.chunk.units import Unit, table_header, units_of
from rag.core.plain import plain
from rag.core.protocols import ChunkTokenizer
from rag.core.types import Block, BlockKind, ChunkSpan, LoadedDocument

_VERSION = 1
_PREFIX_SHARE = 4
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
        blocks = [block for block in document.blocks if block.kind is not BlockKind.HIDDEN]
        spans: list[ChunkSpan] = []
        # A top-level heading starts afresh: no chunk holds text of two chapters.
        for _, group in groupby(blocks, key=lambda block: block.heading_path[:1]):
            spans.extend(self._section(document, list(group)))
        return spans

    def _section(self, document: LoadedDocument, blocks: list[Block]) -> Iterator[ChunkSpan]:
        prefix_tokens = max(
            (self._tokenizer.count(self._prefix(document.title, block)) for block in blocks), default=0
        )
        room = max(8, self._max_tokens - self._tokenizer.n_special - prefix_tokens)
        units = units_of(document.text, blocks, self._tokenizer, room)
        costs = [0.0, *(_cut_cost(a, b, blocks) for a, b in pairwise(units))]
        for first, last in segment([unit.n_tokens for unit in units], costs, room):
            first = self._with_overlap(units, first, last, room)
            yield from self._spans(document, blocks, units[first:last])

    def _with_overlap(self, units: list[Unit], first: int, last: int, room: int) -> int:
        spare = min(self._overlap_tokens, room - sum(unit.n_tokens for unit in units[first:last]))
        while first > 0 and units[first - 1].n_tokens <= spare:
            first -= 1
            spare -= units[first].n_tokens
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
        parts = [self._prefix(document.title, block)]
        if block.kind is BlockKind.TABLE and unit.start > block.start:
            header = table_header(document.text, block)
            if header is not None:
                parts.append(self._fitting(plain(header), plain(body)))
        parts.append(plain(body))
        return "\n".join(part for part in parts if part)

    def _fitting(self, header: str, body: str) -> str:
        """The header row, if there is room for it beside the rows."""
        spare = self._max_tokens - self._tokenizer.n_special - self._tokenizer.count(body)
        return header if self._tokenizer.count(header) <= spare * 3 // 4 else ""

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


def _cut_cost(left: Unit, right: Unit, blocks: list[Block]) -> float:
    """What it costs to end a chunk between two neighbouring units."""
    if left.block == right.block:
        return CUT_BETWEEN_SENTENCES if left.whole and right.whole else CUT_INSIDE_SENTENCE
    before, after = blocks[left.block], blocks[right.block]
    if before.kind is BlockKind.HEADING:
        return CUT_INSIDE_SENTENCE  # a heading stays with what it heads
    return CUT_BETWEEN_BLOCKS if before.heading_path == after.heading_path else CUT_BETWEEN_SECTIONS
