"""Small pieces of Markdown that the loaders write: paragraphs, headings, code, links, pictures."""

from __future__ import annotations

import re
import textwrap
from base64 import urlsafe_b64decode
from binascii import Error as Base64Error
from urllib.parse import parse_qsl, urljoin, urlsplit

_SPACE = re.compile(r"[ \t\r\f\v\xa0\u2000-\u200a\u202f\u3000]+")
_INVISIBLE = re.compile("[\u00ad\u200b\u2060\ufeff]")
_AROUND_BREAK = re.compile(r" ?\n ?")
# At the start of a line these would open another block than the author meant.
_OPENER = re.compile(
    r"(?=#{1,6}(?:\s|$)|>|<[!?/a-zA-Z]|`{3}|~{3})|(?=(?:-{2,}|={2,}|[-*_](?: ?[-*_]){2,})\s*$)"
)
_ONLY_IMAGE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
_DATA_URI_CHARS = 48
_LONG_URL_CHARS = 300
_REDIRECT_KEYS = frozenset(["u", "url", "q", "target", "dest", "redirect", "uddg", "to"])


def tidy(text: str) -> str:
    """Runs of spaces become one, invisible characters go, line breaks stay."""
    text = _INVISIBLE.sub("", text)
    return _AROUND_BREAK.sub("\n", _SPACE.sub(" ", text)).strip()


def one_line(text: str) -> str:
    return tidy(text.replace("\n", " "))


def paragraph(text: str) -> str:
    """Markdown that a paragraph's text cannot turn into another kind of block."""
    lines = [line for line in tidy(text).split("\n") if line]
    return "\n".join(_OPENER.sub(r"\\", line, count=1) if _OPENER.match(line) else line for line in lines)


def heading(level: int, text: str) -> str:
    name = one_line(text)
    return f"{'#' * min(max(level, 1), 6)} {name}" if name else ""


def fence(code: str, language: str = "") -> str:
    body = textwrap.dedent(code.expandtabs(4)).strip("\n").rstrip()
    if not body.strip():
        return ""
    ticks = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`{3,}", body)), default=0))
    return f"{ticks}{language}\n{body}\n{ticks}"


def inline_code(text: str) -> str:
    body = one_line(text)
    if not body:
        return ""
    return f"`{body}`" if "`" not in body else f"`` {body} ``"


def quote(markdown: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in markdown.split("\n"))


def emphasis(text: str, mark: str) -> str:
    """White space stays outside the marks, each line has marks of its own."""
    return "\n".join(_emphasise(line, mark) for line in text.split("\n"))


def _emphasise(line: str, mark: str) -> str:
    body = line.strip()
    if not body or (body.startswith(mark) and body.endswith(mark) and len(body) > 2 * len(mark)):
        return line
    before = line[: len(line) - len(line.lstrip())]
    after = line[len(line.rstrip()) :]
    return f"{before}{mark}{body}{mark}{after}"


def link(text: str, href: str, title: str = "") -> str:
    label = text.strip()
    url = target(href)
    if not label or not url or _ONLY_IMAGE.fullmatch(label):
        return text
    lead = text[: len(text) - len(text.lstrip())]
    trail = text[len(text.rstrip()) :]
    shown = one_line(title).replace('"', "'")
    suffix = f' "{shown}"' if shown else ""
    return f"{lead}[{one_line(label)}]({url}{suffix}){trail}"


def image(alt: str, src: str) -> str:
    return f"![{one_line(alt).replace('[', '(').replace(']', ')')}]({target(src)})"


def target(href: str) -> str:
    """The address as a link shows it; "" for one that leads nowhere (scripts, places in the same page)."""
    url = "".join(href.split("\n")).strip()
    scheme = url[:12].lower()
    if not url or url.startswith("#") or scheme.startswith(("javascript:", "vbscript:", "about:")):
        return ""
    if scheme.startswith("data:"):
        return data_uri(url)
    url = _unwrapped(url)
    if len(url) > _LONG_URL_CHARS:
        url = url.split("?", 1)[0][:_LONG_URL_CHARS]
    url = url.replace(" ", "%20").replace("<", "%3C").replace(">", "%3E")
    if url.count("(") != url.count(")"):
        url = url.replace("(", "%28").replace(")", "%29")
    return url


def data_uri(url: str) -> str:
    """Enough to say what it is: a picture of many kilobytes has no place in a text."""
    head, _, _ = url.partition(",")
    if "base64" not in head.lower():
        return head[:_DATA_URI_CHARS] + "…"
    return url if len(url) <= _DATA_URI_CHARS else url[:_DATA_URI_CHARS] + "…"


def _unwrapped(url: str) -> str:
    """Where a search engine's or a mailer's redirecting link leads, if the link itself says so."""
    if "?" not in url or len(url) > 8000:
        return url
    try:
        parts = urlsplit(url)
        pairs = parse_qsl(parts.query, max_num_fields=60)
    except ValueError:
        return url
    for key, value in pairs:
        if key.lower() not in _REDIRECT_KEYS:
            continue
        if value.startswith(("http://", "https://")):
            return value
        decoded = _from_base64(value)
        if decoded.startswith(("http://", "https://")):
            return decoded
        if decoded.startswith("javascript:"):
            return ""
        if decoded.startswith("/") and decoded.isprintable() and value.startswith("a1"):
            return urljoin(url, decoded)
    return url


def _from_base64(value: str) -> str:
    body = value[2:] if value.startswith("a1") else value
    if not re.fullmatch(r"[\w-]{8,}=*", body):
        return ""
    try:
        return urlsafe_b64decode(body + "=" * (-len(body) % 4)).decode("ascii")
    except (Base64Error, ValueError):
        return ""
