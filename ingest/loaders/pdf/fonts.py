"""What a font's character codes mean and how wide they are."""

from __future__ import annotations

import re
import unicodedata
from typing import Any, NamedTuple

from pypdf.generic import DictionaryObject
from pypdf.generic._font import Font

UNMAPPED = "�"
_CORE_ALIASES = (("courier", "Courier"), ("mono", "Courier"), ("times", "Times-Roman"), ("", "Helvetica"))
_BOLD = re.compile(r"bold|black|heavy|demi|(?:^|[-,+])bd|cmbx|\bsfbx", re.I)
_MONO = re.compile(r"courier|mono|consol|cmtt|sftt|typewriter|menlo|inconsolata", re.I)
_FIXED_PITCH, _FORCE_BOLD = 1, 1 << 18
# Codes of symbol fonts that stand for the marks of lists and forms.
_SYMBOLS = {
    "\uf020": " ", "\uf02d": "-", "\uf06c": "•", "\uf06e": "▪", "\uf06f": "☐", "\uf071": "☐", "\uf072": "☐",
    "\uf075": "◆", "\uf076": "❖", "\uf077": "◆", "\uf09f": "•", "\uf0a0": "▪", "\uf0a7": "▪", "\uf0a8": "☐",
    "\uf0b7": "•", "\uf0d8": "➢", "\uf0da": "➢", "\uf0e0": "→", "\uf0fc": "✓", "\uf0fe": "☑", "\uf0fd": "☒",
}  # fmt: skip
_SYMBOL_FONT = re.compile(r"wingdings|webdings", re.I)
_MARK_LETTERS = frozenset("lnoqrtuvwxØ§üþýŸ·¨Úà")
_GLYPH_NAME = re.compile(r"/[A-Za-z][\w.\-]*|\(cid:\d+\)|/\d+")


class Glyph(NamedTuple):
    text: str
    width_em: float
    is_space_code: bool
    """Word spacing is added to it."""


