"""PDF with pypdf: pages, outline headings, columns, tables, hidden text left out, a score of the extraction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from pypdf import PdfReader

from ingest.loaders.markdown import document_from_markdown
from ingest.loaders.markup import heading
from ingest.loaders.pdf.blocks import Part, continued, parts, regions
from ingest.loaders.pdf.fonts import Fonts
from ingest.loaders.pdf.headings import Entry, guess, largest_line, outline, place
from ingest.loaders.pdf.info import stated, unseen_layers
from ingest.loaders.pdf.open import MAX_PAGES, limits, open_pdf
from ingest.loaders.pdf.page import Page, read
from ingest.loaders.pdf.paragraphs import Kind, join, vocabulary_of
from ingest.loaders.pdf.quality import Quality, page_list, page_warnings
from ingest.loaders.pdf.running import running
from rag.core.errors import LoadError, NoText
from rag.core.types import BlockKind, LoadedDocument

_CODE_SHARE = 0.5


class PdfLoader:
    media_types = ("application/pdf",)

    def load(self, path: Path, data: bytes, *, passwords: Sequence[str] = ()) -> LoadedDocument:
        with limits():
            return _load(data, path.name, passwords)


def _load(data: bytes, name: str, passwords: Sequence[str]) -> LoadedDocument:
    reader, n_pages = open_pdf(data, name, passwords)
    title, metadata = stated(reader)
    pages, unread = _read_pages(reader, min(n_pages, MAX_PAGES))
    dropped, running_texts = running(pages)
    by_page = _markdown_by_page(reader, pages, dropped)

    starts: list[tuple[int, int]] = []
    quality = Quality()
    n_empty = len(unread)
    blocks: list[str] = []
    length = 0
    for page, found in zip(pages, by_page, strict=True):
        if not found:
            n_empty += 1
            continue
        markdown = _joined(found)
        starts.append((length, page.number))
        blocks.append(markdown)
        length += len(markdown) + 2
        quality.count(markdown, page.number)
    warnings = page_warnings(pages, unread, n_pages - len(pages) - len(unread))
    if not blocks:
        raise _no_text(name, pages, unread, warnings)
    text = "\n\n".join(blocks) + "\n"
    metadata["pages"] = n_pages
    metadata["extraction_quality"] = quality.score(len(pages) + len(unread), n_empty)
    if running_texts:
        metadata["running_text"] = " | ".join(running_texts[:6])[:500]
    document = document_from_markdown(
        text,
        PdfLoader.media_types[0],
        title=title,
        pages=starts,
        metadata=metadata,
        warnings=[*warnings, *quality.warnings()],
    )
    if title is None:
        top = [
            block
            for block in document.blocks
            if block.kind is BlockKind.HEADING and len(block.heading_path) == 1
        ]
        # Several are chapters, as one with a number is.
        if len(top) != 1 or top[0].heading_path[0][:1].isdigit():
            document = replace(document, title=largest_line(pages[0], dropped))
    return document


def _read_pages(reader: PdfReader, n_pages: int) -> tuple[list[Page], dict[int, str]]:
    """The pages, and why the others cannot be read."""
    fonts = Fonts()
    layers = unseen_layers(reader)
    pages: list[Page] = []
    unread: dict[int, str] = {}
    for number in range(1, n_pages + 1):
        try:
            pages.append(read(reader.pages[number - 1], number, fonts, layers))
        except MemoryError:
            raise
        except Exception as exc:  # whatever a broken page raises, the others are read
            unread[number] = " ".join(str(exc).split())[:100] or type(exc).__name__
    return pages, unread


def _markdown_by_page(reader: PdfReader, pages: Sequence[Page], dropped: set[int]) -> list[list[Part]]:
    entries = outline(reader)
    levels, missing = place(entries, pages)
    dropped -= levels.keys()
    laid_out = [regions(page, dropped, levels) for page in pages]
    if len(entries) < 3:
        n_first = len(laid_out[0]) if laid_out else 0
        levels = guess([region for found in laid_out for region in found], n_first) | levels
    segments = [s for page in pages for s in page.segments if id(s) not in dropped]
    vocabulary = vocabulary_of([s.text for s in segments])
    n_chars = sum(len(s.text) for s in segments)
    code = sum(len(s.text) for s in segments if s.mono) < _CODE_SHARE * n_chars
    by_page = []
    for page, found in zip(pages, laid_out, strict=True):
        written: list[Part] = []
        for region in found:
            more = parts(region, levels, vocabulary, right_to_left=page.right_to_left, code=code)
            if written and more and continued(written[-1], more[0]):
                whole = join([written[-1].markdown, more[0].markdown], vocabulary)
                written[-1] = written[-1]._replace(markdown=whole)
                more = more[1:]
            written += more
        by_page.append(_with_entries(written, missing.get(page.number, ())))
    return by_page


def _with_entries(written: list[Part], entries: Sequence[Entry]) -> list[Part]:
    """Outline entries whose words the page does not hold, before what they point to."""
    for entry in entries:
        y = entry.y if entry.y is not None else 0.0
        at = next((n for n, part in enumerate(written) if part.y >= y - 2), len(written))
        title = heading(entry.level, entry.title)
        if written and title:
            written.insert(at, Part(title, y))
    return written


def _joined(written: Sequence[Part]) -> str:
    """Items of one list stay together."""
    text = written[0].markdown
    for before, part in pairwise(written):
        text += ("\n" if before.kind is part.kind is Kind.ITEM else "\n\n") + part.markdown
    return text


def _no_text(name: str, pages: Sequence[Page], unread: dict[int, str], warnings: Sequence[str]) -> LoadError:
    if unread and not pages:
        return LoadError(
            f"{name} is damaged: {page_list(unread)} cannot be read ({next(iter(unread.values()))}).",
            path=name,
        )
    if any(page.hidden for page in pages):
        why = next((w for w in warnings if w.endswith("left out.")), warnings[0]).rstrip(".")
        return NoText(f"{name} holds only text that nobody sees ({why}).", path=name)
    if any(page.has_images for page in pages):
        return NoText(
            f"{name} has no text layer, only pictures; run OCR on it and ingest the result.", path=name
        )
    return NoText(
        f"{name} has no text on its pages; if they show any, it is drawn, and OCR can read it.", path=name
    )
