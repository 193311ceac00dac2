"""Opening a PDF: passwords, damaged tables of objects, limits against hostile files."""

from __future__ import annotations

import logging
import re
import stringprep
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO

from pypdf import Configuration, PasswordType, PdfReader, apply_configuration
from pypdf.errors import DependencyError

from rag.core.errors import EncryptedFile, LoadError

# Whatever is wrong with a file is said in its warnings or its LoadError.
logging.getLogger("pypdf").setLevel(logging.CRITICAL + 1)

MAX_PAGES = 5_000
_CATALOG = re.compile(
    rb"(\d{1,9})\s+(\d{1,5})\s+obj\s*<<(?:[^<>]|<<[^<>]*>>|<[^<>]*>){0,400}?/Type\s*/Catalog\b"
)
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


@contextmanager
def limits() -> Iterator[None]:
    """What one stream, the outline and the page tree may cost at most."""
    with apply_configuration(LIMITS):
        yield


def open_pdf(data: bytes, name: str, passwords: Sequence[str]) -> tuple[PdfReader, int]:
    """(reader, number of pages). Raises ``LoadError`` if it is no PDF, ``EncryptedFile`` if nothing opens it."""
    try:
        return _open(data, name, passwords)
    except LoadError:
        raise
    except RecursionError as exc:
        raise LoadError(
            f"{name} is a damaged PDF (its objects refer to each other in a circle).", path=name
        ) from exc
    except MemoryError:
        raise
    except Exception as exc:  # parsers of hostile files raise anything at all
        try:
            return _open(_with_new_end(data), name, passwords)
        except LoadError:
            raise
        except Exception:
            reason = " ".join(str(exc).split())[:160] or type(exc).__name__
            raise LoadError(
                f"{name} is a damaged PDF ({reason}); open it in a PDF viewer and save it anew.", path=name
            ) from exc


def _open(data: bytes, name: str, passwords: Sequence[str]) -> tuple[PdfReader, int]:
    try:
        reader = PdfReader(BytesIO(data), strict=False)
        if reader.is_encrypted:
            _decrypt(reader, name, passwords)
    except DependencyError as exc:
        raise EncryptedFile(
            f"{name} is encrypted in a way that cannot be opened ({exc}).", path=name
        ) from exc
    n_pages = len(reader.pages)
    if not n_pages:
        raise ValueError("it has no pages")
    return reader, n_pages


def _with_new_end(data: bytes) -> bytes:
    """An end that makes the reader look for the objects themselves, instead of a damaged table of them."""
    catalogs = _CATALOG.findall(data)
    trailer = b""
    if catalogs and b"/Encrypt" not in data:
        trailer = b"trailer\n<</Root %s %s R>>\n" % catalogs[-1]
    return data + b"\nendobj\n" + trailer + b"startxref\n0\n%%EOF\n"


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
