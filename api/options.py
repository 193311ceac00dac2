"""The options that commands share, and how they become settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from rag.core.errors import UsageError
from rag.core.settings import Settings, load_settings
from rag.core.types import Filters

Store = Annotated[Path | None, typer.Option("--store", metavar="DIR", help="Folder of the store.")]
KnowledgeBase = Annotated[str | None, typer.Option("--kb", metavar="NAME", help="Knowledge base to use.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON; errors too, on stderr.")]
Chroma = Annotated[
    str | None, typer.Option("--chroma", metavar="URL", help="Chroma server instead of the embedded one.")
]

Include = Annotated[
    list[str] | None, typer.Option("--include", metavar="GLOB", help="Only paths that match; repeatable.")
]
Exclude = Annotated[
    list[str] | None, typer.Option("--exclude", metavar="GLOB", help="Not paths that match; repeatable.")
]
PasswordFile = Annotated[
    Path | None,
    typer.Option("--password-file", metavar="FILE", help="Passwords of encrypted documents, one a line."),
]

FromSource = Annotated[
    str | None, typer.Option("--source", metavar="GLOB", help="Only documents whose path matches.")
]
FromType = Annotated[
    str | None, typer.Option("--type", metavar="TYPE", help="Only this media type or file ending.")
]
After = Annotated[
    str | None, typer.Option("--after", metavar="DATE", help="Only documents dated on or after it.")
]
Before = Annotated[
    str | None, typer.Option("--before", metavar="DATE", help="Only documents dated before it.")
]
Heading = Annotated[
    str | None, typer.Option("--heading", metavar="TEXT", help="Only passages under such a heading.")
]
Meta = Annotated[
    list[str] | None,
    typer.Option("--meta", metavar="KEY=VALUE", help="Only documents with this front matter; repeatable."),
]
Batch = Annotated[
    Path | None,
    typer.Option("--batch", metavar="FILE", help="Questions as JSON lines; - reads stdin."),
]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="FILE", help="Where a batch writes; - or nothing is stdout.")
]

_log_folder: Path | None = None


def log_folder() -> Path | None:
    """Where a trace of an unexpected error goes: the store that this process works on."""
    return _log_folder


def settings_from(
    store: Path | None, kb: str | None = None, chroma: str | None = None, **more: Any
) -> Settings:
    """Settings with the flags on top. Raises ``SettingsError``."""
    global _log_folder
    settings = load_settings(store=store, kb=kb, chroma=chroma, **more)
    _log_folder = settings.store
    return settings


def filters_of(
    source: str | None,
    type: str | None,
    after: str | None,
    before: str | None,
    heading: str | None,
    meta: list[str] | None,
) -> Filters:
    """Raises ``UsageError``."""
    given: dict[str, Any] = {
        "source": source,
        "type": type,
        "after": after,
        "before": before,
        "heading": heading,
    }
    values = {key: value for key, value in given.items() if value is not None}
    for pair in meta or []:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise UsageError(f"--meta {pair!r} is not KEY=VALUE; write it like --meta author=Dana.")
        values[f"meta.{key}"] = value
    if not values:
        return Filters()
    from api.schemas import filters_from  # builds a score of models, which a plain question does not need

    return filters_from(values)
