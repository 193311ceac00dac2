"""CSV and its relatives: one Markdown table, whatever the delimiter and the encoding."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ingest.loaders.markup import paragraph
from ingest.loaders.parts import document_from_parts
from ingest.loaders.tables import markdown_table
from ingest.loaders.text import decode
from rag.core.errors import LoadError, NoText
from rag.core.types import LoadedDocument

_DELIMITERS = ",;\t|:"
_SAMPLE_LINES = 200
_MAX_COLUMNS = 2000


class CsvLoader:
    media_types = ("text/csv", "text/tab-separated-values")

    def load(self, path: Path, data: bytes, *, passwords: Sequence[str] = ()) -> LoadedDocument:
        text = decode(data)
        if not text.strip():
            raise NoText(f"{path.name} holds no table.", path=path.name)
        rows, delimiter = _rows(text, path.name)
        width = max(len(row) for row in rows)
        if width > _MAX_COLUMNS:
            raise LoadError(
                f"{path.name} has {width} columns, more than {_MAX_COLUMNS}; it is no table to read.",
                path=path.name,
            )
        rows = [row for row in rows if any(cell.strip() for cell in row)]
        if not rows:
            raise NoText(f"{path.name} holds no table.", path=path.name)
        media_type = "text/tab-separated-values" if delimiter == "\t" else "text/csv"
        titles, rows = _titles(rows, width)
        uneven = sum(len(row) != len(rows[0]) for row in rows)
        warnings = (
            [f"{uneven} of {len(rows)} rows have another number of cells than the first"] if uneven else []
        )
        parts = [*map(paragraph, titles), markdown_table(rows)]
        return document_from_parts(parts, media_type, warnings=warnings)


def _rows(text: str, name: str) -> tuple[list[list[str]], str]:
    text = text.replace("\x00", "")
    first, _, rest = text.partition("\n")
    declared = first.strip().strip('"')
    if declared.lower().startswith("sep=") and len(declared) == 5:
        delimiter, text = declared[4], rest
    else:
        delimiter = _delimiter(text)
    csv.field_size_limit(10_000_000)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True))
    except csv.Error as exc:
        raise LoadError(f"{name} cannot be read as a table ({exc}).") from exc
    return rows, delimiter


def _delimiter(text: str) -> str:
    """The one that cuts most rows into the same number of cells; a comma if none does."""
    sample = [line for line in text.splitlines()[:_SAMPLE_LINES] if line.strip()]
    best, best_score = ",", 0.0
    for delimiter in _DELIMITERS:
        try:
            widths = [
                len(row) for row in csv.reader(sample, delimiter=delimiter, skipinitialspace=True) if row
            ]
        except csv.Error:
            continue
        width, count = Counter(widths).most_common(1)[0] if widths else (1, 0)
        # Colons stand in times and sentences: they must be without rival.
        score = count / max(1, len(widths)) * min(width - 1, 8) ** 0.5 * (0.3 if delimiter == ":" else 1)
        if width > 1 and score > best_score:
            best, best_score = delimiter, score
    return best


def _titles(rows: list[list[str]], width: int) -> tuple[list[str], list[list[str]]]:
    """Lines of one cell above a table of several columns are its title."""
    titles = []
    while width > 1 and len(rows) > 2 and sum(bool(cell.strip()) for cell in rows[0]) == 1 < _filled(rows[1]):
        titles.append(next(cell.strip() for cell in rows[0] if cell.strip()))
        rows = rows[1:]
    return titles, rows


def _filled(row: list[str]) -> int:
    return sum(bool(cell.strip()) for cell in row)
