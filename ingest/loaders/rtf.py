"""RTF: the text by striprtf, as Markdown with its headings, lists, tables and footnotes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from striprtf.striprtf import rtf_to_text

from ingest.loaders import rtf_marks
from ingest.loaders.markdown import document_from_markdown
from ingest.loaders.markup import heading, one_line, paragraph
from ingest.loaders.rtf_marks import CELL, NOTE, NOTE_END, PRIVATE, ROW
from ingest.loaders.tables import markdown_table
from rag.core.errors import NoText
from rag.core.types import LoadedDocument, MetaValue

_CODE_PAGE = re.compile(r"\\ansicpg(\d{3,5})")
_INFO = re.compile(r"\{\\info\b")
_FIELD = re.compile(r"\{\\(title|author|subject|keywords|company)\s([^{}]*)\}")
_CREATED = re.compile(r"\{\\(?:creatim|revtim)\\yr(\d{4})\\mo(\d{1,2})\\dy(\d{1,2})")
_INFO_CHARS = 20_000
_ITEM = re.compile(r"^\s*(?:([•·◦▪\uf0b7o§–\-*])|(\(?(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5})[.)]))\t\s*")
_SYMBOLS = str.maketrans({"\uf0b7": "•", "\uf0a7": "▪", "\xad": ""})
_KEYS = {"author": "author", "subject": "subject", "keywords": "keywords", "company": "company"}


class RtfLoader:
    media_types = ("application/rtf",)

    def load(self, path: Path, data: bytes, *, passwords: Sequence[str] = ()) -> LoadedDocument:
        # RTF is ASCII; what is not comes from writers that did not escape it.
        rtf = data.lstrip(b"\xef\xbb\xbf \r\n\t").decode("latin-1")
        encoding = _encoding(rtf[:2000])
        if any(ord(char) > 127 for char in rtf):
            rtf = _unescaped_bytes(data.lstrip(b"\xef\xbb\xbf \r\n\t"), encoding)
        rtf, was_hidden = rtf_marks.marked(PRIVATE.sub("", rtf))
        text = _stripped(rtf, encoding)
        markdown = "\n\n".join(_blocks(text))
        if not markdown:
            raise NoText(f"{path.name} holds no text.", path=path.name)
        title, metadata = _info(rtf, encoding)
        warnings = ["hidden text was left out"] if was_hidden else []
        return document_from_markdown(
            markdown + "\n", self.media_types[0], title=title, metadata=metadata, warnings=warnings
        )


def _encoding(head: str) -> str:
    for sign, name in ((r"\mac", "mac_roman"), (r"\pca", "cp850"), (r"\pc", "cp437")):
        if re.match(r"\{\\rtf\d*\s*" + re.escape(sign) + r"\b", head):
            return name
    stated = _CODE_PAGE.search(head)
    if not stated:
        return "cp1252"
    name = {"65001": "utf-8", "10000": "mac_roman"}.get(stated.group(1), f"cp{stated.group(1)}")
    try:
        "".encode(name)
    except LookupError:
        return "cp1252"
    return name


def _stripped(rtf: str, encoding: str) -> str:
    return str(rtf_to_text(rtf, encoding=encoding, errors="replace"))  # type: ignore[no-untyped-call]


def _unescaped_bytes(data: bytes, encoding: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode(encoding, "replace")


def _blocks(text: str) -> Iterator[str]:
    text = text.translate(_SYMBOLS).replace(NOTE_END, "]").replace("\r", "")
    text = re.sub(f"\\s*{NOTE}\\s*", " [", text)
    rows: list[list[str]] = []
    items: list[str] = []
    cell_lines: list[str] = []
    for line in [*text.replace(ROW, ROW + "\n").split("\n"), None]:
        in_row = line is not None and CELL in line
        if line is not None and (in_row or (cell_lines and ROW not in line)):
            # The paragraphs of a cell are lines: its row goes on until its mark.
            cell_lines.append(line)
            if ROW not in line:
                continue
        if cell_lines:
            rows.append(_cells("\n".join(cell_lines)))
            cell_lines = []
            if line is not None:
                continue
        if line is not None and not PRIVATE.sub("", line).strip():
            continue
        item = _ITEM.match(PRIVATE.sub("", line)) if line is not None else None
        if rows and line is not None:
            yield markdown_table(rows)
            rows = []
        if item and line is not None:
            marker = "*" if item.group(1) else _number(item.group(2))
            items.append(f"{marker} {one_line(PRIVATE.sub('', line)[item.end() :])}")
            continue
        if items:
            yield "\n".join(items)
            items = []
        if line is None:
            if rows:
                yield markdown_table(rows)
            return
        level = rtf_marks.level_of(line)
        clean = PRIVATE.sub("", line)
        yield heading(level, clean) if level else paragraph(clean)


def _cells(row: str) -> list[str]:
    cells = [PRIVATE.sub("", cell) for cell in row.partition(ROW)[0].split(CELL)]
    return cells if cells[-1].strip() else cells[:-1]


def _number(marker: str) -> str:
    digits = re.search(r"\d+", marker)
    return f"{digits.group()}." if digits else f"* {marker}"


def _info(rtf: str, encoding: str) -> tuple[str | None, dict[str, MetaValue]]:
    start = _INFO.search(rtf)
    if not start:
        return None, {}
    info = rtf[start.start() : start.start() + _INFO_CHARS]
    title = None
    found: dict[str, MetaValue] = {}
    for match in _FIELD.finditer(info):
        value = one_line(_stripped("{\\rtf1 " + match.group(2) + "}", encoding))
        if value and match.group(1) == "title":
            title = value
        elif value:
            found[_KEYS[match.group(1)]] = value[:1000]
    if created := _CREATED.search(info):
        year, month, day = (int(part) for part in created.groups())
        if 1 <= month <= 12 and 1 <= day <= 31 and year > 1900:
            found["date"] = f"{year:04}-{month:02}-{day:02}"
    return title, found
