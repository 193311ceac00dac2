"""Markdown: the text is the decoded file itself; the blocks come from markdown-it's line map."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ingest.loaders.text import decode
from rag.core.plain import plain
from rag.core.types import Block, BlockKind, LoadedDocument, MetaValue

_FRONT_MATTER = re.compile(r"\A---[ \t]*\r?\n(.*?)(?:\r?\n)(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_ANCHOR = re.compile(r"\s*\{ ?[#.:][^{}]*\}\s*$")
_KINDS = {
    "paragraph_open": BlockKind.PARAGRAPH,
    "bullet_list_open": BlockKind.LIST,
    "ordered_list_open": BlockKind.LIST,
    "table_open": BlockKind.TABLE,
    "fence": BlockKind.CODE,
    "code_block": BlockKind.CODE,
    "blockquote_open": BlockKind.QUOTE,
    "html_block": BlockKind.PARAGRAPH,
}
_HEADING_CHARS = 200


class MarkdownLoader:
    media_types = ("text/markdown",)

    def load(self, path: Path, data: bytes, *, passwords: Sequence[str] = ()) -> LoadedDocument:
        text = decode(data)
        front = _FRONT_MATTER.match(text)
        metadata = _front_matter(front.group(1)) if front else {}
        blocks = map_blocks(text, start=front.end() if front else 0)
        title = str(metadata["title"]) if metadata.get("title") else first_heading(blocks)
        return LoadedDocument(text, blocks, "text/markdown", title=title, metadata=metadata)


def document_from_markdown(
    text: str,
    media_type: str,
    *,
    title: str | None = None,
    pages: Sequence[tuple[int, int]] = (),
    metadata: Mapping[str, MetaValue] | None = None,
    warnings: Sequence[str] = (),
) -> LoadedDocument:
    """For the formats whose canonical text is Markdown. ``pages``: (offset at which it starts, number)."""
    blocks = map_blocks(text, pages=pages)
    return LoadedDocument(
        text, blocks, media_type, title or first_heading(blocks), dict(metadata or {}), tuple(warnings)
    )


def first_heading(blocks: Sequence[Block]) -> str | None:
    """The first heading of level 1, if the document has one."""
    for block in blocks:
        if block.kind is BlockKind.HEADING and len(block.heading_path) == 1:
            return block.heading_path[0]
    return None


def map_blocks(text: str, *, pages: Sequence[tuple[int, int]] = (), start: int = 0) -> tuple[Block, ...]:
    """Blocks of the Markdown in ``text[start:]``, in order, as spans of ``text``."""
    from markdown_it import MarkdownIt

    # markdown-it reads CR LF and a lone CR as line ends too, so its line numbers are those of this split.
    lines = _line_starts(text, start)
    blocks: list[Block] = []
    path: list[tuple[int, str]] = []
    for token in _top_level(MarkdownIt("commonmark", {"maxNesting": 40}).enable("table").parse(text[start:])):
        if token.map is None:
            continue
        begin, end = lines[token.map[0]], lines[min(token.map[1], len(lines) - 1)]
        begin, end = _trim(text, begin, end)
        if begin >= end:
            continue
        page = _page(pages, begin)
        if token.type == "heading_open":
            level = int(token.tag[1:])
            path = [(n, name) for n, name in path if n < level]
            path.append((level, heading_name(token.content)))
            blocks.append(Block(begin, end, BlockKind.HEADING, tuple(name for _, name in path), page))
        else:
            kind = _KINDS.get(token.type, BlockKind.PARAGRAPH)
            if token.type == "html_block" and text[begin:end].startswith("<!--"):
                kind = BlockKind.HIDDEN
            blocks.append(Block(begin, end, kind, tuple(name for _, name in path), page))
    return tuple(blocks)


def heading_name(markup: str) -> str:
    return " ".join(plain(_ANCHOR.sub("", markup)).split())[:_HEADING_CHARS]


class _Token:
    __slots__ = ("content", "map", "tag", "type")

    def __init__(self, type: str, tag: str, map: list[int] | None, content: str) -> None:
        self.type, self.tag, self.map, self.content = type, tag, map, content


def _top_level(tokens: list[Any]) -> list[_Token]:
    found = []
    for i, token in enumerate(tokens):
        if token.level == 0 and token.nesting >= 0 and token.type not in ("hr",):
            content = tokens[i + 1].content if token.type == "heading_open" else token.content
            found.append(_Token(token.type, token.tag, token.map, content))
    return found


def _line_starts(text: str, start: int) -> list[int]:
    starts = [start, *(start + match.end() for match in re.finditer(r"\r\n|\n|\r", text[start:]))]
    if starts[-1] != len(text):
        starts.append(len(text))
    return starts


def _trim(text: str, begin: int, end: int) -> tuple[int, int]:
    while end > begin and text[end - 1].isspace():
        end -= 1
    while begin < end and text[begin] in "\r\n":
        begin += 1
    return begin, end


def _page(pages: Sequence[tuple[int, int]], offset: int) -> int | None:
    page = None
    for begin, number in pages:
        if begin > offset:
            break
        page = number
    return page


_NAMES_GROUPS = re.compile(r"^[ \t\"']*groups[\"' \t]*:", re.I | re.M)


def _front_matter(source: str) -> dict[str, MetaValue]:
    """Simple ``key: value`` front matter; lists are joined with commas."""
    import yaml

    try:
        loaded = yaml.safe_load(source)
    except (yaml.YAMLError, ValueError, RecursionError):
        # Whom it was kept for cannot be read, so it is for nobody rather than for everybody.
        return {"groups": ""} if _NAMES_GROUPS.search(source) else {}
    if not isinstance(loaded, dict):
        return {}
    found: dict[str, MetaValue] = {}
    for key, value in loaded.items():
        name = str(key).lower()
        if isinstance(value, bool | int | float | str):
            found[name] = value
        elif isinstance(value, list):
            found[name] = ", ".join(str(item) for item in value)
        elif value is not None or name == "groups":
            found[name] = str(value or "")
    return found