class PdfFont:
    """Decodes the strings of one font."""

    __slots__ = (
        "_by_byte",
        "_cache",
        "_codes_are_text",
        "_font",
        "_width_scale",
        "bold",
        "mono",
        "space_em",
        "vertical",
    )

    def __init__(self, resource: DictionaryObject | None) -> None:
        self._cache: dict[Any, Glyph] = {}
        self._width_scale = 0.001
        self.vertical = False
        self._font: Font | None = None
        self._codes_are_text = True
        if resource is None:
            self._by_byte, self.bold, self.mono, self.space_em = True, False, False, 0.25
            return
        font = self._font = Font.from_font_resource(resource)
        self._by_byte = not isinstance(font.encoding, str)
        flags = font.font_descriptor.flags
        flags = flags if isinstance(flags, int) else 0
        self.bold = bool(_BOLD.search(font.name)) or bool(flags & _FORCE_BOLD)
        self.mono = bool(_MONO.search(font.name)) or bool(flags & _FIXED_PITCH)
        self._read_widths(resource, font)
        space = float(font.space_width) * self._width_scale
        self.space_em = min(max(space, 0.15), 0.6)

    def decode(self, data: bytes) -> list[Glyph]:
        cache = self._cache
        font = self._font
        if font is None or not isinstance(font.encoding, str):
            codes: Any = data
        else:
            try:
                codes = data.decode(font.encoding, "surrogatepass")
            except (UnicodeDecodeError, LookupError):
                codes = (
                    data.decode(font.encoding, "replace")
                    if self._by_byte
                    else data.decode("utf-16-be", "replace")
                )
        found = []
        for code in codes:
            glyph = cache.get(code)
            if glyph is None:
                glyph = cache[code] = self._glyph(code)
            found.append(glyph)
        return found

    def _read_widths(self, resource: DictionaryObject, font: Font) -> None:
        widths = font.character_widths
        if font.sub_type == "Type3":
            self._width_scale = _type3_scale(resource)
        elif font.sub_type == "Type0":
            encoding = resource.get("/Encoding")
            name = str(encoding) if isinstance(encoding, str) else ""
            self.vertical = name.endswith("-V")
            # Codes of "Identity" are glyph numbers of the font: without a map nobody knows their letters.
            self._codes_are_text = bool(name) and not name.startswith("/Identity")
            if isinstance(resource.get("/ToUnicode"), str):
                self._codes_are_text = True
            if not _states_default_width(resource):
                widths["default"] = 1000.0
        elif "/Widths" not in resource and "default" in widths and len(widths) < 3:
            alias = next(core for part, core in _CORE_ALIASES if part in font.name.lower())
            bold = "-Bold" if self.bold and alias != "Times-Roman" else ""
            font.character_widths = Font.from_core_font_name(alias + bold).character_widths

    def _glyph(self, code: int | str) -> Glyph:
        font = self._font
        if font is None:
            return Glyph(UNMAPPED, 0.5, code == 32)
        raw = chr(code) if isinstance(code, int) else code
        text = raw
        if isinstance(code, int) and isinstance(font.encoding, dict):
            text = font.encoding.get(code, raw)
        mapped = font.character_map.get(text)
        if mapped is None:
            mapped = text if self._by_byte or self._codes_are_text else UNMAPPED
        width = font.character_widths.get(raw, font.character_widths["default"])
        if not isinstance(width, int | float):
            width = 500.0
        shown = self._readable(str(mapped), font)
        return Glyph(shown, float(width) * self._width_scale, code == 32)

    def _readable(self, text: str, font: Font) -> str:
        if not font.interpretable:
            return UNMAPPED
        if len(text) == 1 and "!" <= text <= "~":
            if text in _MARK_LETTERS and _SYMBOL_FONT.search(font.name):
                return _SYMBOLS.get(chr(0xF000 + ord(text)), text)
            return text
        if len(text) > 1 and _GLYPH_NAME.fullmatch(text):
            text = _named(text)
        if len(text) == 1:
            if _SYMBOL_FONT.search(font.name) and text in _MARK_LETTERS:
                return _SYMBOLS.get(chr(0xF000 + ord(text)), text)
            if text in _SYMBOLS:
                return _SYMBOLS[text]
            if "\uf021" <= text <= "\uf07e":
                return chr(ord(text) - 0xF000)
            category = unicodedata.category(text)
            if category in ("Co", "Cn", "Cs") or (category == "Cc" and not text.isspace()):
                return UNMAPPED
            return text
        if len(text) > 1 and unicodedata.bidirectional(text[0]) in ("R", "AL"):
            # Lines are put together as they are seen and turned round as a whole.
            return text[::-1]
        return text


def _named(name: str) -> str:
    """The letters of a glyph's name, by the rules of Adobe's glyph list: f_i.alt is "fi"."""
    from pypdf._codecs.adobe_glyphs import adobe_glyphs

    parts = name.lstrip("/").partition(".")[0].split("_")
    letters = [adobe_glyphs.get("/" + part, "") for part in parts]
    return "".join(letters) if all(letters) else UNMAPPED


def _type3_scale(resource: DictionaryObject) -> float:
    try:
        scale = abs(float(resource["/FontMatrix"][0]))  # type: ignore[index]
    except (KeyError, TypeError, ValueError, IndexError):
        return 0.001
    return scale if 0 < scale < 10 else 0.001


def _states_default_width(resource: DictionaryObject) -> bool:
    try:
        return "/DW" in resource["/DescendantFonts"][0].get_object()  # type: ignore[index]
    except (KeyError, TypeError, IndexError, AttributeError):
        return False


NO_FONT = PdfFont(None)


class Fonts:
    """The fonts of one document, read once."""

    def __init__(self) -> None:
        self._read: dict[int, tuple[Any, PdfFont]] = {}

    def get(self, resource: Any) -> PdfFont:
        known = self._read.get(id(resource))
        if known is not None:
            return known[1]
        try:
            font = PdfFont(resource)
        except RecursionError:
            raise
        except Exception:  # a broken font: its text cannot be read, the page's other fonts can
            font = NO_FONT
        self._read[id(resource)] = (resource, font)
        return font
