"""Sheets of an OpenDocument workbook (ODS), each cell as it is shown; dates as ISO dates."""

from __future__ import annotations

from collections.abc import Iterator

from lxml import etree

from ingest.loaders.docx_parts import joined
from ingest.loaders.markup import paragraph
from ingest.loaders.odt import OpenDocument
from ingest.loaders.odt_styles import DRAW, OFFICE, TABLE, TEXT, count
from ingest.loaders.odt_text import CELLS, rows_of
from ingest.loaders.ooxml_tables import Row
from ingest.loaders.sheets_tables import Sheet, Span

_MAX_REPEATED = 1000
_MAX_COLUMNS = 16_384
_MOST = 10**7


def ods_sheets(document: OpenDocument) -> Iterator[Sheet]:
    for node in document.body.iterchildren(f"{TABLE}table"):
        style = node.get(f"{TABLE}style-name") or ""
        is_hidden = document.styles.value(style, "table", f"{TABLE}display") == "false"
        cells = _Cells(document)
        cells.read(node)
        shapes = node.find(f"{TABLE}shapes")
        drawn = joined(document.reader.parts(shapes, 1)) if shapes is not None else []
        yield Sheet(
            node.get(f"{TABLE}name") or "", is_hidden, cells.rows, cells.spans, [*drawn, *cells.beside]
        )


class _Cells:
    def __init__(self, document: OpenDocument) -> None:
        self._document = document
        self.rows: list[Row] = []
        self.spans: list[Span] = []
        self.beside: list[str] = []
        """Comments on cells and what is drawn in them."""

    def read(self, sheet: etree._Element) -> None:
        n_above = 0
        for row in rows_of(sheet):
            line: Row = []
            for cell in row:
                if cell.tag in CELLS:
                    self._cell(cell, line, n_above)
            while line and not line[-1]:
                line.pop()
            repeated = count(row, "number-rows-repeated", TABLE, _MOST)
            n_above += repeated
            # An empty row parts two tables; a million of them do no more.
            self.rows += [list(line) for _ in range(min(repeated, _MAX_REPEATED) if line else 1)]

    def _cell(self, cell: etree._Element, line: Row, n_above: int) -> None:
        reader = self._document.reader
        text = _shown(self._document, cell)
        y, x = len(self.rows), len(line)
        height = count(cell, "number-rows-spanned", TABLE, _MOST)
        width = count(cell, "number-columns-spanned", TABLE, _MOST)
        if text and height * width > 1:
            self.spans.append(((y, x), (y + height - 1, x + width - 1)))
        for annotation in cell.iterchildren(f"{OFFICE}annotation"):
            if comment := reader.comment(annotation, f"{column_name(x)}{n_above + 1}"):
                self.beside.append(paragraph(comment))
        self.beside += joined(reader.parts(cell.iterchildren(f"{DRAW}frame"), 1))
        line += [text] * count(
            cell, "number-columns-repeated", TABLE, _MAX_REPEATED if text else _MAX_COLUMNS
        )


def _shown(document: OpenDocument, cell: etree._Element) -> str:
    kind = cell.get(f"{OFFICE}value-type") or ""
    if kind == "date" and (value := cell.get(f"{OFFICE}date-value")):
        day, _, time = value.partition("T")
        time = time[:5] if time[5:8] in ("", ":00") else time[:8]
        return f"{day} {time}" if time not in ("", "00:00") else day
    if kind == "boolean":
        return "yes" if cell.get(f"{OFFICE}boolean-value") == "true" else "no"
    lines = list(cell.iterchildren(f"{TEXT}p", f"{TEXT}list"))
    text = " ".join(" ".join(part.text for part in document.reader.parts(lines, 1)).split())
    # A column that is too narrow shows signs only.
    return (cell.get(f"{OFFICE}value") or text) if text.startswith("###") else text


def column_name(number: int) -> str:
    """0 is A."""
    name = ""
    number += 1
    while number:
        number, digit = divmod(number - 1, 26)
        name = chr(65 + digit) + name
    return name
