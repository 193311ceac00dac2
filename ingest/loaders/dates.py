"""Dates as files state them, in ISO form, so that they can be filtered by."""

from __future__ import annotations

import re
from datetime import date, datetime
from email.utils import parsedate_to_datetime

_DAY_MONTH_YEAR = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})")


def iso_date(stated: str) -> str:
    """From ISO 8601 or the form of mail headers, time kept where it is stated; "" for anything else.

    11/12/2024 is one of two days, so it is none.
    """
    text = stated.strip()
    if re.fullmatch(r"\d{4}(?:-\d{2})?", text):
        return f"{text}-01-01"[:10] if len(text) == 4 else f"{text}-01"
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = read(text)
        except (TypeError, ValueError, IndexError, OverflowError):
            continue
        return text[:10] if len(text) == 10 else moment.isoformat(timespec="seconds")
    try:
        if found := _DAY_MONTH_YEAR.match(text):
            day, month, year = (int(part) for part in found.groups())
            return date(year, month, day).isoformat()
        return date.fromisoformat(text[:10]).isoformat()
    except ValueError:
        return ""
