"""Source code: the text is the decoded file itself, cut where functions and classes begin.

The name of what is defined is the heading, so that a citation says where in the file it stands.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from ingest.loaders.text import decode, line_spans
from rag.core.types import Block, BlockKind, LoadedDocument, MetaValue

_NAMED = re.compile(
    r"(?:(?:export|default|public|private|protected|internal|static|final|abstract|sealed|async|pub(?:\([^)]*\))?|"
    r"unsafe|extern|open|data|inline|virtual|override|partial|create|or|replace|local|global)[ \t]+)*"
    r"(?:class|interface|struct|enum|trait|impl(?:<[^>]*>)?|function|func|fun|fn|def|defp|defmodule|module|"
    r"namespace|protocol|extension|record|object|sub|procedure|table|view|trigger|message|service|type)\b[ \t]*"
    r"(?:\([^)]*\)[ \t]*)?(?:if[ \t]+not[ \t]+exists[ \t]+)?[\"'`\[]?([\w$.:]+)",
    re.IGNORECASE,
)
_ASSIGNED = re.compile(
    r"(?:export[ \t]+)?(?:default[ \t]+)?(?:const|let|var)[ \t]+([\w$]+)[ \t]*(?::[^=]{0,80})?="
    r"[ \t]*(?:async[ \t]*)?(?:function\b|\([^)]*\)[^=]{0,80}=>|[\w$]+[ \t]*=>)"
)
_SHELL = re.compile(r"([\w.:-]+)[ \t]*\(\)[ \t]*\{")
_C_LIKE = re.compile(r"[A-Za-z_][\w \t*&<>:,\[\]~]{0,200}?[ \t*&]([A-Za-z_~][\w:~]*)[ \t]*\([^;]*$")
_NOT_A_NAME = re.compile(r"(?:if|for|while|switch|return|else|catch|do|sizeof|defined|in)$")
_TABLE_OF_SETTINGS = re.compile(r"\[\[?([^\[\]]+)\]\]?[ \t]*(?:[#;].*)?$")
_LEADS = re.compile(r"[ \t]*(?:#(?!include|define|if|endif)|//|/\*|\*|--|;|@|\"\"\"|'''|<!--|\[[\w(])")
_CONTINUES = re.compile(r"[ \t]*[)}\]]|[ \t]*(?:else|elif|except|finally|catch|end)\b")
_SETTINGS = frozenset([".toml", ".ini", ".cfg", ".conf", ".properties", ".env", ".yaml", ".yml"])
_LONG_CHARS = 1500
_LONG_LINE_CHARS = 5000


@dataclass(frozen=True, slots=True)
class _Definition:
    line: int
    name: str
    end: int
    """The line after its last."""
    inner: tuple[_Definition, ...] = ()


class CodeLoader:
    media_types = ("text/x-source",)

    def load(self, path: Path, data: bytes, *, passwords: Sequence[str] = ()) -> LoadedDocument:
        text = decode(data)
        spans = line_spans(text)
        lines = [text[start:end] for start, end in spans]
        suffix = path.suffix.lower()
        found = _python(text) if suffix in (".py", ".pyi") else None
        if found is None:
            found = _by_indentation(
                lines, _SECTIONS if suffix in _SETTINGS else _DEFINITIONS, 0, len(lines), 0
            )
        blocks = tuple(_blocks(text, spans, lines, found, 0, len(lines), ()))
        metadata: dict[str, MetaValue] = {"language": suffix.lstrip(".")} if suffix else {}
        return LoadedDocument(text, blocks, self.media_types[0], metadata=metadata)


def _python(text: str) -> list[_Definition] | None:
    """None where it is not Python as this interpreter reads it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes that are no longer liked
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return _defined(tree.body, 0)


def _defined(body: Sequence[ast.stmt], depth: int) -> list[_Definition]:
    found = []
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            inner = (
                tuple(_defined(node.body, depth + 1)) if isinstance(node, ast.ClassDef) and depth < 3 else ()
            )
            found.append(_Definition(first - 1, node.name, node.end_lineno or node.lineno, inner))
    return found


