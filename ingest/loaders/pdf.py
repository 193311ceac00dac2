"""PDF with pypdf."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ingest.loaders.markdown import document_from_markdown
from ingest.loaders.markup import paragraph
from ingest.loaders.pdf_open import MAX_PAGES, limits, open_pdf, page_count, stated
from rag.core.errors import NoText
from rag.core.types import LoadedDocument


class PdfLoader:
    media_types = ("application/pdf",)

    def load(self, path: Path, data: bytes, *, passwords: Sequence[str] = ()) -> LoadedDocument:
        with limits():
            reader = open_pdf(data, path.name, passwords)
            n_pages = page_count(reader, path.name)
            title, metadata = stated(reader)
            parts: list[str] = []
            pages: list[tuple[int, int]] = []
            warnings: list[str] = []
            length = 0
            for number in range(1, min(n_pages, MAX_PAGES) + 1):
                try:
                    text = reader.pages[number - 1].extract_text()
                except Exception as exc:
                    warnings.append(f"page {number} cannot be read ({type(exc).__name__})")
                    continue
                pages.append((length, number))
                for block in text.split("\n\n"):
                    if markdown := paragraph(block):
                        parts.append(markdown)
                        length += len(markdown) + 2
        if not parts:
            raise NoText(
                f"{path.name} has no text layer, only pictures; run OCR on it and ingest the result.",
                path=path.name,
            )
        return document_from_markdown(
            "\n\n".join(parts) + "\n",
            self.media_types[0],
            title=title,
            pages=pages,
            metadata=metadata,
            warnings=warnings,
        )
