"""What of a web page is its content: boilerplate goes, the main part is found.

The scoring follows the idea of Readability (Arc90, 2009): a block's text counts for its ancestors, links
count against them. Where in doubt everything is kept: losing a page's content is worse than a stray menu.
"""

from __future__ import annotations

import re

from lxml import etree

Element = etree._Element

_DROPPED = [
    "script",
    "style",
    "template",
    "noscript",
    "iframe",
    "object",
    "embed",
    "canvas",
    "svg",
    "audio",
    "video",
    "select",
    "datalist",
    "link",
    "meta",
]
_ROLES = frozenset(
    ["navigation", "search", "complementary", "dialog", "alertdialog", "menu", "menubar", "toolbar"]
)
_BOILERPLATE = re.compile(
    r"(?:^|[\s_-])(?:navbox|breadcrumbs?|footer|site-?header|masthead|sidebar|cookies?(?:-?(?:banner|consent|"
    r"notice|bar))?|consent|gdpr|newsletter|subscribe|subscription|signup|share|sharing|sharebar|"
    r"social(?:-?links|-?icons)?|advert(?:isement)?s?|ads?|sponsored|promo|popup|modal|overlay|skip-?link|skip-?nav|"
    r"pagination|pager|comment-?form|login|catlinks|printfooter|noprint|editsection|jump-to-nav|"
    r"vector-(?:menu|dropdown|header|page-toolbar|column-start|toc)[\w-]*|interlanguage[\w-]*)(?=$|[\s_-])",
    re.IGNORECASE,
)
# Names that content bears too: they count only for what is mostly links.
_LINK_LIST = re.compile(
    r"(?:^|[\s_-])(?:nav|navbar|navigation|menu|topbar|toc|related(?:-?posts|-?articles)?|recommended|"
    r"recommendations|tags|links)(?=$|[\s_-])",
    re.IGNORECASE,
)
_CONTENT_NAME = re.compile(
    r"(?:^|[\s_-])(?:content|article|post|entry|main|body|text|story|result)s?(?=$|[\s_-])", re.IGNORECASE
)
_MAIN_IDS = ("mw-content-text", "main-content", "maincontent", "main", "content", "article", "bodyContent")
_NEVER_BY_NAME = frozenset(
    [
        "body",
        "main",
        "article",
        "html",
        "p",
        "pre",
        "code",
        "table",
        "tbody",
        "tr",
        "td",
        "th",
        "h1",
        "h2",
        "h3",
        "h4",
    ]
)
_CONTAINERS = frozenset(["div", "section", "article", "main", "body", "td", "form", "center"])
_SMALL_PAGE_CHARS = 600
_MOST = 0.5
_BY_TAG, _BY_NAME, _BY_LINKS = "tag", "name", "links"


def drop_markup(root: Element) -> None:
    """Takes out what never is text."""
    etree.strip_tags(root, etree.Comment, etree.ProcessingInstruction)
    for element in list(root.iter(*_DROPPED)):
        remove(element)
    for button in list(root.iter("button")):
        # The question of an unfolding answer often is a button; "OK" and "Subscribe" are not worth keeping.
        in_heading = any(a.tag in ("h1", "h2", "h3", "h4", "h5", "h6", "dt") for a in button.iterancestors())
        if not in_heading and n_chars(button) < 25:
            remove(button)


def main_part(root: Element) -> Element:
    """The element that holds the page's content, boilerplate inside it taken out."""
    body = root if root.tag == "body" else root.find(".//body")
    if body is None:
        body = root
    sizes = _Sizes(body)
    marked = _marked_main(body, sizes)
    if marked is not None and sizes.chars(marked) >= min(_SMALL_PAGE_CHARS, 0.2 * sizes.chars(body)):
        _drop_boilerplate(marked, sizes)
        _keep_title(body, marked)
        return marked
    _drop_boilerplate(body, sizes)
    if sizes.chars(body) >= 4 * _SMALL_PAGE_CHARS:
        best = _best_scored(body, sizes)
        if best is not None:
            _keep_title(body, best)
            return best
    return body


class _Sizes:
    """Characters inside each element, all and those in links, counted once and kept right as elements go."""

    def __init__(self, top: Element) -> None:
        self._all: dict[Element, int] = {}
        self._links: dict[Element, int] = {}
        for _, element in etree.iterwalk(top, events=("end",)):
            children = list(element)
            own = len((element.text or "").strip()) + sum(len((c.tail or "").strip()) for c in children)
            total = own + sum(self._all.get(c, 0) for c in children)
            self._all[element] = total
            self._links[element] = (
                total if element.tag == "a" else sum(self._links.get(c, 0) for c in children)
            )

    def chars(self, element: Element) -> int:
        return self._all.get(element, 0)

    def plain(self, element: Element) -> int:
        """Characters that are not in links."""
        return self._all.get(element, 0) - self._links.get(element, 0)

    def remove(self, element: Element) -> None:
        for ancestor in element.iterancestors():
            if ancestor in self._all:
                self._all[ancestor] -= self._all.get(element, 0)
                self._links[ancestor] -= self._links.get(element, 0)
        remove(element)


