"""An HTML tree as Markdown. Every rich format is made into such a tree first, so there is one writer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from lxml import etree

from ingest.loaders import markup
from ingest.loaders.tables import markdown_table

Element = etree._Element

_HEADINGS = {"h1": 1, "h2": 2, "h3": 3, "h4": 4, "h5": 5, "h6": 6}
_BLOCKS = frozenset(
    [
        "address",
        "article",
        "aside",
        "blockquote",
        "body",
        "center",
        "dd",
        "details",
        "dialog",
        "dir",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hgroup",
        "html",
        "legend",
        "li",
        "main",
        "menu",
        "nav",
        "ol",
        "p",
        "pre",
        "section",
        "summary",
        "table",
        "ul",
    ]
)
_RICH = ("h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "table", "pre", "dl")
_SKIPPED = frozenset(
    [
        "script",
        "style",
        "template",
        "noscript",
        "head",
        "svg",
        "canvas",
        "iframe",
        "object",
        "embed",
        "audio",
        "video",
        "select",
        "hr",
    ]
)
_BOLD, _ITALIC, _STRUCK = (
    frozenset(["b", "strong"]),
    frozenset(["i", "em"]),
    frozenset(["s", "del", "strike"]),
)
_CODE = frozenset(["code", "kbd", "samp", "tt"])
_LANGUAGE = re.compile(r"(?:^|\s)(?:lang(?:uage)?-|highlight-(?:source-)?|brush:\s*)([\w+#.-]+)")
_BULLET = re.compile(r"^[•·◦▪‣○●■–]\s+")
_EXPONENT = re.compile(r"^[-+−]?(?:\d{1,4}|[a-zA-Z]{1,2}|[-+]\w{1,3})$")
_ORDINAL = frozenset(["st", "nd", "rd", "th"])
_WHITE = re.compile(r"[ \t\n\r\f]+")
_SEAM = re.compile(r"(?<=[^\s*])\*{4}(?=[^\s*])")
_MAX_SPAN, _MAX_CELLS = 200, 400_000


def to_markdown(root: Element) -> str:
    """Blocks separated by one blank line. Raises ``RecursionError`` for absurd nesting."""
    return "\n\n".join(_Writer(root).blocks(root))


@dataclass(slots=True)
class _Writer:
    root: Element
    _outer: set[Element] = field(default_factory=set)

    def __post_init__(self) -> None:
        """``_outer``: elements, inline by name, that hold blocks all the same."""
        for element in self.root.iter(*_BLOCKS):
            parent = element.getparent()
            while parent is not None and parent not in self._outer:
                self._outer.add(parent)
                parent = parent.getparent()

    def blocks(self, node: Element) -> list[str]:
        """The Markdown of each block inside."""
        found: list[str] = []
        run: list[str] = [_white(node.text)]

        def flush() -> None:
            text = markup.paragraph(_joined(run))
            if text:
                found.append(text)
            run.clear()

        for child in node:
            if not isinstance(child.tag, str):
                run.append(_white(child.tail))
                continue
            if self._is_block(child):
                flush()
                found.extend(self._block(child))
            else:
                run.append(_apart(child) + self.inline(child))
            run.append(_white(child.tail))
        flush()
        return found

    def _is_block(self, node: Element) -> bool:
        if node.tag in _BLOCKS:
            return True
        if node not in self._outer:
            return False
        return node.tag != "a" or any(next(node.iter(tag), None) is not None for tag in _RICH)

    def _block(self, node: Element) -> list[str]:
        tag = str(node.tag)
        handler = _HANDLERS.get(tag)
        if handler is not None:
            return [block for block in handler(self, node) if block]
        if tag in _SKIPPED:
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
        return [markup.heading(level, self._flat(node))]

    def code_block(self, node: Element) -> list[str]:
        language = ""
        for element in (node, *node.iter("code"), *node.iterancestors("div")):
            match = _LANGUAGE.search(element.get("class") or "")
            if match:
                language = match.group(1)
                break
        return [markup.fence(_raw_text(node), language)]

    def blockquote(self, node: Element) -> list[str]:
        inner = "\n\n".join(self.blocks(node))
        return [markup.quote(inner)] if inner else []

    def summary(self, node: Element) -> list[str]:
        if any(next(node.iter(tag), None) is not None for tag in _HEADINGS):
            return self.blocks(node)
        return [markup.emphasis(markup.one_line(self._flat(node)), "**")]

    # -- lists ---------------------------------------------------------------------------------------

    def list_(self, node: Element) -> list[str]:
        if any(next(node.iter(tag), None) is not None for tag in (*_HEADINGS, "table")):
            return self.blocks(
                node
            )  # a list in markup only: cards, results, steps with chapters of their own
        lines = self._list_lines(node)
        return ["\n".join(lines)] if lines else []

    def _list_lines(self, node: Element) -> list[str]:
        ordered = node.tag == "ol"
        number = _integer(node.get("start"), 1)
        lines: list[str] = []
        for child in node:
            if not isinstance(child.tag, str):
                continue
            if child.tag in ("ul", "ol", "menu", "dir"):
                nested = self._list_lines(child)
                lines.extend(_indented(nested, 2 + ordered) if lines else nested)
                continue
            if child.tag != "li":
                text = markup.one_line(self.inline(child))
                if text:
                    lines.append(f"* {text}")
                continue
            number = _integer(child.get("value"), number)
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
                name = markup.one_line(self._flat(child))
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
        captions = [markup.one_line(self._flat(c)) for c in node.findall("caption")]
        before = [markup.paragraph(text) for text in captions if text]
        rows = _rows(node)
        if not before and _is_layout(node, rows):
            return [block for row in rows for cell in row for block in self.blocks(cell)]
        grid = [row for row in self._grid(rows) if any(cell.text for cell in row)]
        titles, grid = _titles(grid)
        before.extend(markup.paragraph(title) for title in titles)
        if not grid:
            return before
        n_header = _header_rows(grid)
        body = [[cell.text if not cell.spread else "" for cell in row] for row in grid[n_header:]]
        if n_header == 0 and _keyed_by_first_column(grid):
            return [*before, markdown_table(body, header=False)]
        header = _merged_header(grid[:n_header]) if n_header else [cell.text for cell in grid[0]]
        return [*before, markdown_table([header, *(body if n_header else body[1:])])]

    def _grid(self, rows: list[list[Element]]) -> list[list[_Cell]]:
        """Spans filled out: a cell over several rows is repeated in each, one over columns is marked."""
        grid: list[list[_Cell]] = []
        hanging: dict[int, tuple[int, _Cell]] = {}
        n_cells = 0
        for row in rows:
            line: list[_Cell] = []
            own = 0

            def take_hanging(line: list[_Cell] = line) -> None:
                while len(line) in hanging:
                    left, cell = hanging.pop(len(line))
                    column = len(line)
                    line.append(cell)
                    if left > 1:
                        later[column] = (left - 1, cell)

            later: dict[int, tuple[int, _Cell]] = {}
            for node in row:
                take_hanging()
                in_head = _in_head(node)
                cell = _Cell(self._flat(node), node.tag == "th" or in_head, in_head)
                across = min(max(_integer(node.get("colspan"), 1), 1), _MAX_SPAN)
                down = min(max(_integer(node.get("rowspan"), 1), 1), 10 * _MAX_SPAN)
                own += down == 1 or bool(later)
                for number in range(across):
                    placed = cell if number == 0 else _Cell(cell.text, cell.header, in_head, spread=True)
                    if down > 1:
                        later[len(line)] = (down - 1, placed)
                    line.append(placed)
            while hanging and len(line) <= max(hanging):
                if len(line) in hanging:
                    take_hanging()
                else:
                    line.append(_Cell("", False))
            hanging = later
            n_cells += len(line)
            if n_cells > _MAX_CELLS:
                break
            starts_group = bool(later) and len(row) < max((len(r) for r in rows), default=0)
            if not (starts_group and all(_integer(c.get("rowspan"), 1) > 1 for c in row)):
                grid.append(line)
        return grid

    # -- inline --------------------------------------------------------------------------------------

    def _flat(self, node: Element) -> str:
        """Everything inside on one line, blocks separated by a space."""
        parts = [_white(node.text)]
        for child in node:
            if isinstance(child.tag, str):
                if child.tag in ("ul", "ol", "dl", "table", "pre") and child.tag not in _SKIPPED:
                    parts.append(" " + self._flat_block(child) + " ")
                elif child.tag in _BLOCKS or child in self._outer:
                    parts.append(
                        " " + (self._flat_linked(child) if child.tag == "a" else self._flat(child)) + " "
                    )
                else:
                    parts.append(_apart(child) + self.inline(child))
            parts.append(_white(child.tail))
        return markup.one_line(_joined(parts))

    def _flat_linked(self, node: Element) -> str:
        return markup.link(self._flat(node), node.get("href", ""), node.get("title", ""))

    def _flat_block(self, node: Element) -> str:
        if node.tag == "pre":
            return markup.inline_code(_raw_text(node))
        if node.tag == "table":
            return " ".join(self._flat(cell) for row in _rows(node) for cell in row)
        if node.tag == "dl":
            return self._flat(node) if len(node) == 0 else " ".join(self._flat(child) for child in node)
        marks = (f"{n}. " if node.tag == "ol" else "* " for n in range(1, len(node) + 1))
        items = [self._flat(child) for child in node if isinstance(child.tag, str)]
        return " ".join(mark + item for mark, item in zip(marks, items, strict=False) if item)

    def inline(self, node: Element) -> str:
        tag = node.tag
        if not isinstance(tag, str) or tag in _SKIPPED:
            return ""
        if tag == "br":
            return "\n"
        if tag == "img":
            return _picture(node)
        if tag == "input":
            return _checkbox(node)
        if tag == "math" or tag.endswith("}math"):
            return _formula(node)
        if tag in _CODE:
            return markup.inline_code(_raw_text(node))
        if node in self._outer and tag in ("a", "button", "label", "span"):
            text = self._flat(node)
        else:
            parts = [_white(node.text)]
            for child in node:
                if isinstance(child.tag, str):
                    inner = f" {self._flat(child)} " if child.tag in _BLOCKS else self.inline(child)
                    parts.append(_apart(child) + inner)
                parts.append(_white(child.tail))
            text = "".join(parts)
        if tag in _BOLD:
            return markup.emphasis(text, "**")
        if tag in _ITALIC:
            return markup.emphasis(text, "*")
        if tag in _STRUCK:
            return markup.emphasis(text, "~~")
        if tag == "a":
            return markup.link(text, node.get("href", ""), node.get("title", ""))
        if tag == "q":
            return f'"{text.strip()}"'
        if tag == "sup":
            body = text.strip()
            return f"^{body}" if _EXPONENT.match(body) and body not in _ORDINAL else text
        if tag == "rt":
            return f" ({text.strip()})"
        return text


@dataclass(frozen=True, slots=True)
class _Cell:
    text: str
    header: bool
    head: bool = False
    """It stands in a <thead>."""
    spread: bool = False
    """It only repeats the cell to its left, which spans this column too."""


def _rows(table: Element) -> list[list[Element]]:
    rows = []
    for child in table:
        for row in (
            (child,) if child.tag == "tr" else child if child.tag in ("thead", "tbody", "tfoot") else ()
        ):
            if row.tag == "tr":
                cells = [cell for cell in row if cell.tag in ("td", "th")]
                if cells:
                    rows.append(cells)
    return rows


def _in_head(cell: Element) -> bool:
    row = cell.getparent()
    section = row.getparent() if row is not None else None
    return section is not None and section.tag == "thead"


def _is_layout(table: Element, rows: list[list[Element]]) -> bool:
    """A table that only places blocks on the page, as mails and old pages do."""
    if table.get("role") in ("presentation", "none"):
        return True
    if any(cell.tag == "th" or _in_head(cell) for row in rows for cell in row):
        return False
    inner = [t for t in table.iter("table") if t is not table and _nearest_table(t) is table]
    if inner:
        nested = sum(len("".join(t.itertext()).strip()) for t in inner)
        if nested > 0.5 * len("".join(table.itertext()).strip()):
            return True
    if max((len(row) for row in rows), default=0) == 1 or len(rows) == 1:
        return any(next(table.iter(tag), None) is not None for tag in ("p", "div", "table", *_RICH))
    return any(
        next(cell.iter(*_HEADINGS), None) is not None and len("".join(cell.itertext())) > 400
        for row in rows
        for cell in row
    )


def _nearest_table(node: Element) -> Element | None:
    return next(node.iterancestors("table"), None)


def _titles(grid: list[list[_Cell]]) -> tuple[list[str], list[list[_Cell]]]:
    """Rows at the top in which one cell spans a table of several columns are its title."""
    titles = []
    width = max((len(row) for row in grid), default=0)
    while len(grid) > 1 and width > 1 and len(grid[0]) == width and all(cell.spread for cell in grid[0][1:]):
        if len(grid) > 2 or not grid[1][0].header:
            if grid[0][0].head and not grid[1][0].head:
                break  # the only line of a <thead>
            titles.append(grid[0][0].text)
            grid = grid[1:]
        else:
            break
    return titles, grid


def _header_rows(grid: list[list[_Cell]]) -> int:
    count = 0
    for row in grid[:6]:
        if not all(cell.header or not cell.text for cell in row) or len(row) == 1 < max(map(len, grid)):
            break
        count += 1
    return count if count < len(grid) or count == 1 else 1


def _keyed_by_first_column(grid: list[list[_Cell]]) -> bool:
    return all(row and row[0].header and any(not cell.header for cell in row[1:]) for row in grid[:3])


def _merged_header(rows: list[list[_Cell]]) -> list[str]:
    """One line from several: ``2024 / Q1``."""
    width = max((len(row) for row in rows), default=0)
    names = []
    for column in range(width):
        parts: list[str] = []
        for row in rows:
            text = row[column].text if column < len(row) else ""
            if text and text not in parts:
                parts.append(text)
        names.append(" / ".join(parts))
    return names


def _only_list(item: Element) -> bool:
    if (item.text or "").strip() or any((child.tail or "").strip() for child in item):
        return False
    elements = [child for child in item if isinstance(child.tag, str)]
    return bool(elements) and all(child.tag in ("ul", "ol") for child in elements)


def _indented(lines: list[str], n_spaces: int) -> list[str]:
    pad = " " * n_spaces
    return [pad + line if line else "" for line in lines]


def _integer(text: str | None, default: int) -> int:
    try:
        return int((text or "").strip()[:9])
    except ValueError:
        return default


def _white(text: str | None) -> str:
    return _WHITE.sub(" ", text) if text else ""


def _apart(node: Element) -> str:
    """Links side by side are set apart by style alone, if nothing stands between them."""
    before = node.getprevious()
    return " " if node.tag == "a" and before is not None and before.tag == "a" and not before.tail else ""


def _joined(parts: list[str]) -> str:
    """Bold right after bold is one bold."""
    return _SEAM.sub("", "".join(parts))


def _raw_text(node: Element) -> str:
    parts: list[str] = [node.text or ""]
    for child in node:
        if child.tag == "br":
            parts.append("\n")
        elif isinstance(child.tag, str):
            parts.append(_raw_text(child))
            if child.tag in ("div", "p", "li") and not parts[-1].endswith("\n"):
                parts.append("\n")
        parts.append(child.tail or "")
    return "".join(parts)


def _picture(node: Element) -> str:
    alt = markup.one_line(node.get("alt") or node.get("title") or "")
    return markup.image(alt, node.get("src") or node.get("data-src") or "") if alt else ""


def _checkbox(node: Element) -> str:
    if (node.get("type") or "").lower() not in ("checkbox", "radio"):
        return ""
    return "[x] " if node.get("checked") is not None else "[ ] "


def _formula(node: Element) -> str:
    for element in node.iter():
        if isinstance(element.tag, str) and element.tag.rpartition("}")[2] == "annotation":
            if "tex" in (element.get("encoding") or "").lower() and element.text:
                return f"${markup.one_line(element.text)}$"
    alt = node.get("alttext")
    return f"${markup.one_line(alt)}$" if alt else markup.one_line("".join(_texts(node)))


def _texts(node: Element) -> Iterator[str]:
    for text in node.itertext():
        yield str(text)


_HANDLERS: dict[str, Callable[[_Writer, Element], list[str]]] = {
    **dict.fromkeys(_HEADINGS, _Writer.heading),
    **dict.fromkeys(("ul", "ol", "menu", "dir"), _Writer.list_),
    "dl": _Writer.description_list,
    "pre": _Writer.code_block,
    "blockquote": _Writer.blockquote,
    "summary": _Writer.summary,
    "table": _Writer.table,
}
