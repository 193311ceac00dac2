"""Where to cut a run of units: the cheapest segmentation, by dynamic programming."""

from __future__ import annotations

from collections.abc import Sequence

# Costs of ending a chunk at a place; the cost of a chunk that is not full is its empty share, squared.
CUT_INSIDE_SENTENCE = 1.0
CUT_BETWEEN_SENTENCES = 0.15
CUT_BETWEEN_BLOCKS = 0.02
CUT_BETWEEN_SECTIONS = 0.0
# More than all that a cut elsewhere could cost: what is to stay whole is cut only where it does not fit.
CUT_INSIDE_WHOLE = 5.0
_PER_CHUNK = 0.1


def segment(
    sizes: Sequence[int], cut_costs: Sequence[float], room: int, repeated: Sequence[int] | None = None
) -> list[tuple[int, int]]:
    """Ranges [i, j) of units that are chunks: each at most ``room`` tokens, or a single unit.

    ``cut_costs[j]`` is the cost of a chunk ending before unit j; ``repeated[i]`` are the tokens that a chunk
    which begins at unit i repeats before it (a table's header). Linear in the number of units, times the units
    that fit into one chunk, as long as every size is positive.
    """
    n = len(sizes)
    best = [0.0] + [float("inf")] * n
    came_from = [0] * (n + 1)
    for end in range(1, n + 1):
        total, start = 0, end
        cut = cut_costs[end] if end < n else 0.0
        while start > 0:
            start -= 1
            total += sizes[start]
            if total > room and start < end - 1:
                break
            filled = total + (repeated[start] if repeated else 0)
            if filled > room and start < end - 1:
                continue
            empty = max(0.0, 1.0 - filled / room)
            cost = best[start] + empty * empty + cut + _PER_CHUNK
            if cost < best[end]:
                best[end], came_from[end] = cost, start
    ranges = []
    end = n
    while end > 0:
        ranges.append((came_from[end], end))
        end = came_from[end]
    return ranges[::-1]
