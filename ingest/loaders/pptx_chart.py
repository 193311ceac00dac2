"""The data behind a chart as a table: a row for each category, a column for each series."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ingest.loaders.markup import one_line, paragraph
from ingest.loaders.tables import markdown_table

_C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"


def chart_table(chart: Any) -> Iterator[str]:
    """Reads the values that the chart's XML keeps, so a missing workbook does no harm."""
    root = getattr(chart, "_chartSpace", chart)
    title = root.find(f"{_C}chart/{_C}title")
    if title is not None:
        words = one_line(" ".join(text for text in title.itertext() if text.strip()))
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
    if places:
        rows = [["", *names]]
        rows += [
            [categories.get(at, str(at + 1)), *(column.get(at, "") for column in columns)] for at in places
        ]
        yield markdown_table(rows)


def _points(series: Any, tag: str) -> dict[int, str]:
    found = series.find(f"{_C}{tag}")
    if found is None:
        return {}
    points = {}
    for point in found.iter(f"{_C}pt"):
        value = point.find(f"{_C}v")
        if value is not None and value.text and (point.get("idx") or "").isdigit():
            points[int(point.get("idx"))] = _number(value.text.strip())
    return points


def _number(text: str) -> str:
    try:
        value = float(text)
    except ValueError:
        return text
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.12g}"
