"""Numbers with their units and bounds, dates and rates, from the tokens of a text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from rag import measures
from rag.measures import Direction
from rag.scan import Scan
from rag.values import Date, Quantity, clock, decimal

_TIMES: Final = frozenset(["second", "minute", "hour", "day", "week", "month", "quarter", "year"])
_UNIT_REACH = 2


def read_numbers(scan: Scan) -> None:
    """Completes the numbers with units, currencies, scales and bounds, and adds those written as words."""
    taken = {quantity.position: quantity for quantity in scan.quantities}
    dated = {date.position for date in scan.dates}
    found: list[Quantity] = []
    index = 0
    while index < len(scan.tokens):
        kind, token = scan.kinds[index], scan.tokens[index]
        quantity = taken.get(index)
        last = index
        if kind == "clock":
            quantity = Quantity(frozenset([clock(token.text)]), "clock", "", False, index)
        elif quantity is None and kind == "word":
            value, last = _spelled(scan, index)
            if value is not None:
                quantity = Quantity(frozenset([decimal(value)]), "", "", False, index)
            elif token.text.lower() in measures.ORDINALS and not _is_second_unit(scan, index):
                ordinal = str(measures.ORDINALS[token.text.lower()])
                quantity = Quantity(frozenset([ordinal]), "", "", True, index)
        if quantity is not None and index not in dated:
            quantity, last = _completed(scan, quantity, index, last)
            found.append(quantity)
            for covered in range(index, last + 1):
                if scan.kinds[covered] == "word":
                    scan.kinds[covered] = "number-word"
        index = last + 1
    for date in scan.dates:
        if date.year is not None:
            found.append(Quantity(frozenset([str(date.year)]), "year", "", False, date.position))
    scan.quantities = found


def _is_second_unit(scan: Scan, index: int) -> bool:
    return scan.tokens[index].text.lower() == "second" and index > 0 and scan.kinds[index - 1] == "number"


def _spelled(scan: Scan, index: int) -> tuple[float | None, int]:
    """(value, index of the last word) of a number in words that starts here, else (None, index)."""
    total, current, last, seen = 0.0, 0.0, index, False
    for position in range(index, min(index + 6, len(scan.tokens))):
        word = scan.tokens[position].text.lower()
        if word in measures.NUMBER_WORDS and scan.kinds[position] == "word":
            if seen and measures.NUMBER_WORDS[word] >= 10 and current % 100:
                break
            current += measures.NUMBER_WORDS[word]
        elif word in measures.MULTIPLIERS and (seen or word in ("dozen", "dutzend")):
            current = max(current, 1) * measures.MULTIPLIERS[word]
            if measures.MULTIPLIERS[word] >= 1000:
                total, current = total + current, 0.0
        else:
            break
        seen, last = True, position
    if not seen:
        return None, index
    word = scan.tokens[index].text.lower()
    if word in measures.VAGUE_ONES and last == index:
        following = scan.tokens[index + 1].text.lower() if index + 1 < len(scan.tokens) else ""
        if following not in measures.UNITS:
            return None, index  # "one of them", "a day": no number is claimed
    return total + current, last


def _completed(scan: Scan, quantity: Quantity, index: int, last: int) -> tuple[Quantity, int]:
    numbers, unit, ordinal = quantity.readings, quantity.unit, quantity.ordinal
    following = last + 1
    if following < len(scan.tokens) and scan.kinds[following] == "word":
        word = scan.tokens[following].text.lower()
        if word in measures.MULTIPLIERS and measures.MULTIPLIERS[word] >= 100 and last == index:
            numbers = frozenset(decimal(float(n) * measures.MULTIPLIERS[word]) for n in numbers)
            last, following = following, following + 1
    if index > 0 and scan.kinds[index - 1] == "money":
        unit = measures.UNITS[scan.tokens[index - 1].text]
    elif index > 0 and scan.tokens[index - 1].text in measures.CURRENCY_CODES:
        unit = measures.UNITS[scan.tokens[index - 1].text.lower()]
    elif not unit and following < len(scan.tokens):
        unit, last = _unit_at(scan, following, last)
    if (
        not unit
        and not ordinal
        and len(numbers) == 1
        and re.fullmatch(r"1[5-9]\d\d|20\d\d", next(iter(numbers)))
    ):
        written = scan.tokens[index].text
        unit = "year" if written.isdigit() else ""
    return Quantity(numbers, unit, _direction(scan, index, last), ordinal, index), last


def _unit_at(scan: Scan, position: int, last: int) -> tuple[str, int]:
    """The unit that follows a number, an adjective or two between them allowed: "30 calendar days"."""
    clause = scan.tokens[last].clause
    for reach in range(_UNIT_REACH + 1):
        at = position + reach
        if at >= len(scan.tokens) or scan.tokens[at].clause != clause:
            break
        word = scan.tokens[at].text
        unit = measures.UNITS.get(word if word in ("%", "‰") else word.lower(), "")
        if unit and (len(word) > 2 or word in measures.SHORT_UNITS or reach == 0):
            return unit, (at if reach == 0 else last)
        if scan.kinds[at] != "word" or not scan.tokens[at].content:
            break
    return "", last


def _direction(scan: Scan, index: int, last: int) -> Direction:
    start = scan.tokens[max(0, index - 5)].start
    before = scan.text[start : scan.tokens[index].start].lower()
    tail = scan.tokens[last]
    after = scan.text[tail.start + len(tail.text) :][:24].lower()
    for pattern, direction in measures.BOUNDS_BEFORE:
        if pattern.search(before):
            return direction
    for pattern, direction in measures.BOUNDS_AFTER:
        if pattern.match(after):
            return direction
    return ""


def read_dates(scan: Scan) -> None:
    for index, token in enumerate(scan.tokens):
        if scan.kinds[index] == "iso":
            year, month, day = (int(part) for part in token.text.split("-"))
            _date(scan, year, month, day, index, ())
        elif scan.kinds[index] == "numeric_date":
            _numeric_date(scan, token.text, index)
        elif scan.kinds[index] == "word" and token.text.lower().rstrip(".") in measures.MONTHS:
            if token.text[0].islower() and scan.language == "english":
                continue  # "may", "march", "mar" in running text
            _named_month(scan, index, measures.MONTHS[token.text.lower().rstrip(".")])


def _numeric_date(scan: Scan, text: str, index: int) -> None:
    first, second, year = (int(part) for part in re.split(r"[./]", text))
    if "." in text or first > 12:
        _date(scan, year, second, first, index, ())
    else:
        _date(scan, year, first, second, index, ())


def _named_month(scan: Scan, index: int, month: int) -> None:
    used: list[int] = []
    day: int | None = None
    year: int | None = None
    numbers = {quantity.position: quantity for quantity in scan.quantities}

    def value(at: int) -> int | None:
        if at not in numbers or len(numbers[at].readings) != 1 or numbers[at].unit:
            return None
        text = next(iter(numbers[at].readings))
        return int(text) if text.isdigit() else None

    before, after = value(index - 1), value(index + 1)
    if before is not None and 1 <= before <= 31:
        day, used = before, [*used, index - 1]
        at = index + 1
    elif after is not None and 1 <= after <= 31:
        day, used = after, [*used, index + 1]
        at = index + 2
    else:
        at = index + 1
    if at < len(scan.tokens) and scan.tokens[at].text.lower() in ("of", "de"):
        at += 1
    written = value(at)
    if written is not None and 1000 <= written <= 2999:
        year, used = written, [*used, at]
    if day is None and year is None and scan.tokens[index].text.lower() in ("may", "mar", "march", "sun"):
        return
    _date(scan, year, month, day, index, used)


def _date(scan: Scan, year: int | None, month: int, day: int | None, index: int, used: Iterable[int]) -> None:
    if not (1 <= month <= 12 and (day is None or 1 <= day <= 31)):
        return
    scan.dates.append(Date(year, month, day, index))
    covered = {index, *used}
    scan.quantities = [quantity for quantity in scan.quantities if quantity.position not in covered]
    for at in covered:
        scan.kinds[at] = "date"
    for at in used:
        if scan.tokens[at].clause != scan.tokens[index].clause:
            # The comma of "March 5, 2024" is no clause boundary.
            home = scan.tokens[index]
            scan.tokens[at] = replace(scan.tokens[at], clause=home.clause, sentence=home.sentence)


def rates(scan: Scan) -> Iterator[str]:
    for index, token in enumerate(scan.tokens):
        word = token.text.lower()
        if word in measures.RATE_ADVERBS:
            yield measures.RATE_ADVERBS[word]
        elif word in measures.RATE_WORDS and index + 1 < len(scan.tokens):
            unit = measures.UNITS.get(scan.tokens[index + 1].text.lower(), "")
            if unit in _TIMES:
                yield unit
