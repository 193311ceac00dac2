"""Letters and signs that old documents write in the fonts Symbol and Wingdings, as what they look like."""

from __future__ import annotations

import re

_PRIVATE = re.compile("[\uf020-\uf0ff]")
_OFFSET = 0xF000
_UNKNOWN = "•"
_SYMBOL = {
    **dict(zip(range(0x41, 0x5B), "ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ", strict=True)),
    **dict(zip(range(0x61, 0x7B), "αβχδεφγηιϕκλμνοπθρστυϖωξψζ", strict=True)),
    **dict(zip(range(0xA1, 0xB0), "ϒ′≤⁄∞ƒ♣♦♥♠↔←↑→↓", strict=True)),
    **dict(zip(range(0xB0, 0xBE), "°±″≥×∝∂•÷≠≡≈…|", strict=True)),
    **dict(zip(range(0xC0, 0xD0), "ℵℑℜ℘⊗⊕∅∩∪⊃⊇⊄⊂⊆∈∉", strict=True)),
    **dict(zip(range(0xD0, 0xE0), "∠∇®©™∏√⋅¬∧∨⇔⇐⇑⇒⇓", strict=True)),
    0x22: "∀",
    0x24: "∃",
    0x27: "∋",
    0x2A: "∗",
    0x2D: "−",
    0x40: "≅",
    0x5C: "∴",
    0x5E: "⊥",
    0x7E: "∼",
    0xE1: "⟨",
    0xE5: "∑",
    0xF1: "⟩",
    0xF2: "∫",
}
_WINGDINGS = {
    0x28: "☎",
    0x2A: "✉",
    0x4A: "☺",
    0x4B: "😐",
    0x4C: "☹",
    0x6F: "☐",
    0x71: "☐",
    0x72: "☐",
    0xA8: "☐",
    0xDF: "←",
    0xE0: "→",
    0xE1: "↑",
    0xE2: "↓",
    0xE8: "→",
    0xF0: "⇨",
    0xF3: "⇔",
    0xFB: "✗",
    0xFC: "✓",
    0xFD: "☒",
    0xFE: "☑",
}
_WINGDINGS_2 = {0x4F: "✗", 0x50: "✓", 0x51: "☒", 0x52: "☑", 0x53: "☒", 0x54: "☒", 0xA3: "☐"}


def symbol(code: str, font: str) -> str:
    """Of ``w:sym``: its code in hexadecimal."""
    try:
        value = int(code, 16)
        return _known(value, font) if value < 0x100 else readable(chr(value), font)
    except (ValueError, OverflowError):
        return ""


def readable(text: str, font: str) -> str:
    """The text with what lies in the private area of such a font replaced."""
    return _PRIVATE.sub(lambda match: _known(ord(match.group()) - _OFFSET, font), text)


def _known(value: int, font: str) -> str:
    name = font.lower().replace(" ", "")
    if name.startswith(("wingdings", "webdings")):
        table = {"wingdings": _WINGDINGS, "wingdings2": _WINGDINGS_2}.get(name, {})
        return table.get(value, _UNKNOWN)
    if name in ("symbol", ""):
        return _SYMBOL.get(value) or (chr(value) if 0x20 <= value < 0x7F else _UNKNOWN)
    return _UNKNOWN
