"""Plain text in any encoding. The decoded text is kept exactly: citations point into it by character."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from rag.core.types import Block, BlockKind, LoadedDocument

_BOMS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_PARAGRAPH = re.compile(r"[^\s\f](?:[^\n\r\f]|(?:\r\n|\n|\r)(?![ \t]*(?:\r\n|\n|\r|\f|$)))*")
_LIST_ITEM = re.compile(r"[ \t]*(?:[-*+•]|\d{1,3}[.)])[ \t]+\S")
_DETECT_BYTES = 200_000
_TITLE_CHARS = 120


class TextLoader:
    media_types = ("text/plain",)

    def load(self, path: Path, data: bytes, *, passwords: Sequence[str] = ()) -> LoadedDocument:
        text = decode(data)
        blocks = tuple(text_blocks(text))
        title = (
            text[blocks[0].start : blocks[0].end] if blocks and blocks[0].kind is BlockKind.HEADING else None
        )
        return LoadedDocument(text, blocks, "text/plain", title=title)


def decode(data: bytes) -> str:
    """Any encoding to text; nothing is normalised, only a byte order mark is dropped."""
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            return data[len(bom) :].decode(encoding, "replace")
    wide = utf16_without_mark(data)
    if wide:
        return data.decode(wide, "replace")
    if b"\x1b$" in data[:4096]:
        return data.decode("iso2022_jp", "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    if _nearly_utf8(data):
        return data.decode("utf-8", "replace")
    from ingest.loaders.legacy import legacy_encoding

    legacy = legacy_encoding(data)
    if legacy:
        return data.decode(legacy, "replace")
    from charset_normalizer import from_bytes

    best = from_bytes(data[:_DETECT_BYTES]).best()
    return data.decode(best.encoding if best else "cp1252", "replace")


def utf16_without_mark(data: bytes) -> str | None:
    """The name of the encoding if these bytes read as UTF-16 that nothing announces."""
    sample = data[:4096]
    if b"\x00" not in sample or len(sample) < 4:
        return None
    sample = sample[: len(sample) // 2 * 2]
    # Latin letters have their zeros on one side.
    even, odd = (sample[side::2].count(0) / (len(sample) / 2) for side in (0, 1))
    if max(even, odd) > 0.4 and min(even, odd) < 0.05:
        return "utf-16-le" if odd > even else "utf-16-be"
    for encoding in ("utf-16-le", "utf-16-be"):
        try:
            text = sample.decode(encoding)
        except UnicodeDecodeError as exc:
            if exc.start < len(sample) - 2:  # a pair cut in two is no error
                continue
            text = sample[: exc.start].decode(encoding)
        usual = sum(char in " \n\t,.。、，" for char in text)
        unusable = sum(not char.isprintable() and char not in "\r\n\t\f" for char in text)
        if usual > len(text) * 0.02 and unusable <= len(text) * 0.01:
            return encoding
    return None


def _nearly_utf8(data: bytes) -> bool:
    """A few bad bytes in a long UTF-8 text are damage, not another encoding."""
    decoded = data.decode("utf-8", "replace")
    bad = decoded.count("�")
    good = sum(ord(char) > 127 for char in decoded[:_DETECT_BYTES]) - bad
    return bad <= 5 and good > bad * 10


def line_spans(text: str) -> list[tuple[int, int]]:
    """(start, end) of each line, its end left out, however lines end."""
    spans: list[tuple[int, int]] = []
    start = 0
    for match in re.finditer(r"\r\n|\n|\r", text):
        spans.append((start, match.start()))
        start = match.end()
    if start < len(text):
        spans.append((start, len(text)))
    return spans


def text_blocks(text: str) -> Iterator[Block]:
    """Paragraphs between blank lines; a first line that is clearly a title heads what follows."""
    headings: tuple[str, ...] = ()
    pages = [match.start() for match in re.finditer("\f", text)]
    page = 1
    for number, match in enumerate(_PARAGRAPH.finditer(text)):
        start, end = match.start(), match.end()
        while end > start and text[end - 1].isspace():
            end -= 1
        while page <= len(pages) and pages[page - 1] < start:
            page += 1
        at_page = page if pages else None
        if number == 0 and _is_title(text[start:end], text[end:]):
            headings = (text[start:end],)
            yield Block(start, end, BlockKind.HEADING, headings, at_page)
            continue
        kind = BlockKind.LIST if _LIST_ITEM.match(text, start) else BlockKind.PARAGRAPH
        yield Block(start, end, kind, headings, at_page)


def _is_title(line: str, rest: str) -> bool:
    return (
        "\n" not in line
        and len(line) <= _TITLE_CHARS
        and not line.endswith((".", ",", ";", ":", "!", "?"))
        and any(char.isalpha() for char in line)
        and bool(re.match(r"\s*\n\s*\n", rest))
    )
