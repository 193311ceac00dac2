"""Footnote's answering side and the door to it from Python.

    from pathlib import Path
    from rag import load_settings, open_footnote

    with open_footnote(load_settings(store="store"), create=True) as footnote:
        footnote.ingest([Path("docs")])
        answer = footnote.ask("How many vacation days can I carry over?")
    print(answer.text, *answer.citations, sep="\\n")

Names are imported when they are first used, so that `import rag` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rag.core.errors import FootnoteError
    from rag.core.settings import Settings, load_settings
    from rag.core.types import Answer, Filters, Message, Retrieval
    from rag.wiring import Footnote, open_footnote

_HOMES = {
    "Answer": "rag.core.types",
    "Filters": "rag.core.types",
    "Footnote": "rag.wiring",
    "FootnoteError": "rag.core.errors",
    "Message": "rag.core.types",
    "Retrieval": "rag.core.types",
    "Settings": "rag.core.settings",
    "load_settings": "rag.core.settings",
    "open_footnote": "rag.wiring",
}

__all__ = [
    "Answer",
    "Filters",
    "Footnote",
    "FootnoteError",
    "Message",
    "Retrieval",
    "Settings",
    "load_settings",
    "open_footnote",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'rag' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
