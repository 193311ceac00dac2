"""What is painted on a page besides text, as far as the text needs it: rules of tables, what lies behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

Matrix: TypeAlias = tuple[float, float, float, float, float, float]
Colour: TypeAlias = tuple[float, float, float]

IDENTITY: Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
BLACK: Colour = (0.0, 0.0, 0.0)
WHITE: Colour = (1.0, 1.0, 1.0)
_MAX_SHAPES = 20_000
_MAX_LOOKED_AT = 2_000
_THIN = 3.0
_ALIKE = 0.06


class Box(NamedTuple):
    x0: float
    y0: float
    x1: float
    y1: float

    def holds(self, x: float, y: float) -> bool:
        return self.x0 <= x <= self.x1 and self.y0 <= y <= self.y1

    def within(self, other: Box) -> Box:
        return Box(
            max(self.x0, other.x0), max(self.y0, other.y0), min(self.x1, other.x1), min(self.y1, other.y1)
        )

    @property
    def area(self) -> float:
        return max(0.0, self.x1 - self.x0) * max(0.0, self.y1 - self.y0)


EVERYWHERE = Box(-1e9, -1e9, 1e9, 1e9)


def multiply(m: Matrix, n: Matrix) -> Matrix:
    return (
        m[0] * n[0] + m[1] * n[2],
        m[0] * n[1] + m[1] * n[3],
        m[2] * n[0] + m[3] * n[2],
        m[2] * n[1] + m[3] * n[3],
        m[4] * n[0] + m[5] * n[2] + n[4],
        m[4] * n[1] + m[5] * n[3] + n[5],
    )


def apply(m: Matrix, x: float, y: float) -> tuple[float, float]:
    return x * m[0] + y * m[2] + m[4], x * m[1] + y * m[3] + m[5]


def box_of(m: Matrix, x0: float, y0: float, x1: float, y1: float) -> Box:
    corners = [apply(m, x, y) for x in (x0, x1) for y in (y0, y1)]
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    return Box(min(xs), min(ys), max(xs), max(ys))


def rgb(components: list[Any]) -> Colour | None:
    """Of grey, RGB or CMYK components; None for what cannot be told."""
    values = [min(max(float(c), 0.0), 1.0) for c in components if isinstance(c, int | float)]
    if len(values) != len(components):
        return None
    if len(values) == 1:
        return values[0], values[0], values[0]
    if len(values) == 3:
        return values[0], values[1], values[2]
    if len(values) == 4:
        ink = 1 - values[3]
        return (1 - values[0]) * ink, (1 - values[1]) * ink, (1 - values[2]) * ink
    return None


def alike(one: Colour, other: Colour) -> bool:
    return all(abs(a - b) < _ALIKE for a, b in zip(one, other, strict=True))


@dataclass(slots=True)
class Painted:
    """What has been painted so far, in the order of painting."""

    fills: list[tuple[Box, Colour | None]] = field(default_factory=list)
    """Filled areas; None where the colour is not one: pictures, patterns, odd shapes."""
    images: list[Box] = field(default_factory=list)
    rules: list[Box] = field(default_factory=list)
    """Thin straight lines along the axes."""

    def fill(self, box: Box, colour: Colour | None) -> None:
        if len(self.fills) < _MAX_SHAPES and box.area > 0:
            self.fills.append((box, colour))

    def rule(self, box: Box) -> None:
        if len(self.rules) < _MAX_SHAPES:
            self.rules.append(box)

    def image(self, box: Box) -> None:
        self.fill(box, None)
        if len(self.images) < _MAX_SHAPES and box.area > 0:
            self.images.append(box)

    def behind(self, x: float, y: float) -> Colour | None:
        """The colour text at this place stands on; paper is white."""
        for n, (box, colour) in enumerate(reversed(self.fills)):
            if n > _MAX_LOOKED_AT:
                return None
            if box.x0 <= x <= box.x1 and box.y0 <= y <= box.y1:
                return colour
        return WHITE


@dataclass(slots=True)
class Path:
    """The path under construction, in page coordinates."""

    rectangles: list[Box] = field(default_factory=list)
    lines: list[tuple[float, float, float, float]] = field(default_factory=list)
    curved: bool = False
    _start: tuple[float, float] = (0.0, 0.0)
    _at: tuple[float, float] = (0.0, 0.0)

    def move(self, x: float, y: float) -> None:
        self._start = self._at = (x, y)

    def line(self, x: float, y: float) -> None:
        if len(self.lines) < _MAX_SHAPES:
            self.lines.append((*self._at, x, y))
        self._at = (x, y)

    def curve(self, x: float, y: float) -> None:
        self.curved = True
        self.line(x, y)

    def close(self) -> None:
        if self._at != self._start:
            self.line(*self._start)

    def rectangle(self, box: Box) -> None:
        if len(self.rectangles) < _MAX_SHAPES:
            self.rectangles.append(box)

    def clear(self) -> None:
        if self.rectangles:
            self.rectangles = []
        if self.lines:
            self.lines = []
        self.curved = False

    @property
    def bounds(self) -> Box | None:
        xs = [x for line in self.lines for x in (line[0], line[2])]
        ys = [y for line in self.lines for y in (line[1], line[3])]
        for box in self.rectangles:
            xs += (box.x0, box.x1)
            ys += (box.y0, box.y1)
        return Box(min(xs), min(ys), max(xs), max(ys)) if xs else None

    def _is_rectangle(self) -> bool:
        return (
            not self.curved
            and not self.rectangles
            and 3 <= len(self.lines) <= 5
            and all(abs(x0 - x1) < 0.5 or abs(y0 - y1) < 0.5 for x0, y0, x1, y1 in self.lines)
        )

    def fill(self, painted: Painted, colour: Colour | None, clip: Box, even_odd: bool) -> None:
        if self.lines:
            bounds = self.bounds
            if bounds is None:
                return
            if self._is_rectangle():
                _filled(painted, bounds.within(clip), colour)
                return
            painted.fill(bounds.within(clip), None)
        known = not (even_odd and len(self.rectangles) > 1)
        for box in self.rectangles:
            _filled(painted, box.within(clip), colour if known else None)

    def stroke(self, painted: Painted, colour: Colour | None, clip: Box) -> None:
        if colour is not None and alike(colour, WHITE):
            return
        for x0, y0, x1, y1 in self.lines:
            if abs(x0 - x1) < 0.7 or abs(y0 - y1) < 0.7:
                _ruled(painted, Box(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)), clip)
        for box in self.rectangles:
            _ruled(painted, Box(box.x0, box.y0, box.x1, box.y0), clip)
            _ruled(painted, Box(box.x0, box.y1, box.x1, box.y1), clip)
            _ruled(painted, Box(box.x0, box.y0, box.x0, box.y1), clip)
            _ruled(painted, Box(box.x1, box.y0, box.x1, box.y1), clip)


def _filled(painted: Painted, box: Box, colour: Colour | None) -> None:
    width, height = box.x1 - box.x0, box.y1 - box.y0
    if width < 0 or height < 0:
        return
    if min(width, height) < _THIN:
        if max(width, height) > 2 * _THIN and not (colour is not None and alike(colour, WHITE)):
            painted.rule(box)
        return
    painted.fill(box, colour)


def _ruled(painted: Painted, box: Box, clip: Box) -> None:
    seen = box.within(clip)
    if seen.x1 >= seen.x0 and seen.y1 >= seen.y0:
        painted.rule(seen)
