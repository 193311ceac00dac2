"""Opening a PDF: passwords, limits against hostile files, what the file says of itself."""

from __future__ import annotations

import logging
import re
import stringprep
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO

from pypdf import Configuration, PasswordType, PdfReader, apply_configuration
from pypdf.errors import DependencyError, PyPdfError
from pypdf.generic import DictionaryObject

from ingest.loaders.dates import iso_date
from rag.core.errors import EncryptedFile, LoadError
from rag.core.types import MetaValue

# Whatever is wrong with a file is said in its warnings or its LoadError.
logging.getLogger("pypdf").setLevel(logging.CRITICAL + 1)

MAX_PAGES = 5_000
_MB = 1024 * 1024
LIMITS = Configuration(
    array_based_stream_maximum_output_length=32 * _MB,
    zlib_maximum_output_length=32 * _MB,
    lzw_maximum_output_length=32 * _MB,
    run_length_maximum_output_length=32 * _MB,
    stream_decoding_work_maximum_length=64 * _MB,
    outline_maximum_entries=20_000,
    outline_maximum_depth=40,
    named_destinations_maximum_entries=50_000,
    disable_legacy_handling=True,
)
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


@contextmanager
def limits() -> Iterator[None]:
    """What one stream, the outline and the page tree may cost at most."""
    with apply_configuration(LIMITS):
        yield


def open_pdf(data: bytes, name: str, passwords: Sequence[str]) -> PdfReader:
    """Raises ``LoadError`` if it is no PDF, ``EncryptedFile`` if no password opens it."""
    try:
        reader = PdfReader(BytesIO(data), strict=False)
        if reader.is_encrypted:
            _decrypt(reader, name, passwords)
    except DependencyError as exc:
        raise EncryptedFile(
            f"{name} is encrypted in a way that cannot be opened ({exc}).", path=name
        ) from exc
    except LoadError:
        raise
    except RecursionError as exc:
        raise LoadError(
            f"{name} is a damaged PDF (its objects refer to each other in a circle).", path=name
        ) from exc
    except (
        PyPdfError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        AssertionError,
        OSError,
    ) as exc:
        reason = " ".join(str(exc).split())[:160] or type(exc).__name__
        raise LoadError(
            f"{name} is a damaged PDF ({reason}); open it in a PDF viewer and save it anew.", path=name
        ) from exc
    return reader


def _decrypt(reader: PdfReader, name: str, passwords: Sequence[str]) -> None:
    for password in ("", *passwords):
        for form in dict.fromkeys((password, _saslprep(password))):
            if reader.decrypt(form) is not PasswordType.NOT_DECRYPTED:
                return
    tried = "none of the given passwords opens it" if passwords else "no password was given"
    raise EncryptedFile(
        f"{name} is encrypted and {tried}; write its password on a line of a file and name that with "
        "--password-file.",
        path=name,
    )


def _saslprep(password: str) -> str:
    """The form of a password that newer encryption hashes (RFC 4013, without its prohibitions)."""
    mapped = "".join(
        " " if stringprep.in_table_c12(char) else char
        for char in password
        if not stringprep.in_table_b1(char)
    )
    return unicodedata.normalize("NFKC", mapped)


def page_count(reader: PdfReader, name: str) -> int:
    """Raises ``LoadError`` if the page tree cannot be walked."""
    try:
        return len(reader.pages)
    except RecursionError as exc:
        raise LoadError(f"{name} is a damaged PDF (its page tree is a circle).", path=name) from exc
    except Exception as exc:  # parsers of hostile files raise anything at all
        reason = " ".join(str(exc).split())[:160] or type(exc).__name__
        raise LoadError(
            f"{name} is a damaged PDF (no page can be found: {reason}); open it in a PDF viewer and save it anew.",
            path=name,
        ) from exc


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
