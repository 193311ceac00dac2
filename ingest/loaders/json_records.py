"""JSON and JSON lines: records as sections, every value beside its key."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ingest.loaders.markup import fence, heading, one_line
from ingest.loaders.nesting import nested
from ingest.loaders.parts import document_from_parts
from ingest.loaders.tables import markdown_table
from ingest.loaders.text import decode
from rag.core.errors import LoadError
from rag.core.types import LoadedDocument

_NAMES = ("title", "name", "label", "subject", "question", "heading", "id", "_id", "key", "uuid")
_NAME_CHARS = 120
_MAX_DEPTH = 12
_MAX_COLUMNS = 12
_CELL_CHARS = 80
_WORDS = re.compile(r"\S+\s+\S+")


class JsonLoader:
    media_types = ("application/json", "application/jsonl")

    def load(self, path: Path, data: bytes, *, passwords: Sequence[str] = ()) -> LoadedDocument:
        text = decode(data)
        warnings: list[str] = []
        lines = path.suffix.lower() in (".jsonl", ".ndjson")
        value = _read_lines(text, path.name, warnings) if lines else _read(text, path.name, warnings)
        # A list of one record is that record.
        parts = [part for part in _document(value) if part.strip()]
        title = None
        if isinstance(value, Mapping):
            title = next((value[k] for k in ("title", "name") if isinstance(value.get(k), str)), None)
        return document_from_parts(
            parts, "application/jsonl" if lines else "application/json", title=title, warnings=warnings
        )


def _read(text: str, name: str, warnings: list[str]) -> Any:
    try:
        return json.loads(text, parse_constant=str)
    except RecursionError as exc:
        raise LoadError(f"{name} is nested too deeply to be read.", path=name) from exc
    except ValueError as exc:
        # JSON lines often carry the ending .json.
        if len(text.splitlines()) > 1 and text.lstrip()[:1] in ("{", "["):
            found: list[str] = []
            rows = _read_lines(text, name, found)
            if len(found) <= len(rows) // 10:
                warnings += found
                return rows
        raise LoadError(f"{name} is not valid JSON ({exc}); repair it, or name it .txt.", path=name) from exc


def _read_lines(text: str, name: str, warnings: list[str]) -> list[Any]:
    rows: list[Any] = []
    bad: list[int] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            rows.append(json.loads(line, parse_constant=str))
        except (ValueError, RecursionError):
            bad.append(number)
    if not rows:
        raise LoadError(f"{name} holds no line of valid JSON; repair it, or name it .txt.", path=name)
    if bad:
        warnings.append(
            f"line {bad[0]} is not valid JSON"
            if len(bad) == 1
            else f"{len(bad)} lines are not valid JSON (the first is line {bad[0]})"
        )
    return rows


def _document(value: Any) -> Iterator[str]:
    if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        yield from _records(value, 2)
    else:
        yield from _value(value, 2, 0)


def _records(rows: Sequence[Mapping[str, Any]], level: int) -> Iterator[str]:
    """Flat records with the same keys are a table; others get a section each."""
    if table := _table(rows):
        yield table
        return
    for number, row in enumerate(rows, 1):
        yield heading(level, _record_name(row) or f"Record {number}")
        yield from _value(row, level + 1, 1)


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    keys = list(dict.fromkeys(key for row in rows for key in row))
    if len(rows) < 2 or not 1 < len(keys) <= _MAX_COLUMNS:
        return ""
    if any(len(row) * 2 < len(keys) for row in rows):
        return ""
    if any(
        isinstance(v, Mapping | list) or len(_scalar(v)) > _CELL_CHARS for row in rows for v in row.values()
    ):
        return ""
    return markdown_table([keys, *([_scalar(row.get(key, "")) for key in keys] for row in rows)])


def _record_name(row: Mapping[str, Any]) -> str:
    for name in _NAMES:
        for key, value in row.items():
            if key.lower() == name and isinstance(value, str | int) and 0 < len(str(value)) <= _NAME_CHARS:
                return one_line(str(value))
    return ""


def _value(value: Any, level: int, depth: int) -> Iterator[str]:
    if isinstance(value, Mapping) and depth < _MAX_DEPTH:
        plain: list[str] = []
        for key, inner in value.items():
            name = one_line(str(key))
            if _is_short(inner):
                plain.append(f"* **{name}:** {_inline(inner)}")
                continue
            if plain:
                yield "\n".join(plain)
                plain = []
            if isinstance(inner, str):
                yield f"**{name}:**"
                yield fence(inner) if _is_code(inner) else nested(inner.strip(), min(level, 6))
            elif level <= 6:
                yield heading(level, name)
                yield from _value(inner, level + 1, depth + 1)
            else:
                yield f"**{name}:**"
                yield from _value(inner, level, depth + 1)
        if plain:
            yield "\n".join(plain)
    elif isinstance(value, list) and depth < _MAX_DEPTH:
        if value and all(isinstance(item, Mapping) for item in value) and level <= 6:
            yield from _records(value, level)
        else:
            yield from _items(value, level, depth)
    elif isinstance(value, Mapping | list):
        yield fence(json.dumps(value, ensure_ascii=False, indent=1), "json")
    else:
        yield _scalar(value)


def _items(values: Sequence[Any], level: int, depth: int) -> Iterator[str]:
    bullets: list[str] = []
    for item in values:
        if _is_short(item):
            bullets.append(f"* {_inline(item)}")
            continue
        if bullets:
            yield "\n".join(bullets)
            bullets = []
        yield from _value(item, min(level + 1, 7), depth + 1)
    if bullets:
        yield "\n".join(bullets)


def _is_short(value: Any) -> bool:
    if isinstance(value, str):
        return "\n" not in value.strip() and len(value) <= 2000
    if isinstance(value, list):
        return (
            all(not isinstance(v, Mapping | list) and len(_scalar(v)) <= 40 for v in value)
            and len(value) <= 24
        )
    return not isinstance(value, Mapping) or not value


def _inline(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_scalar(item) for item in value)
    return one_line(_scalar(value))


def _scalar(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return f"{value:.1f}"
    return "" if value == {} else str(value)


def _is_code(text: str) -> bool:
    if text.count("```") % 2:
        return True  # what opens no fence of its own cannot leave it open
    first = text.strip().partition("\n")[0].rstrip()
    indented = bool(re.search(r"^(?: {2,}|\t)\S", text, re.MULTILINE))
    return indented and (not _WORDS.match(first) or first.endswith((":", "{", "(", ";", "[")))
