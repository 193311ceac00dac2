"""The text of a Word paragraph as Markdown: emphasis, links, equations, pictures, check boxes."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from lxml import etree

from ingest.loaders import markup
from ingest.loaders.docx_fields import OpenFields, form_value, link_of
from ingest.loaders.docx_math import latex
from ingest.loaders.docx_pieces import Piece, raised
from ingest.loaders.docx_styles import W, integer, is_monospaced, is_on, local_name
from ingest.loaders.docx_symbols import readable, symbol

M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
V = "{urn:schemas-microsoft-com:vml}"
MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_W14 = "{http://schemas.microsoft.com/office/word/2010/wordml}"
_DRAWING = "{http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing}"
_DIAGRAM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
_READABLE_HALF_POINTS = 4
_PASSED_OVER = frozenset(
    f"{W}{name}" for name in ("del", "moveFrom", "pPr", "rPr", "sdtPr", "sdtEndPr", "instrText", "delText")
)
_DATA_URI_BYTES = 60
_WHITE = re.compile(r"(?:F[89A-F]){3}", re.IGNORECASE)


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
    diagrams: list[str] = field(default_factory=list)
    """Relationship ids of charts and of SmartArt's data."""
    hidden_styles: frozenset[str] | set[str] = frozenset()
    marked_styles: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Character styles that are bold ("b") or italic ("i")."""
    hides_all: bool = False
    """The paragraph's style is hidden."""
    on_white: bool = False
    """Nothing is known to lie under the text, so that white text cannot be seen."""
    n_hidden: int = 0
    _fields: OpenFields = field(default_factory=OpenFields)

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
                yield from self.pieces(child, link_of(child.get(f"{W}instr") or "") or url)
            elif child.tag == f"{MC}AlternateContent":
                yield from self.pieces(chosen(child), url)
            elif child.tag not in (f"{W}p", f"{W}tbl"):
                yield from self.pieces(child, url)

    def _run(self, run: etree._Element, url: str) -> Iterator[Piece]:
        properties = run.find(f"{W}rPr")
        if self._is_hidden(properties):
            self.n_hidden += any((words.text or "").strip() for words in run.iter(f"{W}t"))
            for mark in run.iter(f"{W}fldChar", f"{W}instrText"):
                self._fields.read(mark)
            return
        fonts = properties.find(f"{W}rFonts") if properties is not None else None
        shape = Piece(
            "",
            self._is_marked(properties, "b"),
            self._is_marked(properties, "i"),
            _on(properties, "strike") or _on(properties, "dstrike"),
            self._fields.url() or url,
            fonts is not None and is_monospaced(fonts),
        )
        is_raised = _is_raised(properties)
        font = (fonts.get(f"{W}ascii") or fonts.get(f"{W}hAnsi") or "") if fonts is not None else ""
        for child in run:
            if child.tag in (f"{W}fldChar", f"{W}instrText"):
                self._fields.read(child)
                shape = shape._replace(url=self._fields.url() or url)
                if value := form_value(child):
                    yield Piece(value, raw=True)
            else:
                for piece in self._content(child, shape):
                    if piece.raw:
                        yield piece
                    else:
                        text = readable(piece.text, font)
                        yield piece._replace(text=raised(text) if is_raised else text)

    def _is_hidden(self, properties: etree._Element | None) -> bool:
        if properties is None:
            return self.hides_all
        vanish, style = properties.find(f"{W}vanish"), properties.find(f"{W}rStyle")
        if vanish is not None:
            return is_on(vanish)
        if self.hides_all or (style is not None and style.get(f"{W}val") in self.hidden_styles):
            return True
        size, color = properties.find(f"{W}sz"), properties.find(f"{W}color")
        if integer(size, _READABLE_HALF_POINTS) < _READABLE_HALF_POINTS:
            return True
        white = color is not None and _WHITE.fullmatch(color.get(f"{W}val") or "") is not None
        return (
            white
            and self.on_white
            and properties.find(f"{W}shd") is None
            and properties.find(f"{W}highlight") is None
        )

    def _is_marked(self, properties: etree._Element | None, name: str) -> bool:
        """By the run itself, else by its character style ("Strong", "Emphasis")."""
        if properties is None:
            return False
        own = properties.find(f"{W}{name}")
        if own is not None:
            return is_on(own)
        style = properties.find(f"{W}rStyle")
        return style is not None and name in self.marked_styles.get(style.get(f"{W}val") or "", ())

    def _content(self, node: etree._Element, shape: Piece) -> Iterator[Piece]:
        name = local_name(node)
        if name in ("t", "delText") and node.tag == f"{W}t":
            yield shape._replace(text=node.text or "")
        elif name in ("tab", "ptab"):
            yield shape._replace(text="\t")
        elif name in ("br", "cr"):
            yield shape._replace(text="\n" if node.get(f"{W}type", "textWrapping") == "textWrapping" else " ")
        elif name == "noBreakHyphen":
            yield shape._replace(text="-")
        elif name == "sym":
            yield shape._replace(text=symbol(node.get(f"{W}char") or "", node.get(f"{W}font") or ""))
        elif name in ("footnoteReference", "endnoteReference", "commentReference"):
            self.notes.append((name.removesuffix("Reference"), node.get(f"{W}id") or ""))
        elif node.tag == f"{MC}AlternateContent":
            for child in chosen(node):
                yield from self._content(child, shape)
        elif name == "ruby":
            yield from self._ruby(node, shape)
        elif name in ("drawing", "pict", "object"):
            yield from self._drawing(node)

    def _ruby(self, node: etree._Element, shape: Piece) -> Iterator[Piece]:
        """How a word is read stands in brackets behind it."""
        yield shape._replace(text="".join(words.text or "" for words in node.iterfind(f"{W}rubyBase//{W}t")))
        said = "".join(words.text or "" for words in node.iterfind(f"{W}rt//{W}t"))
        if said.strip():
            yield shape._replace(text=f" ({said.strip()})")

    def _drawing(self, node: etree._Element) -> Iterator[Piece]:
        self.boxes += [box for box in node.iter(f"{W}txbxContent") if _outermost(box, node)]
        self.charts += [
            chart.get(f"{R}id") or "" for chart in node.iter() if str(chart.tag).endswith("/chart}chart")
        ]
        self.diagrams += [ids.get(f"{R}dm") or "" for ids in node.iter(f"{_DIAGRAM}relIds")]
        for words in node.iter(f"{V}textpath"):
            yield Piece(words.get("string") or "")
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
            yield Piece(f" {markup.image(alt or picture.get('title') or '', source)} ", raw=True)


def chosen(node: etree._Element) -> etree._Element:
    """Of an ``AlternateContent`` what newer programs show, unless that is empty."""
    choice, fallback = node.find(f"{MC}Choice"), node.find(f"{MC}Fallback")
    first, second = (one if one is not None else etree.Element("none") for one in (choice, fallback))
    return first if len(first) else second


def _is_raised(properties: etree._Element | None) -> bool:
    align = properties.find(f"{W}vertAlign") if properties is not None else None
    return align is not None and align.get(f"{W}val") == "superscript"


def _on(properties: etree._Element | None, name: str) -> bool:
    return properties is not None and is_on(properties.find(f"{W}{name}"))


def _is_checked(box: etree._Element) -> bool:
    state = box.find(f"{_W14}checked")
    return state is not None and state.get(f"{_W14}val", "1") in ("1", "true")


def _outermost(box: etree._Element, top: etree._Element) -> bool:
    """The fallback repeats what the choice says, and a box may hold boxes."""
    for ancestor in box.iterancestors():
        if ancestor is top:
            return True
        if ancestor.tag in (f"{W}txbxContent", f"{MC}Fallback"):
            return False
    return True
