"""Number formats of a workbook: 0.15 under "0 %" is read as 15%, 1234.5 under "$#,##0.00" as $1234.50."""

from __future__ import annotations

import re
from typing import NamedTuple

from lxml import etree

S = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_BUILT_IN = {1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00", 9: "0%", 10: "0.00%",
             5: '"$"#,##0', 6: '"$"#,##0', 7: '"$"#,##0.00', 8: '"$"#,##0.00'}  # fmt: skip
# A colour or a condition, [$€-407], "text", \x, a width _x, a fill *x, a fraction or date (no number), the digits.
_TOKEN = re.compile(r'\[\$([^\]-]*)[^\]]*\]|\[[^\]]*\]|"([^"]*)"|\\(.)|[_*].|([#0?][#0?,.]*)|(.)', re.DOTALL)
_AS_THEY_ARE = frozenset("$€£¥₹₽₩₺%+-() :")
_ONLY_ZEROS = re.compile(r"0{2,}")
_MAX_PLACES = 10


class NumberFormat(NamedTuple):
    before: str
    after: str
    places: int
    """Digits after the decimal point that are always shown."""
    n_digits: int
    """Digits before the decimal point that are always shown: "00420"."""
    is_percent: bool


def read_formats(styles: etree._Element) -> dict[int, NumberFormat]:
    """Of the workbook's cell styles, those that show more than the bare number."""
    codes = dict(_BUILT_IN)
    for node in styles.iter(f"{S}numFmt"):
        if (key := node.get("numFmtId") or "").isdigit():
            codes[int(key)] = node.get("formatCode") or ""
    cells = styles.find(f"{S}cellXfs")
    found = {}
    for at, node in enumerate(cells if cells is not None else ()):
        key = node.get("numFmtId") or ""
        parsed = parse_format(codes.get(int(key), "")) if key.isdigit() else None
        if parsed is not None:
            found[at] = parsed
    return found


def parse_format(code: str) -> NumberFormat | None:
    """None if it shows a number as it is, or in a way that is not understood (dates, fractions, powers)."""
    before, after, digits = "", "", ""
    for currency, quoted, escaped, number, other in _TOKEN.findall(_first_section(code)):
        if number:
            if digits:
                return None
            digits = number
            continue
        if other and other not in _AS_THEY_ARE:
            return None
        text = currency or quoted or escaped or other
        if digits:
            after += text
        else:
            before += text
    if not digits or digits.endswith(","):  # in thousands: the unit is not in the number
        return None
    whole, _, decimals = digits.replace(",", "").partition(".")
    is_percent = "%" in before + after
    found = NumberFormat(
        " ".join(before.split()).replace("%", ""),
        " " * after[:1].isspace() + " ".join(after.split()),
        min(decimals.count("0"), _MAX_PLACES),
        len(whole) if _ONLY_ZEROS.fullmatch(whole) else 0,
        is_percent,
    )
    if is_percent:
        found = found._replace(after=" ".join(found.after.replace("%", "").split()))
    return found if any(found) else None


def _first_section(code: str) -> str:
    """The sections are for positive, negative and zero; a quoted semicolon parts none."""
    return re.split(r';(?=(?:[^"]*"[^"]*")*[^"]*$)', code, maxsplit=1)[0]


def formatted(value: float, how: NumberFormat) -> str:
    """Digits that the format merely cuts off stay where they matter: 0.125 under "0%" is 12.5%."""
    number = abs(value) * 100 if how.is_percent else abs(value)
    text = f"{number:.{max(how.places, 2)}f}"
    if abs(float(text) - number) > 0.01 * number:
        text = f"{number:.12g}"
    whole, _, decimals = text.partition(".")
    decimals = decimals.rstrip("0").ljust(how.places, "0")
    text = whole.zfill(how.n_digits) + (f".{decimals}" if decimals else "")
    sign = "-" if value < 0 else ""
    after = f"%{' ' if how.after else ''}{how.after}" if how.is_percent else how.after
    return f"{sign}{how.before}{text}{after}".strip()
