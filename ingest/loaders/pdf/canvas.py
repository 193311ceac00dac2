"""The graphics state of a page while its content is walked through: matrices, colours, paths, clips."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from pypdf.generic import DictionaryObject

from ingest.loaders.pdf.fonts import NO_FONT, Fonts, PdfFont
from ingest.loaders.pdf.graphics import (
    BLACK,
    EVERYWHERE,
    IDENTITY,
    WHITE,
    Box,
    Colour,
    Matrix,
    Painted,
    Path,
    apply,
    box_of,
    multiply,
    rgb,
)


@dataclass(slots=True)
class State:
    ctm: Matrix
    clip: Box
    font: PdfFont
    font_size: float = 1.0
    char_space: float = 0.0
    word_space: float = 0.0
    scale: float = 1.0
    leading: float = 0.0
    rise: float = 0.0
    mode: int = 0
    fill: Colour | None = BLACK
    stroke: Colour | None = BLACK
    fill_space: str = "/DeviceGray"
    see_through: bool = False
    """Nothing at all is seen of what is painted."""
    blended: bool = False
    """What is behind shines through, so that nobody knows the colour seen."""


def get(holder: Any, key: str) -> Any:
    try:
        value = holder.get(key)
        return value.get_object() if value is not None else None
    except RecursionError:
        raise
    except Exception:
        return None


def six(operands: list[Any]) -> Matrix:
    a, b, c, d, e, f = (float(v) for v in operands[:6])
    return a, b, c, d, e, f


class Canvas:
    """Interprets the operators that set the graphics state and paint paths."""

    def __init__(self, fonts: Fonts, width: float, height: float) -> None:
        self.painted = Painted()
        self._fonts = fonts
        self._page = Box(0, 0, width, height)
        self._path = Path()
        self._clip_next = False
        self._state = State(IDENTITY, EVERYWHERE, NO_FONT)
        self._stack: list[State] = []
        self._resources_now = DictionaryObject()
        self._unseen = 0
        self._operators: dict[bytes, Callable[[list[Any]], None]] = {
            b"q": self._save, b"Q": self._restore, b"cm": self._concat, b"gs": self._graphics_state,
            b"g": self._fill_colour, b"rg": self._fill_colour, b"k": self._fill_colour,
            b"sc": self._fill_in_space, b"scn": self._fill_in_space, b"cs": self._colour_space,
            b"G": self._stroke_colour, b"RG": self._stroke_colour, b"K": self._stroke_colour,
            b"SC": self._stroke_in_space, b"SCN": self._stroke_in_space,
            b"m": self._path_move, b"l": self._path_line, b"c": self._path_curve, b"v": self._path_curve,
            b"y": self._path_curve, b"h": self._path_close, b"re": self._path_rectangle,
            b"f": self._paint_fill, b"F": self._paint_fill, b"f*": self._paint_fill_even_odd,
            b"S": self._paint_stroke, b"s": self._paint_stroke, b"B": self._paint_both, b"b": self._paint_both,
            b"B*": self._paint_both, b"b*": self._paint_both, b"n": self._paint_nothing,
            b"W": self._clip, b"W*": self._clip, b"sh": self._shade,
        }  # fmt: skip

    # Graphics state

    def _save(self, _: list[Any]) -> None:
        if len(self._stack) < 500:
            self._stack.append(replace(self._state))

    def _restore(self, _: list[Any]) -> None:
        if self._stack:
            self._state = self._stack.pop()

    def _concat(self, operands: list[Any]) -> None:
        self._state.ctm = multiply(six(operands), self._state.ctm)

    def _graphics_state(self, operands: list[Any]) -> None:
        settings = get(get(self._resources_now, "/ExtGState"), operands[0])
        if settings is None:
            return
        font = get(settings, "/Font")
        if isinstance(font, list) and len(font) == 2:
            self._state.font = self._fonts.get(font[0].get_object())
            self._state.font_size = float(font[1])
        alpha = get(settings, "/ca")
        if isinstance(alpha, int | float):
            self._state.see_through = float(alpha) < 0.02
            self._state.blended = float(alpha) < 0.95
        mode = get(settings, "/BM")
        if mode is not None and mode not in ("/Normal", "/Compatible"):
            self._state.blended = True

    def _fill_colour(self, operands: list[Any]) -> None:
        self._state.fill_space = "/Device"
        self._state.fill = rgb(operands)

    def _stroke_colour(self, operands: list[Any]) -> None:
        self._state.stroke = rgb(operands)

    def _colour_space(self, operands: list[Any]) -> None:
        name = str(operands[0])
        if not name.startswith("/Device"):
            space = get(get(self._resources_now, "/ColorSpace"), name)
            name = str(space[0]) if isinstance(space, list) and space else str(space or name)
        self._state.fill_space = name
        self._state.fill = None if name == "/Pattern" else BLACK

    def _fill_in_space(self, operands: list[Any]) -> None:
        space = self._state.fill_space
        if space in ("/Separation", "/DeviceN"):  # amounts of ink
            self._state.fill = WHITE if not any(operands) else None
        elif space in ("/Pattern", "/Indexed", "/Lab"):
            self._state.fill = None
        else:
            self._state.fill = rgb(operands)

    def _stroke_in_space(self, operands: list[Any]) -> None:
        self._state.stroke = BLACK

    # Paths

    def _path_move(self, operands: list[Any]) -> None:
        self._path.move(*apply(self._state.ctm, float(operands[0]), float(operands[1])))

    def _path_line(self, operands: list[Any]) -> None:
        self._path.line(*apply(self._state.ctm, float(operands[0]), float(operands[1])))

    def _path_curve(self, operands: list[Any]) -> None:
        self._path.curve(*apply(self._state.ctm, float(operands[-2]), float(operands[-1])))

    def _path_close(self, _: list[Any]) -> None:
        self._path.close()

    def _path_rectangle(self, operands: list[Any]) -> None:
        x, y, width, height = (float(v) for v in operands[:4])
        self._path.rectangle(box_of(self._state.ctm, x, y, x + width, y + height))

    def _paint_fill(self, _: list[Any], even_odd: bool = False) -> None:
        if not self._state.see_through and not self._unseen:
            colour = None if self._state.blended else self._state.fill
            self._path.fill(self.painted, colour, self._state.clip, even_odd)
        self._paint_nothing(_)

    def _paint_fill_even_odd(self, operands: list[Any]) -> None:
        self._paint_fill(operands, True)

    def _paint_stroke(self, _: list[Any]) -> None:
        self._path.stroke(self.painted, self._state.stroke, self._state.clip)
        self._paint_nothing(_)

    def _paint_both(self, operands: list[Any]) -> None:
        self._path.stroke(self.painted, self._state.stroke, self._state.clip)
        self._paint_fill(operands)

    def _paint_nothing(self, _: list[Any]) -> None:
        if self._clip_next:
            self._clip_next = False
            bounds = self._path.bounds
            if bounds is not None:
                self._state.clip = self._state.clip.within(bounds)
        self._path.clear()

    def _clip(self, _: list[Any]) -> None:
        self._clip_next = True

    def _shade(self, _: list[Any]) -> None:
        self.painted.fill(self._state.clip.within(self._page), None)
