"""What operators show on a page: walks the content streams that pypdf has parsed and collects pieces of text."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from pypdf.generic import ContentStream, DictionaryObject, StreamObject

from ingest.loaders.pdf.canvas import Canvas, State, get, six
from ingest.loaders.pdf.fonts import NO_FONT, UNMAPPED, Fonts, PdfFont
from ingest.loaders.pdf.graphics import BLACK, IDENTITY, Matrix, Path, alike, box_of, multiply

_MAX_FORM_DEPTH = 12
_MAX_FORMS = 1_500
_MAX_OPERATIONS = 1_500_000
_MAX_PIECES = 60_000
_MIN_SIZE = 1.0
_TEXT_SHOWN = (b"Tj", b"TJ", b"'", b'"', b" Do")


@dataclass(slots=True, eq=False)
class Piece:
    """A stretch of glyphs without a gap, as they are seen from left to right."""

    text: str
    x0: float
    x1: float
    y: float
    """Of the base line."""
    size: float
    font: PdfFont
    angle: int
    """Degrees by which the text is turned, clockwise; x and y are turned back by it."""
    sequence: int
    space_before: bool
    space_after: bool = False
    hidden: str = ""
    """Why a reader does not see it."""
    tag: int | None = None
    """Number of the marked content it belongs to."""


class Walker(Canvas):
    """Interprets the operators that move, show or hide text."""

    def __init__(
        self, pdf: Any, fonts: Fonts, unseen_layers: frozenset[int], width: float, height: float
    ) -> None:
        super().__init__(fonts, width, height)
        self.pieces: list[Piece] = []
        self.problems: list[str] = []
        self._pdf, self._unseen_layers = pdf, unseen_layers
        self._min_size = _MIN_SIZE * min(1.0, min(width, height) / 500)
        self._forms: dict[int, Any] = {}
        self._open_forms: set[int] = set()
        self._n_forms = self._n_operations = self._depth = 0
        self._tm: Matrix = IDENTITY
        self._line: Matrix = IDENTITY
        self._marks: list[tuple[bool, str | None, int, int | None]] = []
        self._tag: int | None = None
        self._space = False
        self._joinable = False
        self._operators |= {
            b"BT": self._begin, b"Tf": self._set_font, b"Td": self._move, b"TD": self._move_leading,
            b"Tm": self._matrix, b"T*": self._next_line, b"Tj": self._show, b"TJ": self._show_spaced,
            b"'": self._next_show, b'"': self._next_show_spaced, b"Tc": self._char_space,
            b"Tw": self._word_space, b"Tz": self._scale, b"TL": self._leading, b"Ts": self._rise,
            b"Tr": self._mode, b"Do": self._draw, b"INLINE IMAGE": self._inline_image,
            b"BMC": self._mark_plain, b"BDC": self._mark, b"EMC": self._unmark,
        }  # fmt: skip

    def walk(self, contents: ContentStream, resources: DictionaryObject, state: State, depth: int) -> None:
        """One stream; what was read before it breaks off is kept."""
        outer = self._state, self._stack, self._resources_now, self._depth, self._tm, self._line, self._marks
        self._state, self._stack, self._resources_now, self._depth = state, [], resources, depth
        self._tm = self._line = IDENTITY
        self._marks = []
        unseen = self._unseen
        try:
            operations = contents.operations
        except RecursionError:
            raise
        except Exception as exc:
            self.problems.append(type(exc).__name__)
            operations = list(getattr(contents, "_operations", ()))
        operators = self._operators
        for operands, operator in operations:
            handle = operators.get(operator)
            if handle is None:
                continue
            self._n_operations += 1
            if self._n_operations > _MAX_OPERATIONS or len(self.pieces) > _MAX_PIECES:
                self.problems.append("more is drawn on it than can be read")
                break
            try:
                handle(operands)
            except RecursionError:
                raise
            except (
                IndexError,
                TypeError,
                ValueError,
                KeyError,
                AttributeError,
                OverflowError,
                ArithmeticError,
            ):
                continue  # one wrong operand; viewers go on too
        self._unseen = unseen
        self._state, self._stack, self._resources_now, self._depth, self._tm, self._line, self._marks = outer
        self._joinable = False

    def appearance(
        self, form: StreamObject, rectangle: tuple[float, float, float, float], base: Matrix
    ) -> None:
        """Draws an annotation: its box is fitted to the rectangle (ISO 32000, 12.5.5)."""
        matrix = matrix_of(form)
        box = box_of(matrix, *sorted_box(form.get("/BBox", [0, 0, 1, 1])))
        x0, y0, x1, y1 = rectangle
        width, height = box.x1 - box.x0, box.y1 - box.y0
        if width <= 0 or height <= 0:
            return
        sx, sy = (x1 - x0) / width, (y1 - y0) / height
        fit: Matrix = (sx, 0, 0, sy, x0 - box.x0 * sx, y0 - box.y0 * sy)
        self._state = State(multiply(fit, base), self._page, NO_FONT)
        self._resources_now = DictionaryObject()
        self._form(form)

    # Text state

    def _begin(self, _: list[Any]) -> None:
        self._tm = self._line = IDENTITY

    def _set_font(self, operands: list[Any]) -> None:
        self._state.font_size = float(operands[1])
        resource = get(get(self._resources_now, "/Font"), operands[0])
        self._state.font = self._fonts.get(resource) if isinstance(resource, DictionaryObject) else NO_FONT

    def _char_space(self, operands: list[Any]) -> None:
        self._state.char_space = float(operands[0])

    def _word_space(self, operands: list[Any]) -> None:
        self._state.word_space = float(operands[0])

    def _scale(self, operands: list[Any]) -> None:
        self._state.scale = float(operands[0]) / 100

    def _leading(self, operands: list[Any]) -> None:
        self._state.leading = float(operands[0])

    def _rise(self, operands: list[Any]) -> None:
        self._state.rise = float(operands[0])

    def _mode(self, operands: list[Any]) -> None:
        self._state.mode = int(operands[0])

    def _move(self, operands: list[Any]) -> None:
        m = self._line
        x, y = float(operands[0]), float(operands[1])
        self._line = self._tm = (*m[:4], x * m[0] + y * m[2] + m[4], x * m[1] + y * m[3] + m[5])

    def _move_leading(self, operands: list[Any]) -> None:
        self._state.leading = -float(operands[1])
        self._move(operands)

    def _matrix(self, operands: list[Any]) -> None:
        self._line = self._tm = six(operands)

    def _next_line(self, _: list[Any]) -> None:
        self._move([0, -self._state.leading])

    def _next_show(self, operands: list[Any]) -> None:
        self._next_line([])
        self._show(operands)

    def _next_show_spaced(self, operands: list[Any]) -> None:
        self._word_space(operands)
        self._char_space(operands[1:])
        self._next_show(operands[2:])

    # Showing text

    def _show(self, operands: list[Any]) -> None:
        self._show_all([operands[0]])

    def _show_spaced(self, operands: list[Any]) -> None:
        if isinstance(operands[0], list):
            self._show_all(operands[0])

    def _show_all(self, parts: list[Any]) -> None:
        state = self._state
        font, font_size, scale = state.font, state.font_size, state.scale
        tm = multiply((scale, 0, 0, 1, 0, state.rise), self._tm)
        a, b, c, d, e, f = multiply(tm, state.ctm)
        if font.vertical:  # downwards: as a line that is turned
            a, b, c, d = -c, -d, a, b
        stretch = math.hypot(a, b)
        if stretch <= 0 or not math.isfinite(stretch):
            return
        size = abs(a * d - b * c) / stretch * abs(font_size)
        angle = round(math.degrees(math.atan2(b, a))) % 360
        sign = -1.0 if font_size < 0 else 1.0
        if sign < 0:
            angle = (angle + 180) % 360
        if min(angle % 90, 90 - angle % 90) <= 1:
            angle = round(angle / 90) * 90 % 360
        x, y = turned(e, f, angle)
        start = x
        stretch *= sign
        em = font_size * stretch  # of the unit the widths are in, along the line
        tracking, word_space = state.char_space * stretch, state.word_space * stretch
        if size > 0:
            gap_limit = 0.08 * size
            hidden = self._hidden(state, size, *turned(x + 0.1 * size, y - 0.3 * size, -angle))
            text: list[str] = []
            x0 = x
            for part in parts:
                if isinstance(part, int | float):
                    move = -part * 0.001 * em
                    if text and abs(move) > gap_limit:
                        self._emit("".join(text), x0, x, y, size, angle, hidden)
                        text = []
                    x += move
                    continue
                data = part if isinstance(part, bytes) else part.original_bytes
                for shown, width, is_space in font.decode(data):
                    advance = width * em if not font.vertical else em
                    if shown.isspace() or not shown:
                        if text:
                            self._emit("".join(text), x0, x, y, size, angle, hidden)
                            text = []
                        self._space = True
                        if self._joinable:
                            self.pieces[-1].space_after = True
                            self._joinable = False
                    else:
                        if not text:
                            x0 = x
                        text.append(shown)
                    x += advance + tracking + (word_space if is_space else 0.0)
            if text:
                self._emit("".join(text), x0, x - tracking, y, size, angle, hidden)
        # The pen has moved by this much in units of the text's own space.
        moved = (x - start) / stretch if stretch else 0.0
        m = self._tm
        if font.vertical:
            self._tm = (*m[:4], m[4] - moved * m[2], m[5] - moved * m[3])
        else:
            moved *= scale
            self._tm = (*m[:4], m[4] + moved * m[0], m[5] + moved * m[1])

    def _emit(self, text: str, x0: float, x1: float, y: float, size: float, angle: int, hidden: str) -> None:
        font = self._state.font
        if x1 < x0:
            x0, x1 = x1, x0
        if not hidden:
            ends = [turned(x, y - size * 0.3, -angle) for x in ((x0 + x1) / 2, x0, x1)]
            at_x, at_y = ends[0]
            if not any(self._page.holds(*end) for end in ends):
                hidden = "outside the page"
            else:
                clip, slack = self._state.clip, size
                if not (
                    clip.x0 - slack <= at_x <= clip.x1 + slack and clip.y0 - slack <= at_y <= clip.y1 + slack
                ):
                    hidden = "clipped away"
        pieces = self.pieces
        if self._joinable and not self._space and pieces:
            last = pieces[-1]
            if (
                last.font is font
                and last.angle == angle
                and last.hidden == hidden
                and last.tag == self._tag
                and abs(last.y - y) < 0.02 * size
                and abs(last.size - size) < 0.02 * size
                and -0.3 * size < x0 - last.x1 < 0.08 * size
            ):
                last.text += text
                last.x1 = max(last.x1, x1)
                return
        pieces.append(
            Piece(text, x0, x1, y, size, font, angle, len(pieces), self._space, False, hidden, self._tag)
        )
        self._space = False
        self._joinable = True

    def _hidden(self, state: State, size: float, x: float, y: float) -> str:
        if self._unseen:
            return "on a layer that is switched off"
        if state.mode in (3, 7):
            return "invisible"
        if size < self._min_size:
            return "too small to be seen"
        if state.see_through:
            return "transparent"
        if state.fill is not None and state.mode in (0, 4) and (self.painted.fills or state.fill != BLACK):
            behind = self.painted.behind(x, y)
            if behind is not None and alike(behind, state.fill):
                return "in the colour of its background"
        return ""

    # Pictures and forms

    def _inline_image(self, _: list[Any]) -> None:
        self.painted.image(box_of(self._state.ctm, 0, 0, 1, 1).within(self._state.clip))

    def _draw(self, operands: list[Any]) -> None:
        drawn = get(get(self._resources_now, "/XObject"), operands[0])
        if not isinstance(drawn, StreamObject):
            return
        if id(get(drawn, "/OC")) in self._unseen_layers:
            return
        if drawn.get("/Subtype") == "/Image":
            self.painted.image(box_of(self._state.ctm, 0, 0, 1, 1).within(self._state.clip))
        elif drawn.get("/Subtype") == "/Form":
            self._form(drawn)

    def _form(self, form: StreamObject) -> None:
        if id(form) in self._open_forms or self._depth >= _MAX_FORM_DEPTH or self._n_forms >= _MAX_FORMS:
            return
        self._n_forms += 1
        state = replace(self._state, ctm=multiply(matrix_of(form), self._state.ctm))
        if "/BBox" in form:
            state.clip = state.clip.within(box_of(state.ctm, *(float(v) for v in form["/BBox"])))  # type: ignore[attr-defined]
        if id(form) not in self._forms:
            contents = ContentStream(form, self._pdf, "bytes")
            data = contents.get_data()
            self._forms[id(form)] = contents if any(op in data for op in _TEXT_SHOWN) else None
        contents = self._forms[id(form)]
        if contents is None:
            self.painted.fill(state.clip.within(self._page), None)
            return
        resources = get(form, "/Resources")
        tag, self._tag = self._tag, None
        self._open_forms.add(id(form))
        path, self._path = self._path, Path()
        try:
            self.walk(
                contents,
                resources if isinstance(resources, DictionaryObject) else self._resources_now,
                state,
                self._depth + 1,
            )
        finally:
            self._open_forms.discard(id(form))
            self._tag, self._path = tag, path

    # Marked content

    def _mark_plain(self, operands: list[Any]) -> None:
        self._marks.append((False, None, len(self.pieces), self._tag))
        self._joinable = False

    def _mark(self, operands: list[Any]) -> None:
        properties: Any = operands[1] if len(operands) > 1 else None
        if isinstance(properties, str):
            properties = get(get(self._resources_now, "/Properties"), properties)
        unseen = operands[0] == "/OC" and id(properties) in self._unseen_layers
        actual = get(properties, "/ActualText") if isinstance(properties, DictionaryObject) else None
        if isinstance(actual, bytes):
            actual = actual.decode(
                "utf-16" if actual[:2] in (b"\xfe\xff", b"\xff\xfe") else "latin-1", "replace"
            )
        self._marks.append((unseen, actual if isinstance(actual, str) else None, len(self.pieces), self._tag))
        self._unseen += unseen
        number = get(properties, "/MCID") if isinstance(properties, DictionaryObject) else None
        if isinstance(number, int):
            self._tag = int(number)
        self._joinable = self._joinable and actual is None

    def _unmark(self, _: list[Any]) -> None:
        if not self._marks:
            return
        unseen, actual, first, self._tag = self._marks.pop()
        self._unseen -= unseen
        if actual is None:
            return
        # A stated text stands for a ligature or for glyphs without a meaning; it is not believed for more.
        inside = self.pieces[first:]
        shown = "".join(piece.text for piece in inside)
        stated = actual.strip()
        same_line = all(p.angle == inside[0].angle and abs(p.y - inside[0].y) < 1 for p in inside)
        if not inside or not stated or not same_line or len(stated) > 4 * len(shown) + 1:
            return
        if len(shown) <= 3 or UNMAPPED in shown:
            inside[0].text, inside[0].x1 = stated, inside[-1].x1
            inside[0].space_after = inside[-1].space_after
            del self.pieces[first + 1 :]
        self._joinable = False


def turned(x: float, y: float, angle: int) -> tuple[float, float]:
    """The point as it is seen when the page is turned back by ``angle`` degrees."""
    if angle == 0:
        return x, y
    radians = math.radians(angle)
    cos, sin = math.cos(radians), math.sin(radians)
    return x * cos + y * sin, y * cos - x * sin


def matrix_of(form: StreamObject) -> Matrix:
    matrix = get(form, "/Matrix")
    try:
        return six(matrix) if matrix is not None else IDENTITY
    except (TypeError, ValueError):
        return IDENTITY


def sorted_box(box: Any) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = (float(v) for v in box)
    x0, x1 = min(x0, x1), max(x0, x1)
    y0, y1 = min(y0, y1), max(y0, y1)
    if x1 - x0 < 1 or y1 - y0 < 1:
        return 0.0, 0.0, 612.0, 792.0
    return x0, y0, x1, y1