def _marked_main(body: Element, sizes: _Sizes) -> Element | None:
    for path in (".//main", ".//*[@role='main']"):
        found = body.findall(path)
        if found:
            return max(found, key=sizes.chars)
    articles = [a for a in body.iter("article") if next(a.iterancestors("article"), None) is None]
    if len(articles) == 1 and sizes.chars(articles[0]) > 0.4 * sizes.chars(body):
        return articles[0]
    for element in body.iter("div", "section", "td"):
        if element.get("id") in _MAIN_IDS and sizes.plain(element) >= 0.6 * sizes.plain(body):
            return element
    return None


def _keep_title(body: Element, main: Element) -> None:
    """A page's headline often stands above its main part."""
    if main is body or next(main.iter("h1"), None) is not None:
        return
    for headline in body.iter("h1"):
        if n_chars(headline):
            remove(headline)
            main.insert(0, headline)
            headline.tail, main.text = main.text, None
            return


def _drop_boilerplate(top: Element, sizes: _Sizes) -> None:
    """Each removal must leave most of the text that is not links; a small page keeps its wording."""
    total = max(1, sizes.plain(top))
    for element in list(top.iter()):
        if element is top or not isinstance(element.tag, str) or element.getparent() is None:
            continue
        kind = _boilerplate_kind(element)
        if kind is None:
            continue
        plain, chars = sizes.plain(element), sizes.chars(element)
        if kind == _BY_LINKS and plain > 0.5 * chars:
            continue
        if kind != _BY_TAG and (
            sizes.chars(top) < _SMALL_PAGE_CHARS or plain > 0.2 * total or element.find(".//h1") is not None
        ):
            continue
        if plain > _MOST * total or chars == sizes.chars(top):
            continue
        sizes.remove(element)


def _boilerplate_kind(element: Element) -> str | None:
    """What speaks for boilerplate: its tag or role, its name, or a name that matters only for lists of links."""
    tag = element.tag
    classes = element.get("class") or ""
    role = (element.get("role") or "").lower()
    if tag == "nav" or role in _ROLES:
        return _BY_TAG
    if tag in ("footer", "header") or role in ("banner", "contentinfo"):
        inside = any(a.tag in ("main", "article", "blockquote", "figure") for a in element.iterancestors())
        return None if inside or element.find(".//h1") is not None else _BY_TAG
    if tag == "aside":
        # Beside the article it is something else, inside it is a note.
        inside = any(a.tag in ("main", "article") for a in element.iterancestors())
        return _BY_LINKS if inside else _BY_NAME
    if (tag == "sup" and "reference" in classes) or (tag == "table" and "navbox" in classes):
        return _BY_TAG
    if tag in _NEVER_BY_NAME:
        return None
    names = f"{classes} {element.get('id') or ''}"
    if not 1 < len(names) < 400 or _CONTENT_NAME.search(names):
        return None
    if _BOILERPLATE.search(names):
        return _BY_NAME
    return _BY_LINKS if _LINK_LIST.search(names) else None


def _best_scored(body: Element, sizes: _Sizes) -> Element | None:
    """The smallest element that has nearly all text outside links; None if only the body has."""
    scores: dict[Element, float] = {}
    for block in body.iter("p", "pre", "td", "blockquote", "li", "dd"):
        length = sizes.plain(block)
        if length < 25:
            continue
        points = 1 + min(length / 100, 3)
        for ancestor, share in zip(block.iterancestors(), (1.0, 0.5, 0.25, 0.125), strict=False):
            scores[ancestor] = scores.get(ancestor, 0.0) + points * share
    if not scores:
        return None
    best = max(scores, key=lambda e: scores[e] * sizes.plain(e) / max(1, sizes.chars(e)))
    wanted = 0.9 * sizes.plain(body)
    while sizes.plain(best) < wanted or best.tag not in _CONTAINERS:
        parent = best.getparent()
        if parent is None or best is body:
            return None
        best = parent
    return best


def n_chars(element: Element) -> int:
    return len("".join(element.itertext()).strip())


def remove(element: Element) -> None:
    """Takes an element out and leaves the text behind it."""
    parent = element.getparent()
    if parent is None:
        return
    tail = element.tail
    if tail:
        before = element.getprevious()
        if before is not None:
            before.tail = (before.tail or "") + tail
        else:
            parent.text = (parent.text or "") + tail
    element.tail = None
    parent.remove(element)
