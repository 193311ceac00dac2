"""Jupyter notebooks: Markdown cells as they are, code in fences, short outputs beneath."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ingest.loaders.markdown import document_from_markdown
from ingest.loaders.markup import data_uri, fence
from ingest.loaders.text import decode
from rag.core.errors import LoadError, NoText
from rag.core.types import LoadedDocument, MetaValue

_OUTPUT_CHARS = 2000
_ANSI = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
_DATA_URI = re.compile(r"data:[\w/+.-]+;base64,[A-Za-z0-9+/=]{40,}")


class NotebookLoader:
    media_types = ("application/x-ipynb+json",)

    def load(self, path: Path, data: bytes, *, passwords: Sequence[str] = ()) -> LoadedDocument:
        try:
            notebook = json.loads(decode(data))
        except (ValueError, RecursionError) as exc:
            raise LoadError(f"{path.name} is no notebook: its JSON is damaged ({exc}).") from exc
        if not isinstance(notebook, dict):
            raise LoadError(f"{path.name} is no notebook: it holds no cells.")
        cells = notebook.get("cells")
        if not isinstance(cells, list):  # format 3 kept them in worksheets
            sheets = notebook.get("worksheets")
            sheets = sheets if isinstance(sheets, list) else []
            cells = [cell for sheet in sheets if isinstance(sheet, dict) for cell in sheet.get("cells", [])]
        metadata = notebook.get("metadata")
        metadata = metadata if isinstance(metadata, dict) else {}
        language = _language(metadata)
        blocks = [block for cell in cells if isinstance(cell, dict) for block in _cell(cell, language)]
        if not blocks:
            raise NoText(f"{path.name} has no cells with text.")
        title = metadata.get("title")
        about: dict[str, MetaValue] = {"language": language} if language else {}
        return document_from_markdown(
            "\n\n".join(blocks),
            "application/x-ipynb+json",
            title=title if isinstance(title, str) else None,
            metadata=about,
        )


def _cell(cell: dict[str, Any], language: str) -> list[str]:
    source = _text(cell.get("source", cell.get("input", "")))
    kind = cell.get("cell_type")
    if kind == "heading":
        return [f"{'#' * int(cell.get('level', 1))} {source.strip()}"]
    if kind == "markdown":
        text = _DATA_URI.sub(lambda match: data_uri(match.group()), source).strip()
        return [text] if text else []
    if kind != "code":
        return [fence(source)] if source.strip() else []
    found = [fence(source, language)]
    for output in cell.get("outputs") or []:
        if isinstance(output, dict):
            found.append(fence(_output(output)))
    return [block for block in found if block]


def _output(output: dict[str, Any]) -> str:
    kind = output.get("output_type")
    if kind in ("error", "pyerr"):
        text = f"{output.get('ename', '')}: {output.get('evalue', '')}"
    elif kind == "stream":
        text = _text(output.get("text", ""))
    else:
        bundle = output.get("data", output)
        text = _text(bundle.get("text/plain", bundle.get("text", ""))) if isinstance(bundle, dict) else ""
        if text.startswith("<") and text.rstrip().endswith(">") and " at 0x" in text:
            return ""  # the name of an object, which tells nobody anything
    text = _ANSI.sub("", text)
    return text if len(text) <= _OUTPUT_CHARS else text[:_OUTPUT_CHARS] + "\n…"


def _language(metadata: dict[str, Any]) -> str:
    for key, name in (("language_info", "name"), ("kernelspec", "language")):
        section = metadata.get(key)
        if isinstance(section, dict) and isinstance(section.get(name), str):
            return str(section[name]).lower()
    return "python"


def _text(value: Any) -> str:
    return "".join(str(part) for part in value) if isinstance(value, list) else str(value or "")
