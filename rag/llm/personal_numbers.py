"""Numbers that belong to a person: bank accounts (IBAN), payment cards, phones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

# Length of an IBAN by country: the SWIFT registry.
_IBAN_CHARS: Final = {
    country: int(size)
    for size, countries in (
        pair.split(":")
        for pair in [
            "15:NO",
            "16:BE",
            "18:DK FI FO GL NL SD FK",
            "19:MK SI",
            "20:AT BA EE KZ LT LU XK MN",
            "21:CH HR LI LV",
            "22:BG BH CR DE GB GE IE ME RS VA",
            "23:AE GI IL IQ OM TL SO",
            "24:AD CZ ES MD PK RO SA SE SK TN VG",
            "25:LY PT ST",
            "26:IS TR",
            "27:BI DJ FR GR IT MC MR SM",
            "28:AL AZ BY CY DO GT HU LB NI PL SV HN",
            "29:BR EG PS QA UA",
            "30:JO KW MU YE",
            "31:MT SC",
            "32:LC",
            "33:RU",
        ]
    )
    for country in countries.split()
}
_IBAN_START: Final = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}[ \u00a0]?\d{2}(?=[ \u00a0-]?[A-Za-z0-9])")
_GAP: Final = " \u00a0-"

_CARD: Final = re.compile(
    r"(?<![\w.,+/-])(?<!\d[ ])\d{4}([ -]?)\d{4,6}(?:\1\d{2,6}){1,3}(?![\w/-]|[.,]\d|[ ]\d)"
)
_CARD_LENGTHS: Final = (
    # first digits (inclusive), lengths
    ("4", "4", (16, 19)),
    ("51", "55", (16,)),
    ("2221", "2720", (16,)),
    ("34", "34", (15,)),
    ("37", "37", (15,)),
    ("300", "305", (14,)),
    ("36", "36", (14,)),
    ("38", "39", (14,)),
    ("6011", "6011", (16, 19)),
    ("644", "659", (16, 19)),
    ("3528", "3589", (16,)),
    ("62", "62", (16, 17, 18, 19)),
    ("50", "50", (16, 17, 18, 19)),
    ("56", "58", (16, 17, 18, 19)),
    ("63", "63", (16, 17, 18, 19)),
    ("67", "67", (16, 17, 18, 19)),
)

_SEPARATED: Final = r"(?:[ \u00a0./\u2010-\u2013-]?|[ ]?\(0\)[ ]?|[ ]?[/\u2013-][ ]?|\)[ ]?|[ ]?\()"
_PLUS: Final = re.compile(
    r"(?<![\w+])(?<!\d )(?:\+|\(\+|00(?=[1-9]))\d(?:" + _SEPARATED + r"\d){6,14}(?![\w]|[.,]\d)"
)
_AMERICAN: Final = re.compile(
    r"(?<![\w.+/-])(?<!\d )(?:1[ .-])?(?:\([2-9]\d\d\) ?|[2-9]\d\d(?P<sep>[ .-]))[2-9]\d\d(?:(?P=sep)|[.-])\d{4}(?![\w/-]|[.,]\d)"
)
_TRUNK: Final = re.compile(
    r"(?<![\w.,+/-])(?<!\d )\(?0[1-9](?:" + _SEPARATED + r"\d){7,11}(?![\w]|[.,/-]\d|[ ]\d)"
)
_ANNOUNCED: Final = re.compile(
    r"\b(?:(?:tel|telefon|telefono|teléfono|téléphone|tél|phone|telephone|fax|telefax|hotline|durchwahl|whatsapp|rufnummer)\b[.:]?"
    r"|(?:mobile?|móvil|handy|cell|call(?: me| us)?|dial)\b(?:[.:]| (?:at|on|under)\b| (?=(?:number|nummer|nr|no)\b)))[ \t]*"
    r"(?:(?:number|nummer|nr|no|n°|num)\b[.:]?[ \t]*)?(?:is|lautet|unter|at|on|under)?[:= \t]*"
    r"(?!(?:19|20)\d\d[ ])(\(?\+?\d(?:" + _SEPARATED + r"\d){6,14})(?![\w]|[.,]\d)",
    re.IGNORECASE,
)
_TRUNK_REGIONS: Final = ("DE", "GB", "FR", "AT", "CH", "IT", "NL", "BE", "SE", "PL", "AU", "JP", "IN", "ZA")
"""Countries whose numbers begin with a nought at home."""
_DATE: Final = re.compile(
    r"\d{1,2}([./-])\d{1,2}\1(?:\d{4}|\d{2})(?!\d)|\d{4}([./-])\d{1,2}\2\d{1,2}(?!\d)|\d{1,2}:\d{2}"
)


def ibans(text: str) -> Iterator[tuple[int, int]]:
    """In groups or in one, with the country's length and the right check digits (ISO 13616)."""
    for match in _IBAN_START.finditer(text):
        size = _IBAN_CHARS.get(match.group()[:2].upper())
        end = _walk(text, match.start(), size) if size else None
        if end is not None and _mod_97(text[match.start() : end]):
            yield match.start(), end