_DEFINITIONS = (_NAMED, _ASSIGNED, _SHELL, _C_LIKE)
_SECTIONS = (_TABLE_OF_SETTINGS,)


def _by_indentation(
    lines: Sequence[str], patterns: Sequence[re.Pattern[str]], begin: int, end: int, depth: int
) -> list[_Definition]:
    """Definitions at the least indentation of ``lines[begin:end]``; each goes on to the next at that depth."""
    inside = [n for n in range(begin, end) if lines[n].strip()]
    indent = min((_indent(lines[n]) for n in inside if not _CONTINUES.match(lines[n])), default=0)
    starts: list[tuple[int, str]] = []
    for n in inside:
        if _indent(lines[n]) == indent and (name := _name(lines[n].strip(), patterns)):
            starts.append((n, name))
    found = []
    for (start, name), (following, _) in pairwise([*starts, (end, "")]):
        stop = _end(lines, start, following, indent) if patterns is _DEFINITIONS else following
        size = sum(map(len, lines[start:stop]))
        inner: tuple[_Definition, ...] = ()
        if depth < 2 and size > _LONG_CHARS and patterns is _DEFINITIONS and start + 1 < stop:
            inner = tuple(_by_indentation(lines, patterns, start + 1, stop, depth + 1))
        found.append(_Definition(start, name, stop, inner))
    return found


def _end(lines: Sequence[str], start: int, limit: int, indent: int) -> int:
    """A definition ends before the first line that is not indented below it and does not close it."""
    for n in range(start + 1, limit):
        line = lines[n]
        opens = line.strip() in ("{", "(", "do", "begin", "BEGIN", "AS", "as")
        if line.strip() and _indent(line) <= indent and not opens and not _CONTINUES.match(line):
            following = lines[start + 1 : n]
            if any(_indent(inner) > indent for inner in following if inner.strip()):
                return n
    return limit


def _name(line: str, patterns: Sequence[re.Pattern[str]]) -> str:
    if len(line) > _LONG_LINE_CHARS:
        return ""
    for pattern in patterns:
        match = pattern.match(line)
        if match and not _NOT_A_NAME.match(match.group(1)):
            return match.group(1).strip(".:")[:120]
    return ""


def _indent(line: str) -> int:
    expanded = line.expandtabs(4)
    return len(expanded) - len(expanded.lstrip())


def _blocks(
    text: str,
    spans: Sequence[tuple[int, int]],
    lines: Sequence[str],
    definitions: Sequence[_Definition],
    begin: int,
    end: int,
    path: tuple[str, ...],
) -> Iterator[Block]:
    """What is not part of a definition belongs to what is around it; comments lead what they stand above."""
    at = begin
    for definition in definitions:
        start = definition.line
        while start > at and _LEADS.match(lines[start - 1]):
            start -= 1
        yield from _stretch(text, spans, lines, at, start, path)
        stop = max(min(definition.end, end), definition.line + 1)
        own = (*path, definition.name)
        if definition.inner and sum(map(len, lines[start:stop])) > _LONG_CHARS:
            yield from _blocks(text, spans, lines, definition.inner, start, stop, own)
        else:
            yield from _span(text, spans, start, stop, own)
        at = stop
    yield from _stretch(text, spans, lines, at, end, path)


def _stretch(
    text: str,
    spans: Sequence[tuple[int, int]],
    lines: Sequence[str],
    begin: int,
    end: int,
    path: tuple[str, ...],
) -> Iterator[Block]:
    """Between definitions, paragraphs are what blank lines set apart."""
    at = begin
    for n in range(begin, end + 1):
        if n == end or not lines[n].strip():
            yield from _span(text, spans, at, n, path)
            at = n + 1


def _span(
    text: str, spans: Sequence[tuple[int, int]], begin: int, end: int, path: tuple[str, ...]
) -> Iterator[Block]:
    if begin >= end:
        return
    start, stop = spans[begin][0], spans[end - 1][1]
    while stop > start and text[stop - 1].isspace():
        stop -= 1
    if start < stop:
        yield Block(start, stop, BlockKind.CODE, path)
