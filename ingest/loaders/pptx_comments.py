"""Reviewers' comments on a slide, old style and threaded, each with its author."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ingest.loaders.markup import one_line, paragraph
from ingest.loaders.safe_xml import parse_xml
from rag.core.errors import LoadError


def comments_of(slide: Any) -> Iterator[str]:
    for relation in slide.part.rels.values():
        if relation.is_external or not relation.reltype.endswith("/comments"):
            continue
        try:
            root = parse_xml(relation.target_part.blob, "The comments")
        except (LoadError, KeyError):
            continue
        authors = _authors(slide)
        for comment in root.iter():
            kind = str(comment.tag).rpartition("}")[2]
            if kind in ("cm", "reply"):
                text = one_line(" ".join(_words(comment)))
                name = authors.get(comment.get("authorId") or "", "")
                if text:
                    yield paragraph(f"Comment by {name}: {text}" if name else f"Comment: {text}")


def _words(comment: Any) -> Iterator[str]:
    """The comment's own words, without those of its replies."""
    for child in comment:
        kind = str(child.tag).rpartition("}")[2]
        if kind == "text" and child.text:
            yield child.text
        elif kind == "txBody":
            yield from (text for text in child.itertext() if text.strip())


def _authors(slide: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for relation in slide.part.package.presentation_part.rels.values():
        if relation.is_external or not relation.reltype.endswith(("/commentAuthors", "/authors")):
            continue
        try:
            root = parse_xml(relation.target_part.blob, "The comments' authors")
        except (LoadError, KeyError):
            continue
        for author in root:
            found[author.get("id") or ""] = author.get("name") or ""
    return found