def _walk(text: str, start: int, size: int) -> int | None:
    """The end of ``size`` letters and digits in groups of four; None where there are not so many, or more."""
    seen, at = 0, start
    while seen < size:
        if at >= len(text):
            return None
        if text[at].isascii() and text[at].isalnum():
            seen += 1
        elif text[at] not in _GAP or text[at - 1] in _GAP or (seen % 4 and seen != 2):
            return None
        at += 1
    return None if text[at : at + 1].isalnum() else at


def _mod_97(iban: str) -> bool:
    bare = "".join(char for char in iban if char.isalnum()).upper()
    return int("".join(str(int(char, 36)) for char in bare[4:] + bare[:4])) % 97 == 1


def cards(text: str) -> Iterator[tuple[int, int]]:
    """With a known issuer's first digits and length and the right check digit (ISO/IEC 7812, Luhn)."""
    for match in _CARD.finditer(text):
        digits = re.sub(r"\D", "", match.group())
        known = any(
            low <= digits[: len(low)] <= high and len(digits) in sizes for low, high, sizes in _CARD_LENGTHS
        )
        if known and len(set(digits)) > 1 and _luhn(digits):
            yield match.span()


def _luhn(digits: str) -> bool:
    total = sum(int(digit) for digit in digits[-1::-2])
    return (total + sum(sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])) % 10 == 0


def phones(text: str) -> Iterator[tuple[int, int]]:
    """International ones, American ones in three groups, those with a nought before them that some country would
    dial, and whatever a word like "phone" announces."""
    for match in _ANNOUNCED.finditer(text):
        if not _DATE.match(match.group(1)):
            yield match.span(1)
    for match in _PLUS.finditer(text):
        if _could_be(match.group(), None) and ("+" in match.group() or _grouped(match.group())):
            yield match.span()
    yield from (match.span() for match in _AMERICAN.finditer(text))
    for match in _TRUNK.finditer(text):
        if (
            _grouped(match.group())
            and not _DATE.match(match.group())
            and any(_could_be(match.group(), region) for region in _TRUNK_REGIONS)
        ):
            yield match.span()


def _grouped(number: str) -> bool:
    """A row of digits alone is an id as likely as a phone number."""
    return re.search(r"\d[^\d.]+\d|\d\.\d+\.\d+\.\d", number) is not None


@lru_cache(maxsize=2048)
def _could_be(number: str, region: str | None) -> bool:
    import phonenumbers

    if region is None:
        number = "+" + re.sub(r"\D", "", re.sub(r"\(0\)", "", number)).removeprefix("00")
    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return False
    if region is None:
        return bool(phonenumbers.is_possible_number(parsed))
    return bool(phonenumbers.is_valid_number_for_region(parsed, region))
