"""An HTML tree as Markdown. Every rich format is made into such a tree first, so there is one writer."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ingest.loaders import html_tables, markup
from ingest.loaders.html_inline import BLOCKS, SKIPPED, Inline, apart, joined, raw_text, white
from ingest.loaders.html_tables import RICH, Element, integer
from ingest.loaders.tables import markdown_table

_HEADINGS = {"h1": 1, "h2": 2, "h3": 3, "h4": 4, "h5": 5, "h6": 6}
_LANGUAGE = re.compile(r"(?:^|\s)(?:lang(?:uage)?-|highlight-(?:source-)?|brush:\s*)([\w+#.-]+)")
_BULLET = re.compile(r"^[•·◦▪‣○●■–]\s+")


def to_markdown(root: Element) -> str:
    """Blocks separated by one blank line. Raises ``RecursionError`` for absurd nesting."""
    outer: set[Element] = set()
    for element in root.iter(*BLOCKS):
        parent = element.getparent()
        while parent is not None and parent not in outer:
            outer.add(parent)
            parent = parent.getparent()
    return "\n\n".join(_Writer(Inline(frozenset(outer))).blocks(root))


@dataclass(frozen=True, slots=True)
class _Writer:
    inline: Inline

    def blocks(self, node: Element) -> list[str]:
        """The Markdown of each block inside."""
        found: list[str] = []
        run: list[str] = [white(node.text)]

        def flush() -> None:
            text = markup.paragraph(joined(run))
            if text:
                found.append(text)
            run.clear()

        for child in node:
            if not isinstance(child.tag, str):
                run.append(white(child.tail))
                continue
            if self._is_block(child):
                flush()
                found.extend(self._block(child))
            else:
                run.append(apart(child) + self.inline.markdown(child))
            run.append(white(child.tail))
        flush()
        return found

    def _is_block(self, node: Element) -> bool:
        if node.tag in BLOCKS:
            return True
        if node not in self.inline.outer:
            return False
        return node.tag != "a" or any(next(node.iter(tag), None) is not None for tag in RICH)

    def _block(self, node: Element) -> list[str]:
        tag = str(node.tag)
        handler = _HANDLERS.get(tag)
        if handler is not None:
            return [block for block in handler(self, node) if block]
        if tag in SKIPPED:
            return []
        if tag == "a":
            return self._linked(node)
        return self.blocks(node)

    def _linked(self, node: Element) -> list[str]:
        """A link around whole blocks: its first heading carries it."""
        blocks = self.blocks(node)
        for number, block in enumerate(blocks):
            marks = re.match(r"#{1,6} ", block)
            if marks and "](" not in block:
                linked = markup.link(block[marks.end() :], node.get("href", ""), node.get("title", ""))
                blocks[number] = marks.group() + linked
                break
        return blocks

    def heading(self, node: Element) -> list[str]:
        level = _HEADINGS[str(node.tag)]
        return [markup.heading(level, self.inline.flat(node))]

    def code_block(self, node: Element) -> list[str]:
        language = ""
        for element in (node, *node.iter("code"), *node.iterancestors("div")):
            match = _LANGUAGE.search(element.get("class") or "")
            if match:
                language = match.group(1)
                break
        return [markup.fence(raw_text(node), language)]

    def blockquote(self, node: Element) -> list[str]:
        inner = "\n\n".join(self.blocks(node))
        return [markup.quote(inner)] if inner else []

    def summary(self, node: Element) -> list[str]:
        if any(next(node.iter(tag), None) is not None for tag in _HEADINGS):
            return self.blocks(node)
        return [markup.emphasis(markup.one_line(self.inline.flat(node)), "**")]

    # -- lists ---------------------------------------------------------------------------------------

    def list_(self, node: Element) -> list[str]:
        if any(next(node.iter(tag), None) is not None for tag in (*_HEADINGS, "table")):
            # A list in markup only: cards, results, steps with chapters of their own.
            return self.blocks(node)
        lines = self._list_lines(node)
        return ["\n".join(lines)] if lines else []

    def _list_lines(self, node: Element) -> list[str]:
        ordered = node.tag == "ol"
        number = integer(node.get("start"), 1)
        lines: list[str] = []
        for child in node:
            if not isinstance(child.tag, str):
                continue
            if child.tag in ("ul", "ol", "menu", "dir"):
                nested = self._list_lines(child)
                lines.extend(_indented(nested, 2 + ordered) if lines else nested)
                continue
            if child.tag != "li":
                text = markup.one_line(self.inline.markdown(child))
                if text:
                    lines.append(f"* {text}")
                continue
            number = integer(child.get("value"), number)
            marker = f"{number}. " if ordered else "* "
            item = self._item(child)
            if not item:
                continue
            if _only_list(child):
                lines.extend(_indented(item, len(marker)) if lines else item)
                continue
            lines.append(marker + item[0])
            lines.extend(_indented(item[1:], len(marker)))
            number += 1
        return lines

    def _item(self, node: Element) -> list[str]:
        lines: list[str] = []
        for block in self.blocks(node):
            apart = block.startswith(("```", "> ", "| ")) or (lines and lines[-1].startswith("```"))
            if lines and apart:
                lines.append("")
            lines.extend((block if lines else _BULLET.sub("", block)).split("\n"))
        return lines

    def description_list(self, node: Element) -> list[str]:
        lines = self._description_lines(node)
        return ["\n".join(lines)] if lines else []

    def _description_lines(self, node: Element) -> list[str]:
        lines: list[str] = []
        term = False
        for child in node:
            if child.tag == "dt":
                name = markup.one_line(self.inline.flat(child))
                if name:
                    bold = name if name.startswith("**") else f"**{name}**"
                    lines.append(f"* {bold}")
                    term = True
            elif child.tag == "dd":
                body = self._item(child)
                if not body:
                    continue
                if body[0].startswith("* "):
                    lines.extend(_indented(body, 2 if term else 0))
                else:
                    lines.extend(_indented(["* " + body[0], *_indented(body[1:], 2)], 2 if term else 0))
            elif child.tag in ("div", "dl"):
                lines.extend(self._description_lines(child))
        return lines

    # -- tables --------------------------------------------------------------------------------------

    def table(self, node: Element) -> list[str]:
        captions = [markup.one_line(self.inline.flat(c)) for c in node.findall("caption")]
        before = [markup.paragraph(text) for text in captions if text]
        rows = html_tables.rows(node)
        if not before and html_tables.is_layout(node, rows):
            return [block for row in rows for cell in row for block in self.blocks(cell)]
        grid = [row for row in html_tables.grid_of(rows, self.inline.flat) if any(cell.text for cell in row)]
        titles, grid = html_tables.titles(grid)
        before.extend(markup.paragraph(title) for title in titles)
        if not grid:
            return before
        n_header = html_tables.header_rows(grid)
        body = [[cell.text if not cell.spread else "" for cell in row] for row in grid[n_header:]]
        if n_header == 0 and html_tables.keyed_by_first_column(grid):
            return [*before, markdown_table(body, header=False)]
        header = html_tables.merged_header(grid[:n_header]) if n_header else [cell.text for cell in grid[0]]
        return [*before, markdown_table([header, *(body if n_header else body[1:])])]


def _only_list(item: Element) -> bool:
    if (item.text or "").strip() or any((child.tail or "").strip() for child in item):
        return False
    elements = [child for child in item if isinstance(child.tag, str)]
    return bool(elements) and all(child.tag in ("ul", "ol") for child in elements)


def _indented(lines: list[str], n_spaces: int) -> list[str]:
    pad = " " * n_spaces
    return [pad + line if line else "" for line in lines]


_HANDLERS: dict[str, Callable[[_Writer, Element], list[str]]] = {
    **dict.fromkeys(_HEADINGS, _Writer.heading),
    **dict.fromkeys(("ul", "ol", "menu", "dir"), _Writer.list_),
    "dl": _Writer.description_list,
    "pre": _Writer.code_block,
    "blockquote": _Writer.blockquote,
    "summary": _Writer.summary,
    "table": _Writer.table,
}
