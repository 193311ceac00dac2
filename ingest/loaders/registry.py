"""Media type → loader. To add a format: a file beside this one and a line here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import cast

from ingest.loaders.detect import detect
from rag.core.errors import LoadError, NoText
from rag.core.protocols import Loader
from rag.core.types import Block, LoadedDocument

_HERE = "ingest.loaders."
LOADERS: dict[str, str] = {
    "application/pdf": "pdf.loader:PdfLoader",
    "text/markdown": "markdown:MarkdownLoader",
    "text/html": "html:HtmlLoader",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx:DocxLoader",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx:PptxLoader",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "sheets:SheetsLoader",
    "application/vnd.ms-excel": "sheets:SheetsLoader",
    "application/vnd.oasis.opendocument.spreadsheet": "sheets:SheetsLoader",
    "text/csv": "csv_tables:CsvLoader",
    "text/tab-separated-values": "csv_tables:CsvLoader",
    "application/json": "json_records:JsonLoader",
    "application/jsonl": "json_records:JsonLoader",
    "application/x-ipynb+json": "notebook:NotebookLoader",
    "message/rfc822": "mail:EmlLoader",
    "application/vnd.ms-outlook": "mail:MsgLoader",
    "application/epub+zip": "epub:EpubLoader",
    "application/rtf": "rtf:RtfLoader",
    "application/vnd.oasis.opendocument.text": "odt:OdtLoader",
    "application/vnd.oasis.opendocument.presentation": "odt:OdtLoader",
    "text/vtt": "vtt:VttLoader",
    "application/rss+xml": "feed:FeedLoader",
    "application/zip": "archive:ZipLoader",
    "text/x-rst": "rst:RstLoader",
    "text/x-source": "code:CodeLoader",
    "text/plain": "text:TextLoader",
}

_VERSIONS: dict[str, int] = {}
"""Raised for a media type whenever its loader reads the same bytes otherwise; 1 where it is not named."""

# Archives and mails load what is inside them with the same function.
_DEPTH: ContextVar[int] = ContextVar("depth", default=0)
_MAX_DEPTH = 4

_UNUSABLE = re.compile("[\x00\ud800-\udfff]")


def loader_version(media_type: str) -> str:
    return str(_VERSIONS.get(media_type, 1))


@cache
def loader_for(media_type: str) -> Loader:
    module, _, name = LOADERS[media_type].partition(":")
    return cast(Loader, getattr(import_module(_HERE + module), name)())


def load_bytes(data: bytes, path: Path, *, name: str, passwords: Sequence[str] = ()) -> LoadedDocument:
    """``name`` is what messages call the file. Raises ``LoadError`` in one sentence, whatever happens."""
    if not data:
        raise NoText(f"{name} is empty (0 bytes).", path=name)
    media_type = detect(name, data)
    depth = _DEPTH.get()
    if depth >= _MAX_DEPTH:
        raise LoadError(f"{name} is inside {depth} other files; unpack it.", path=name)
    above = _DEPTH.set(depth + 1)
    try:
        loaded = loader_for(media_type).load(path, data, passwords=passwords)
    except LoadError:
        raise
    except MemoryError as exc:
        raise LoadError(
            f"{name} needs more memory than a parsing process may take; raise FOOTNOTE_LOAD_MEMORY_MB.",
            path=name,
        ) from exc
    except RecursionError as exc:
        raise LoadError(f"{name} is nested too deeply to be read; it may be damaged.", path=name) from exc
    except Exception as exc:  # parsers of hostile files raise anything at all
        reason = " ".join(str(exc).split())[:160] or type(exc).__name__
        raise LoadError(
            f"{name} cannot be read as {media_type} ({reason}); it may be damaged.", path=name
        ) from exc
    finally:
        _DEPTH.reset(above)
    return _checked(loaded, media_type, name)


def _checked(loaded: LoadedDocument, media_type: str, name: str) -> LoadedDocument:
    if not loaded.text.strip() or not loaded.blocks:
        why = f" ({loaded.warnings[0]})" if loaded.warnings else ""
        raise NoText(f"{name} holds no text{why}.", path=name)
    # Replacing keeps the length, so that the blocks still fit.
    text = _UNUSABLE.sub("�", loaded.text)
    blocks: list[Block] = []
    end = 0
    for block in sorted(loaded.blocks, key=lambda b: (b.start, b.end)):
        start = max(block.start, end)
        stop = min(block.end, len(text))
        if start < stop:
            blocks.append(replace(block, start=start, end=stop))
            end = stop
    title = " ".join(_UNUSABLE.sub("", loaded.title).split())[:300] if loaded.title else None
    return replace(loaded, text=text, blocks=tuple(blocks), title=title or None, media_type=media_type)
