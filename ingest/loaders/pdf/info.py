"""What a PDF says of itself: title, author, dates, layers that are switched off."""

from __future__ import annotations

import re
import unicodedata

from pypdf import PdfReader
from pypdf.generic import DictionaryObject

from ingest.loaders.dates import iso_date
from rag.core.types import MetaValue

_FILE_NAME = re.compile(
    r"\.(?:docx?|pdf|indd|pptx?|xlsx?|qxd|tex|dvi|ps|odt|rtf|html?|txt|cdr|ai|fm|pages)$", re.I
)
_PRODUCER = re.compile(
    r"^(?:microsoft (?:word|powerpoint|excel)|powerpoint presentation|wordpad) ?-? ?", re.I
)
_NO_TITLE = re.compile(
    r"^(?:\(?(?:untitled|anonymous|unspecified|unknown|no title|title|document|slide|page|print|scan|output|layout)\)?"
    r"[\s_-]*\d*|[\W\d_]*|about:blank|https?://\S*|.{0,2})$",
    re.I,
)
_NOBODY = re.compile(r"\(?(?:anonymous|unspecified|unknown|user|admin(?:istrator)?|owner|none)\)?", re.I)
_DATE = re.compile(r"^D?:?\s*(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?([Zz+-])?(\d\d)?'?(\d\d)?")


def stated(reader: PdfReader) -> tuple[str | None, dict[str, MetaValue]]:
    """(title, metadata) from the document information; a file that lies or breaks there states nothing."""
    try:
        info = reader.metadata
        entries = {key: _text(info, key) for key in _KEYS} if info else {}
    except Exception:
        return None, {}
    metadata: dict[str, MetaValue] = {}
    for key, name in _KEYS.items():
        value = entries.get(key, "")
        if name in ("created", "modified"):
            value = _date(value)
        if value and name != "title" and not _NOBODY.fullmatch(value):
            metadata[name] = value[:500]
    if when := metadata.get("modified") or metadata.get("created"):
        metadata["date"] = when
    return _title(entries.get("/Title", "")), metadata


_KEYS = {
    "/Title": "title",
    "/Author": "author",
    "/Subject": "subject",
    "/Keywords": "keywords",
    "/CreationDate": "created",
    "/ModDate": "modified",
}


def _text(info: DictionaryObject, key: str) -> str:
    try:
        value = info.get(key)
        value = value.get_object() if value is not None else None
    except Exception:
        return ""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return " ".join(value.replace("\0", "").split()) if isinstance(value, str) else ""


def _title(text: str) -> str | None:
    """None for what a program put there and no author: a file's name, "untitled", a producer's name."""
    text = _PRODUCER.sub("", text).strip().lstrip("-–—|:/ ")
    if _NO_TITLE.match(text) or _FILE_NAME.search(text) or "�" in text:
        return None
    if any(unicodedata.category(char) in ("Cc", "Co", "Cn") for char in text):
        return None
    return text


def _date(text: str) -> str:
    """``D:20240131120000+01'00'`` in ISO form; "" for what is no date."""
    found = _DATE.match(text)
    if not found:
        return iso_date(text)
    year, month, day, hour, minute, second, sign, off_hour, off_minute = found.groups()
    date = f"{year}-{month or '01'}-{day or '01'}"
    if hour is None:
        return iso_date(date)
    zone = ""
    if sign in ("Z", "z"):
        zone = "+00:00"
    elif sign and off_hour:
        zone = f"{sign}{off_hour}:{off_minute or '00'}"
    return iso_date(f"{date}T{hour}:{minute or '00'}:{second or '00'}{zone}") or iso_date(date)


def unseen_layers(reader: PdfReader) -> frozenset[int]:
    """Ids of the optional content groups that are switched off when the file is opened."""
    try:
        settings = reader.root_object["/OCProperties"].get_object()
        default = settings["/D"].get_object()  # type: ignore[index]
        off = [group.get_object() for group in default.get("/OFF", [])]
        if default.get("/BaseState") == "/OFF":
            on = {id(group.get_object()) for group in default.get("/ON", [])}
            groups = [group.get_object() for group in settings["/OCGs"].get_object()]  # type: ignore[index]
            off += [group for group in groups if id(group) not in on]
    except Exception:  # there are none, or they are broken
        return frozenset()
    return frozenset(map(id, off))
