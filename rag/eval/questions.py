"""Reads question sets: JSON lines, each a question and what is known of its answer."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from rag.core.errors import PathNotFound, UsageError
from rag.core.types import Filters, Message


@dataclass(frozen=True, slots=True)
class Span:
    """Characters ``start`` to ``end`` of a document's canonical text hold the answer."""

    source: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """Words of a document that prove the answer, whatever its loader puts around them (Markdown, line breaks)."""

    source: str
    quote: str


@dataclass(frozen=True, slots=True)
class Question:
    id: str
    question: str
    answerable: bool = True
    relevant: tuple[str, ...] = ()
    """Paths of the documents that answer it."""
    spans: tuple[Span, ...] = ()
    answers: tuple[str, ...] = ()
    """Any of these texts is a right answer."""
    category: str = ""
    """What sort of question it is; a set may also call the field ``kind`` or ``type``."""
    filters: Filters = field(default_factory=Filters)
    history: tuple[Message, ...] = ()
    evidence: tuple[Evidence, ...] = ()


def same_source(path: str, wanted: str) -> bool:
    """Whether a question set's name means this path; sets may leave out the ending."""
    return path == wanted or str(PurePosixPath(path).with_suffix("")) == wanted


def read_questions(path: Path) -> list[Question]:
    """Raises ``PathNotFound``, and ``UsageError`` that names the first line which cannot be read."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except OSError as exc:
        raise PathNotFound(
            f"The questions file {path} cannot be read ({exc.strerror}); check its path.", path=str(path)
        ) from exc
    except UnicodeDecodeError as exc:
        raise UsageError(f"The questions file {path} is not UTF-8; convert it.", path=str(path)) from exc
    items = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            items.append(_question(json.loads(line), number))
        except (ValueError, TypeError, KeyError, AttributeError) as exc:
            raise UsageError(
                f"Line {number} of {path} is not a question ({exc}); correct it.", path=str(path), line=number
            ) from exc
    if not items:
        raise UsageError(f"The questions file {path} holds no questions; add some.", path=str(path))
    return items


def _question(values: dict[str, Any], number: int) -> Question:
    spans = tuple(Span(str(source), int(start), int(end)) for source, start, end in values.get("spans") or ())
    evidence = tuple(Evidence(str(one["source"]), str(one["quote"])) for one in values.get("evidence") or ())
    relevant = tuple(str(source) for source in values.get("relevant") or ())
    return Question(
        id=str(values.get("id", number)),
        question=str(values["question"]),
        answerable=bool(values.get("answerable", True)),
        relevant=relevant
        or tuple(dict.fromkeys([*(s.source for s in spans), *(e.source for e in evidence)])),
        spans=spans,
        answers=tuple(str(answer) for answer in values.get("answers") or ()),
        category=str(values.get("category") or values.get("kind") or values.get("type") or ""),
        filters=_filters(values.get("filters") or {}),
        history=tuple(Message(turn["role"], str(turn["content"])) for turn in values.get("history") or ()),
        evidence=evidence,
    )


def _filters(values: dict[str, Any]) -> Filters:
    meta = {key[5:]: str(value) for key, value in values.items() if key.startswith("meta.")}
    meta.update(values.get("meta") or {})
    plain = {key: value for key, value in values.items() if key != "meta" and not key.startswith("meta.")}
    return Filters(**plain, meta=meta)
