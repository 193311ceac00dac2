"""Inline HTML as Markdown: emphasis, links, code, pictures, formulas."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ingest.loaders import html_tables, markup
from ingest.loaders.html_tables import Element

BLOCKS = frozenset(
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
        "hr",
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
SKIPPED = frozenset(
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
_EXPONENT = re.compile(r"^[-+−]?(?:\d{1,4}|[a-zA-Z]{1,2}|[-+]\w{1,3})$")
_ORDINAL = frozenset(["st", "nd", "rd", "th"])
_WHITE = re.compile(r"[ \t\n\r\f]+")
_SEAM = re.compile(r"(?<=[^\s*])\*{4}(?=[^\s*])")


@dataclass(frozen=True, slots=True)
class Inline:
    """Turns what stands inside of a block into one run of Markdown."""

    outer: frozenset[Element]
    """Elements, inline by name, that hold blocks all the same."""

    def flat(self, node: Element) -> str:
        """Everything inside on one line, blocks separated by a space."""
        parts = [white(node.text)]
        for child in node:
            if isinstance(child.tag, str):
                if child.tag in ("ul", "ol", "dl", "table", "pre") and child.tag not in SKIPPED:
                    parts.append(" " + self._flat_block(child) + " ")
                elif child.tag in BLOCKS or child in self.outer:
                    parts.append(
                        " " + (self._flat_linked(child) if child.tag == "a" else self.flat(child)) + " "
                    )
                else:
                    parts.append(apart(child) + self.markdown(child))
            parts.append(white(child.tail))
        return markup.one_line(joined(parts))

    def _flat_linked(self, node: Element) -> str:
        return markup.link(self.flat(node), node.get("href", ""), node.get("title", ""))

    def _flat_block(self, node: Element) -> str:
        if node.tag == "pre":
            return markup.inline_code(raw_text(node))
        if node.tag == "table":
            return " ".join(self.flat(cell) for row in html_tables.rows(node) for cell in row)
        if node.tag == "dl":
            return self.flat(node) if len(node) == 0 else " ".join(self.flat(child) for child in node)
        marks = (f"{n}. " if node.tag == "ol" else "* " for n in range(1, len(node) + 1))
        items = [self.flat(child) for child in node if isinstance(child.tag, str)]
        return " ".join(mark + item for mark, item in zip(marks, items, strict=False) if item)

    def markdown(self, node: Element) -> str:
        tag = node.tag
        if not isinstance(tag, str) or tag in SKIPPED:
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
            return markup.inline_code(raw_text(node))
        if node in self.outer and tag in ("a", "button", "label", "span"):
            text = self.flat(node)
        else:
            parts = [white(node.text)]
            for child in node:
                if isinstance(child.tag, str):
                    inner = f" {self.flat(child)} " if child.tag in BLOCKS else self.markdown(child)
                    parts.append(apart(child) + inner)
                parts.append(white(child.tail))
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


def white(text: str | None) -> str:
    return _WHITE.sub(" ", text) if text else ""


def apart(node: Element) -> str:
    """Links side by side are set apart by style alone, if nothing stands between them."""
    before = node.getprevious()
    return " " if node.tag == "a" and before is not None and before.tag == "a" and not before.tail else ""


def joined(parts: list[str]) -> str:
    """Bold right after bold is one bold."""
    return _SEAM.sub("", "".join(parts))


def raw_text(node: Element) -> str:
    parts: list[str] = [node.text or ""]
    for child in node:
        if child.tag == "br":
            parts.append("\n")
        elif isinstance(child.tag, str):
            parts.append(raw_text(child))
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
        is_tex = "tex" in (element.get("encoding") or "").lower()
        if is_tex and element.text and str(element.tag).rpartition("}")[2] == "annotation":
            return f"${markup.one_line(element.text)}$"
    alt = node.get("alttext")
    return f"${markup.one_line(alt)}$" if alt else markup.one_line("".join(map(str, node.itertext())))
