"""The words of a SmartArt diagram as a list, each below the one that it hangs on."""

from __future__ import annotations

from collections.abc import Iterator

from lxml import etree

from ingest.loaders.markup import one_line

_DGM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_MAX_LEVEL = 8


def diagram_list(data: etree._Element) -> Iterator[str]:
    """Lines of one list, from the diagram's data part."""
    points = {
        point.get("modelId") or "": _words(point)
        for point in data.iter(f"{_DGM}pt")
        if point.get("type", "node") in ("node", "asst", "doc")
    }
    below: dict[str, list[tuple[int, str]]] = {}
    for link in data.iter(f"{_DGM}cxn"):
        child, parent = link.get("destId") or "", link.get("srcId") or ""
        if link.get("type", "parOf") == "parOf" and child in points and parent in points:
            place = link.get("srcOrd") or "0"
            below.setdefault(parent, []).append((int(place) if place.isdecimal() else 0, child))
    hanging = {child for children in below.values() for _, child in children}
    seen: set[str] = set()

    def lines(key: str, level: int) -> Iterator[str]:
        if key in seen:
            return
        seen.add(key)
        if points[key]:
            yield f"{'    ' * min(level, _MAX_LEVEL)}* {points[key]}"
        for _, child in sorted(below.get(key, [])):
            yield from lines(child, level + bool(points[key]))

    for key in [key for key in points if key not in hanging]:
        yield from lines(key, 0)


def _words(point: etree._Element) -> str:
    lines = ["".join(words.text or "" for words in line.iter(f"{_A}t")) for line in point.iter(f"{_A}p")]
    return one_line(" ".join(lines))
