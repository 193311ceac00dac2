"""The data behind a chart as a table: a row for each category, a column for each series."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from ingest.loaders.markup import one_line, paragraph
from ingest.loaders.ooxml_numbers import formatted, parse_format
from ingest.loaders.tables import markdown_table

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
_MAX_POINTS = 400
_LITERAL = re.compile(r'"[^"]*"|\[[^\]]*\]|\\.')
_DATE = re.compile(r"[yd]", re.IGNORECASE)
_DAY_ZERO = datetime(1899, 12, 30)
_MAX_SERIAL = 2_958_466  # the year 9999


def chart_table(chart: Any) -> Iterator[str]:
    """Reads the values that the chart's XML keeps, so a missing workbook does no harm. What has hundreds of points is
    a curve: its name tells more than they do."""
    root = getattr(chart, "_chartSpace", chart)
    title = root.find(f"{_C}chart/{_C}title")
    if title is not None:
        lines = [
            "".join(node.text or " " for node in line.iter(f"{_A}t", f"{_A}br"))
            for line in title.iter(f"{_A}p")
        ]
        words = one_line(" ".join(lines)) or " ".join(_points(title, "tx").values())
        if words:
            yield paragraph(words)
    names: list[str] = []
    columns: list[dict[int, str]] = []
    categories: dict[int, str] = {}
    for series in root.iter(f"{_C}ser"):
        names.append(one_line(" ".join(_points(series, "tx").values())))
        categories |= _points(series, "cat") or _points(series, "xVal")
        columns.append(_points(series, "val") or _points(series, "yVal"))
    places = sorted({at for column in columns for at in column})
    if len(places) > _MAX_POINTS:
        yield paragraph(", ".join(name for name in names if name))
    elif places:
        rows = [["", *names]]
        rows += [
            [categories.get(at, str(at + 1)), *(column.get(at, "") for column in columns)] for at in places
        ]
        yield markdown_table(rows)


def _points(series: Any, tag: str) -> dict[int, str]:
    found = series.find(f"{_C}{tag}")
    if found is None:
        return {}
    code = next((node.text or "" for node in found.iter(f"{_C}formatCode")), "")
    points: dict[int, str] = {}
    for point in found.iter(f"{_C}pt"):
        value = point.find(f"{_C}v")
        if value is not None and value.text and (point.get("idx") or "").isdigit():
            # The levels above the first name groups of categories.
            points.setdefault(int(point.get("idx")), _shown(value.text.strip(), code))
    return points


def _shown(text: str, code: str) -> str:
    try:
        value = float(text)
    except ValueError:
        return text
    if _DATE.search(_LITERAL.sub("", code)) and 0 < value < _MAX_SERIAL:
        return (_DAY_ZERO + timedelta(days=value)).date().isoformat()
    how = parse_format(code)
    if how is not None:
        return formatted(value, how)
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.12g}"
