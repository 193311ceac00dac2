"""Markdown as a reader hears it: without link targets, images, emphasis marks and tags."""

from __future__ import annotations

import re

_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_IMAGE = re.compile(r"!\[([^\[\]\n]*)\]\([^()\s]*(?:\([^()\s]*\)[^()\s]*)*(?:\s+\"[^\"\n]*\")?\)")
_LINK = re.compile(r"\[([^\[\]\n]*)\]\(<?[^()\s]*(?:\([^()\s]*\)[^()\s]*)*(?:\s+\"[^\"\n]*\")?\)")
_TAG = re.compile(
    r"</?(?:[a-zA-Z][a-zA-Z0-9-]*)(?:\s+[a-zA-Z:@_-]+(?:=(?:\"[^\"<>]*\"|'[^'<>]*'|[^\s<>\"']+))?)*\s*/?>"
)
# An emphasis mark touches a word inside and none outside, so snake_case and 2 * 3 * 4 stay as they are.
_STRONG = re.compile(r"\*\*(?=\S)([^\n*]*?[^\s*])\*\*")
_EMPHASIS = re.compile(r"(?<![\w*\\])([*_])(?=[^\s*_])([^\n*_]*?[^\s*_\\])\1(?![\w*])")
_CODE = re.compile(r"(`+)(?!`)([^`\n]*[^`\n])\1(?!`)")
_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(.*?)(?:[ \t]+#+)?[ \t]*$", re.MULTILINE)
_ANCHOR = re.compile(r"[ \t]*\{ ?#[^{}\n]*\}[ \t]*$", re.MULTILINE)
_RULE = re.compile(r"^[ \t]*\|?[ \t]*:?-{2,}:?[ \t]*(?:\|[ \t]*:?-{2,}:?[ \t]*)*\|?[ \t]*$\n?", re.MULTILINE)
_ROW = re.compile(r"^[ \t]*\|(.*?)\|?[ \t]*$", re.MULTILINE)
_QUOTE = re.compile(r"^[ \t]*(?:>[ \t]?)+", re.MULTILINE)
_ESCAPED = re.compile(r"\\([\\`*_{}\[\]()#+\-.!|<>~])")
_MARKUP = re.compile(r"[\[<*_`#|>\\]|--")


def plain(text: str) -> str:
    """``text`` without Markdown and HTML markup. Ordinary prose comes back as it is."""
    if not _MARKUP.search(text):
        return text
    text = _COMMENT.sub("", text)
    text = _IMAGE.sub(r"\1", text)
    text = _LINK.sub(r"\1", text)
    text = _TAG.sub("", text)
    text = _EMPHASIS.sub(r"\2", text)
    text = _STRONG.sub(r"\1", text)
    text = _CODE.sub(r"\2", text)
    text = _HEADING.sub(r"\1", text)
    text = _ANCHOR.sub("", text)
    if "|" in text:
        text = _RULE.sub("", text)
        text = _ROW.sub(_cells, text)
    text = _QUOTE.sub("", text)
    return _ESCAPED.sub(r"\1", text)


def _cells(match: re.Match[str]) -> str:
    return " | ".join(cell.strip() for cell in match.group(1).split("|"))
