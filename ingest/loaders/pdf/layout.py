"""Reading order: finds the columns of a page; within a column text is read line by line."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Protocol, TypeVar

_BIN = 2.0
_MIN_GUTTER_EM = 0.6
_MAX_CROSSING = 0.4
_MIN_FILL = 0.62
_MAX_DEPTH = 12


class Placed(Protocol):
    """A segment of a line, or a table as a whole."""

    x0: float
    x1: float
    y: float
    size: float
    sequence: int

    @property
    def top(self) -> float: ...

    @property
    def is_item(self) -> bool: ...

    @property
    def is_label(self) -> bool: ...


T = TypeVar("T", bound=Placed)


def reading_order(items: Sequence[T], right_to_left: bool = False) -> list[list[T]]:
    """Regions in the order they are read; what is in one is read from top to bottom."""
    return _Layout(right_to_left).order(sorted(items, key=lambda i: (i.y, i.x0)), 0) if items else []


class _Layout:
    def __init__(self, right_to_left: bool) -> None:
        self._right_to_left = right_to_left

    def order(self, items: list[T], depth: int) -> list[list[T]]:
        if len(items) < 4 or depth > _MAX_DEPTH:
            return [items] if items else []
        gutter = _gutter(items)
        if gutter is not None:
            return self._split_at(items, gutter, depth)
        cut = _widest_gap(items)
        if cut is None:
            return [items]
        above = self.order([i for i in items if i.y < cut], depth + 1)
        below = self.order([i for i in items if i.y >= cut], depth + 1)
        # Where no part has columns of its own the cut meant nothing; a table may go across it.
        return [items] if len(above) == len(below) == 1 else above + below

    def _split_at(self, items: list[T], gutter: float, depth: int) -> list[list[T]]:
        """What stands across the gutter divides the columns into bands."""
        bands: list[tuple[bool, list[T]]] = []
        for item in items:
            crosses = item.x0 < gutter < item.x1
            if bands and bands[-1][0] == crosses:
                bands[-1][1].append(item)
            else:
                bands.append((crosses, [item]))
        regions: list[list[T]] = []
        for crosses, band in bands:
            if crosses:
                if regions and len(band) < 3 and all(i.x0 < gutter < i.x1 for i in regions[-1]):
                    regions[-1] += band
                else:
                    regions += self.order(band, depth + 1)
                continue
            left = [i for i in band if i.x1 <= gutter]
            right = [i for i in band if i.x0 >= gutter]
            for side in (right, left) if self._right_to_left else (left, right):
                regions += self.order(side, depth + 1)
        return regions


def _widest_gap(items: Sequence[Placed]) -> float | None:
    """The y below the widest white band, if it is wider than between lines."""
    best, cut = 0.0, None
    reach = items[0].y
    sizes = median(i.size for i in items)
    for item in items[1:]:
        gap = item.top - reach
        if gap > best and gap > 0.5 * sizes:
            best, cut = gap, (item.top + reach) / 2 + 1e-6
            cut = min(cut, item.y)
        reach = max(reach, item.y)
    return cut


def _gutter(items: Sequence[Placed]) -> float | None:
    """The x of a white band that divides two columns of running text."""
    x0, x1 = min(i.x0 for i in items), max(i.x1 for i in items)
    width = x1 - x0
    em = median(i.size for i in items)
    if width < 14 * em:
        return None
    n_bins = int(width / _BIN) + 1
    if n_bins > 4_000:
        return None
    crossed = [0] * n_bins
    for item in items:
        for n in range(max(0, int((item.x0 - x0) / _BIN)), min(n_bins, int((item.x1 - x0) / _BIN) + 1)):
            crossed[n] += 1
    first, last = int(n_bins * 0.15), int(n_bins * 0.85)
    candidates = []
    n = first
    while n < last:
        if n > first and crossed[n] == crossed[n - 1]:
            n += 1
            continue
        end = n
        while end < last and crossed[end] <= crossed[n]:
            end += 1
        if (end - n) * _BIN >= _MIN_GUTTER_EM * em:
            candidates.append((crossed[n], -(end - n), x0 + (n + end) / 2 * _BIN))
        n += 1
    candidates.sort()
    tried: list[float] = []
    for n_crossing, _, gutter in candidates:
        if n_crossing > _MAX_CROSSING * len(items) or len(tried) >= 4:
            break
        if any(abs(gutter - other) < 2 * em for other in tried):
            continue
        tried.append(gutter)
        if _divides(items, gutter, em):
            return gutter
    return None


def _divides(items: Sequence[Placed], gutter: float, em: float) -> bool:
    left = [i for i in items if i.x1 <= gutter]
    right = [i for i in items if i.x0 >= gutter]
    if min(len(left), len(right)) < 2:
        return False
    shared = min(left[-1].y, right[-1].y) - max(left[0].top, right[0].top)
    heights = [side[-1].y - side[0].top for side in (left, right)]
    if shared < 0.35 * min(heights) or shared < em:
        return False
    one_by_one = max(i.sequence for i in left) < min(i.sequence for i in right) or (
        max(i.sequence for i in right) < min(i.sequence for i in left)
    )
    crowded = _crowding(left), _crowding(right)
    fills = _fill(left), _fill(right)
    n_rows = min(_n_rows(left), _n_rows(right))
    width = min(max(i.x1 for i in side) - min(i.x0 for i in side) for side in (left, right))
    if width < 5 * em or max(sum(i.is_label for i in side) / len(side) for side in (left, right)) > 0.4:
        return False  # numbers of sections, names of fields
    if (
        n_rows >= 4
        and width > 8 * em
        and all(
            (fill >= _MIN_FILL and crowding < 1.3) or (crowding >= 1.3 and _gutter(side) is not None)
            for fill, crowding, side in zip(fills, crowded, (left, right), strict=True)
        )
    ):
        return True
    items_share = min(sum(i.is_item for i in side) / len(side) for side in (left, right))
    if n_rows >= 2 and (items_share > 0.6 or (items_share > 0.4 and max(crowded) < 1.6)):
        return True  # lists side by side
    aligned = _aligned(left, right)
    if n_rows >= 8 and aligned < 0.5:
        return True
    if n_rows < 2 or max(crowded) >= 1.6:
        return False
    if n_rows >= 4 and aligned < 0.5:
        return True  # no table: its cells would stand at one height
    # Written one after the other: the author's program did not think of rows.
    return one_by_one and (aligned < 0.8 or min(fills) >= 0.5)


def _rows(items: Sequence[Placed]) -> list[list[Placed]]:
    rows: list[list[Placed]] = []
    for item in items:
        if rows and item.y - rows[-1][0].y < 0.3 * item.size:
            rows[-1].append(item)
        else:
            rows.append([item])
    return rows


def _n_rows(items: Sequence[Placed]) -> int:
    return len(_rows(items))


def _crowding(items: Sequence[Placed]) -> float:
    """Segments in a row: 1 for running text, more for tables."""
    return len(items) / max(1, len(_rows(items)))


def _fill(items: Sequence[Placed]) -> float:
    """How much of the column's width its usual line takes."""
    width = max(i.x1 for i in items) - min(i.x0 for i in items)
    return median(i.x1 - i.x0 for i in items) / width if width > 0 else 0.0


def _aligned(left: Sequence[Placed], right: Sequence[Placed]) -> float:
    """The share of lines on the shorter side that have one at the same height on the other."""
    few, many = sorted((left, right), key=len)
    ys = [i.y for i in many]
    return sum(any(abs(i.y - y) < 0.25 * i.size for y in ys) for i in few) / len(few)
