"""Text that a reader of a page does not see: it is taken out, since it may be there to mislead a machine."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lxml import etree

from ingest.loaders.html_prune import n_chars, remove

Element = etree._Element

_END = r"\s*(?:;|$|!)"
_INVISIBLE = re.compile(
    r"(?<![\w-])display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|"
    rf"(?<![\w-])opacity\s*:\s*(?:0+(?:\.0*)?|\.0+)%?{_END}|"
    # No size, or one that nobody can read; 0.9em is a size like any other.
    rf"font-size\s*:\s*(?:0(?:\.0*)?(?:px|pt|em|rem|%)?|(?:0?\.\d+|1)(?:px|pt)|0?\.[01]\d*r?em){_END}|"
    r"(?<![\w-])(?:left|top|right|text-indent|margin-left)\s*:\s*-\d{4,}|"
    r"clip-path\s*:\s*inset\(\s*(?:50|100)%|clip\s*:\s*rect\(\s*[01](?:px)?[\s,]+[01]|"
    r"transform\s*:\s*scale\(\s*0\s*\)",
    re.IGNORECASE,
)
_NO_EXTENT = re.compile(rf"(?<![\w-])(?:max-)?(?:width|height)\s*:\s*[01](?:px)?{_END}", re.IGNORECASE)
_OVERFLOW = re.compile(r"overflow(?:-[xy])?\s*:\s*(?:hidden|clip)", re.IGNORECASE)
_COLOR = re.compile(r"(?<![\w-])color\s*:\s*([^;!]+)", re.IGNORECASE)
_BACKGROUND = re.compile(r"background(?:-color)?\s*:\s*([^;!]+)", re.IGNORECASE)
_HEX = re.compile(r"#([0-9a-f])([0-9a-f])([0-9a-f])$")
_RGB = re.compile(r"rgba?\((\d{1,3}),(\d{1,3}),(\d{1,3})(?:,(?:1|1\.0|100%))?\)$")
_NAMES = {"white": "#ffffff", "black": "#000000", "snow": "#fffafa", "ivory": "#fffff0"}
_WHITISH = frozenset(["#ffffff", "#fefefe", "#fdfdfd", "#fffafa", "#fffff0"])
_CSS_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_SIMPLE = re.compile(r"(?:[a-zA-Z]\w*)?([.#][\w-]+)$")
_NAME = re.compile(r"[.#][\w-]+")
_STYLE_CHARS = 300_000


def hiding_names(root: Element) -> frozenset[str]:
    """Classes and ids (``.class``, ``#id``) that the page's own style sheet hides for good.

    Not those that another rule, or a script, may show again: tabs and answers that unfold are content.
    """
    sheet = "\n".join(style.text or "" for style in root.iter("style"))[:_STYLE_CHARS]
    if not sheet:
        return frozenset()
    hiding: set[str] = set()
    shown: set[str] = set()
    for selectors, declarations in _rules(_CSS_COMMENT.sub("", sheet)):
        for selector in selectors.split(","):
            simple = _SIMPLE.match(selector.strip())
            if simple and hides(declarations):
                hiding.add(simple.group(1))
            else:
                shown.update(_NAME.findall(selector))
    scripts = "\n".join(script.text or "" for script in root.iter("script")) if hiding else ""
    return frozenset(name for name in hiding - shown if name[1:] not in scripts)


def _rules(sheet: str) -> Iterator[tuple[str, str]]:
    """(selectors, declarations) of the rules that hold always: not those for printing, or for small screens."""
    above: list[str] = []
    text = ""
    for piece in re.split(r"([{}])", sheet):
        if piece == "{":
            above.append(text.rpartition(";")[2].strip())
        elif piece == "}" and above:
            selectors = above.pop()
            if not any(head.startswith("@") for head in (selectors, *above)):
                yield selectors, text
        text = "" if piece in ("{", "}") else piece


def hides(style: str) -> bool:
    return bool(_INVISIBLE.search(style)) or bool(_NO_EXTENT.search(style) and _OVERFLOW.search(style))


def drop_hidden(root: Element, names: frozenset[str] = frozenset()) -> int:
    """Takes out what a reader does not see; returns how many elements with text those were."""
    count = 0
    for element in list(root.iter()):
        if not isinstance(element.tag, str) or element.getparent() is None:
            continue
        if element.tag in ("html", "body", "main") or not _is_hidden(element, names):
            continue
        count += n_chars(element) > 0
        remove(element)
    return count


def _is_hidden(element: Element, names: frozenset[str]) -> bool:
    if element.get("hidden") is not None or (element.get("aria-hidden") or "").lower() == "true":
        return True
    if element.tag == "input":
        return (element.get("type") or "").lower() == "hidden"
    if names:
        own = {f".{name}" for name in (element.get("class") or "").split()}
        if own & names or f"#{element.get('id')}" in names:
            return True
    if element.tag == "font" and _plain(element.get("color") or "") in _WHITISH:
        return _on_white(element)
    style = element.get("style")
    if not style:
        return False
    if hides(style):
        return True
    color = _COLOR.search(style)
    if not color:
        return False
    ink = _plain(color.group(1))
    background = _BACKGROUND.search(style)
    if background:
        return ink in (_plain(background.group(1)), "transparent")
    return ink == "transparent" or (ink in _WHITISH and _on_white(element))


def _on_white(element: Element) -> bool:
    """Nothing above says which colour is behind it, and no class or style sheet may either."""
    for ancestor in (element, *element.iterancestors()):
        background = _BACKGROUND.search(ancestor.get("style") or "")
        if background:
            return _plain(background.group(1)) in _WHITISH
        if ancestor.get("bgcolor"):
            return _plain(ancestor.get("bgcolor") or "") in _WHITISH
        if ancestor.get("class") or ancestor.get("background"):
            return False
    return True


def _plain(color: str) -> str:
    """One way to write each colour."""
    text = "".join(color.lower().split())
    text = _NAMES.get(text, text)
    if short := _HEX.match(text):
        return "#" + "".join(2 * digit for digit in short.groups())
    if rgb := _RGB.match(text):
        return "#" + "".join(f"{min(int(part), 255):02x}" for part in rgb.groups())
    return text
