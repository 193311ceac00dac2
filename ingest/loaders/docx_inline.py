"""The text of a Word paragraph as Markdown: emphasis, links, equations, pictures, check boxes."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

from lxml import etree

from ingest.loaders import markup
from ingest.loaders.docx_math import latex
from ingest.loaders.docx_styles import W, is_monospaced

M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
V = "{urn:schemas-microsoft-com:vml}"
MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_W14 = "{http://schemas.microsoft.com/office/word/2010/wordml}"
_DRAWING = "{http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing}"
_PASSED_OVER = frozenset(
    f"{W}{name}" for name in ("del", "moveFrom", "pPr", "rPr", "sdtPr", "sdtEndPr", "instrText", "delText")
)
_DATA_URI_BYTES = 60


class Piece(NamedTuple):
    text: str
    bold: bool = False
    italic: bool = False
    struck: bool = False
    url: str = ""
    monospaced: bool = False
    raw: bool = False
    """Markdown already: an equation, a picture."""


@dataclass(slots=True)
class Inline:
    """What a paragraph holds beside its text, gathered while it is read."""

    url_of: Callable[[str], str]
    picture_of: Callable[[str], tuple[bytes, str] | None]
    boxes: list[etree._Element] = field(default_factory=list)
    """Text boxes anchored in it."""
    notes: list[tuple[str, str]] = field(default_factory=list)
    """("footnote", id), ("endnote", id), ("comment", id)"""
    charts: list[str] = field(default_factory=list)
    """Relationship ids."""
    n_hidden: int = 0

    def pieces(self, node: etree._Element, url: str = "") -> Iterator[Piece]:
        for child in node:
            if not isinstance(child.tag, str) or child.tag in _PASSED_OVER:
                continue
            if child.tag == f"{W}r":
                yield from self._run(child, url)
            elif child.tag == f"{M}oMathPara":
                for equation in child.iter(f"{M}oMath"):
                    yield Piece(f" $${latex(equation)}$$ ", raw=True)
            elif child.tag == f"{M}oMath":
                yield Piece(f"${latex(child)}$", raw=True)
            elif child.tag == f"{W}hyperlink":
                yield from self.pieces(child, self.url_of(child.get(f"{R}id") or "") or url)
            elif child.tag == f"{W}sdt":
                box = child.find(f"{W}sdtPr/{_W14}checkbox")
                if box is not None:
                    yield Piece("[x] " if _is_checked(box) else "[ ] ", raw=True)
                else:
                    yield from self.pieces(child, url)
            elif child.tag == f"{W}fldSimple":
                yield from self.pieces(child, _field_url(child.get(f"{W}instr") or "") or url)
            elif child.tag not in (f"{W}p", f"{W}tbl"):
                yield from self.pieces(child, url)

    def _run(self, run: etree._Element, url: str) -> Iterator[Piece]:
        properties = run.find(f"{W}rPr")
        if _on(properties, "vanish"):
            self.n_hidden += bool("".join(run.itertext()).strip())
            return
        fonts = properties.find(f"{W}rFonts") if properties is not None else None
        shape = Piece(
            "",
            _on(properties, "b"),
            _on(properties, "i"),
            _on(properties, "strike") or _on(properties, "dstrike"),
            url,
            fonts is not None and is_monospaced(fonts),
        )
        for child in run:
            yield from self._content(child, shape)

    def _content(self, node: etree._Element, shape: Piece) -> Iterator[Piece]:
        name = etree.QName(node).localname if isinstance(node.tag, str) else ""
        if name in ("t", "delText") and node.tag == f"{W}t":
            yield shape._replace(text=node.text or "")
        elif name in ("tab", "ptab"):
            yield shape._replace(text="\t")
        elif name in ("br", "cr"):
            yield shape._replace(text="\n" if node.get(f"{W}type", "textWrapping") == "textWrapping" else " ")
        elif name == "noBreakHyphen":
            yield shape._replace(text="-")
        elif name == "sym":
            yield shape._replace(text=_symbol(node.get(f"{W}char") or ""))
        elif name in ("footnoteReference", "endnoteReference", "commentReference"):
            self.notes.append((name.removesuffix("Reference"), node.get(f"{W}id") or ""))
        elif node.tag == f"{MC}AlternateContent":
            chosen = node.find(f"{MC}Choice")
            for child in chosen if chosen is not None and len(chosen) else node.find(f"{MC}Fallback") or ():
                yield from self._content(child, shape)
        elif name in ("drawing", "pict", "object"):
            yield from self._drawing(node)

    def _drawing(self, node: etree._Element) -> Iterator[Piece]:
        self.boxes += [box for box in node.iter(f"{W}txbxContent") if _outermost(box, node)]
        self.charts += [
            chart.get(f"{R}id") or "" for chart in node.iter() if str(chart.tag).endswith("/chart}chart")
        ]
        about = next(node.iter(f"{_DRAWING}docPr"), None)
        alt = (about.get("descr") or about.get("title") or "") if about is not None else ""
        for picture in node.iter(f"{A}blip", f"{V}imagedata"):
            key = picture.get(f"{R}embed") or picture.get(f"{R}id") or picture.get(f"{R}link") or ""
            found = self.picture_of(key)
            source = ""
            if found is not None:
                source = (
                    f"data:{found[1]};base64,{base64.b64encode(found[0][:_DATA_URI_BYTES]).decode('ascii')}"
                )
            yield Piece(markup.image(alt or picture.get("title") or "", source), raw=True)


def written(pieces: list[Piece], *, emphasised: bool = True) -> str:
    """The pieces as one run of Markdown; emphasis and links go around runs of pieces that share them."""
    parts: list[str] = []
    for shape, group in groupby(pieces, key=lambda piece: piece._replace(text="")):
        text = (" " if shape.raw else "").join(piece.text for piece in group)
        if not shape.raw and emphasised and text.strip():
            if shape.struck:
                text = markup.emphasis(text, "~~")
            if shape.italic:
                text = markup.emphasis(text, "*")
            if shape.bold:
                text = markup.emphasis(text, "**")
        if shape.url:
            text = markup.link(text, shape.url)
        parts.append(text)
    return "".join(parts).replace("\t", " ")


def _on(properties: etree._Element | None, name: str) -> bool:
    found = properties.find(f"{W}{name}") if properties is not None else None
    return found is not None and found.get(f"{W}val", "true") not in ("0", "false", "off", "none")


def _is_checked(box: etree._Element) -> bool:
    state = box.find(f"{_W14}checked")
    return state is not None and state.get(f"{_W14}val", "1") in ("1", "true")


def _field_url(instruction: str) -> str:
    words = instruction.split()
    return words[1].strip('"') if len(words) > 1 and words[0].upper() == "HYPERLINK" else ""


def _symbol(code: str) -> str:
    """Symbol fonts live in the private area; what is not known is a bullet."""
    try:
        value = int(code, 16)
    except ValueError:
        return ""
    return "•" if 0xF000 <= value <= 0xF0FF else chr(value)


def _outermost(box: etree._Element, top: etree._Element) -> bool:
    """The fallback repeats what the choice says, and a box may hold boxes."""
    for ancestor in box.iterancestors():
        if ancestor is top:
            return True
        if ancestor.tag in (f"{W}txbxContent", f"{MC}Fallback"):
            return False
    return True
