"""What kind of file it is: by content first, by name second."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import PurePosixPath

from ingest.loaders.text import utf16_without_mark
from rag.core.errors import LoadError, UnsupportedFormat

_OOXML = "application/vnd.openxmlformats-officedocument."
_SUFFIXES = {
    **dict.fromkeys((".md", ".markdown", ".mdx", ".mkd"), "text/markdown"),
    **dict.fromkeys((".html", ".htm", ".xhtml"), "text/html"),
    **dict.fromkeys((".csv",), "text/csv"),
    **dict.fromkeys((".tsv", ".tab"), "text/tab-separated-values"),
    **dict.fromkeys((".jsonl", ".ndjson"), "application/jsonl"),
    **dict.fromkeys((".rst", ".rest"), "text/x-rst"),
    **dict.fromkeys((".vtt", ".srt"), "text/vtt"),
    **dict.fromkeys((".eml",), "message/rfc822"),
    **dict.fromkeys((".rss", ".atom"), "application/rss+xml"),
    ".json": "application/json",
    ".ipynb": "application/x-ipynb+json",
}
_CODE = frozenset(
    [
        ".py",
        ".pyi",
        ".js",
        ".mjs",
        ".cjs",
        ".ts",
        ".tsx",
        ".jsx",
        ".java",
        ".kt",
        ".kts",
        ".scala",
        ".go",
        ".rs",
        ".c",
        ".h",
        ".cc",
        ".cpp",
        ".cxx",
        ".hpp",
        ".hh",
        ".cs",
        ".swift",
        ".rb",
        ".php",
        ".pl",
        ".pm",
        ".lua",
        ".r",
        ".jl",
        ".sh",
        ".bash",
        ".zsh",
        ".fish",
        ".ps1",
        ".bat",
        ".sql",
        ".css",
        ".scss",
        ".sass",
        ".less",
        ".vue",
        ".svelte",
        ".dart",
        ".ex",
        ".exs",
        ".erl",
        ".hs",
        ".ml",
        ".mli",
        ".fs",
        ".clj",
        ".cljs",
        ".lisp",
        ".el",
        ".scm",
        ".tcl",
        ".vb",
        ".asm",
        ".s",
        ".m",
        ".mm",
        ".proto",
        ".graphql",
        ".tf",
        ".hcl",
        ".gradle",
        ".cmake",
        ".mk",
        ".dockerfile",
        ".nix",
        ".zig",
        ".nim",
        ".d",
        ".pas",
        ".f90",
        ".f",
        ".cob",
        ".toml",
        ".yaml",
        ".yml",
        ".ini",
        ".cfg",
        ".conf",
        ".env",
        ".properties",
    ]
)
_MAGIC = (
    (b"\x89PNG", "a picture (PNG)"),
    (b"\xff\xd8\xff", "a picture (JPEG)"),
    (b"GIF8", "a picture (GIF)"),
    (b"BM", "a picture (BMP)"),
    (b"II*\x00", "a picture (TIFF)"),
    (b"MM\x00*", "a picture (TIFF)"),
    (b"\x00\x00\x01\x00", "an icon"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"\xca\xfe\xba\xbe", "a program"),
    (b"\xcf\xfa\xed\xfe", "a program"),
    (b"OggS", "a sound file"),
    (b"ID3", "a sound file"),
    (b"fLaC", "a sound file"),
    (b"RIFF", "a sound, picture or video file"),
    (b"\x1a\x45\xdf\xa3", "a video"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"SQLite format 3", "a database"),
    (b"wOFF", "a font"),
    (b"wOF2", "a font"),
)
_HTML = re.compile(rb"<!doctype\s+html|<html[\s>]|<head[\s>]|<body[\s>]", re.IGNORECASE)
_FEED = re.compile(rb"<rss[\s>]|<feed[\s>]|<rdf:RDF[\s>]", re.IGNORECASE)
_MAIL = re.compile(
    rb"(?:^|\n)(?:From|To|Subject|Date|Message-ID|MIME-Version|Received|Return-Path):", re.IGNORECASE
)


def detect(name: str, data: bytes) -> str:
    """The media type. Raises ``UnsupportedFormat`` for what is no document, naming what it is."""
    head = data[:4096]
    suffix = PurePosixPath(name).suffix.lower()
    start = head.lstrip()
    if b"%PDF-" in data[:1024]:
        return "application/pdf"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip(name, data)
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return _ole(name, data, suffix)
    if start.startswith(b"{\\rtf"):
        return "application/rtf"
    for magic, kind in _MAGIC:
        if head.startswith(magic) and _binary(head):
            raise UnsupportedFormat(f"{name} is {kind}, which holds no text to search.", path=name)
    if head[4:8] == b"ftyp":
        raise UnsupportedFormat(f"{name} is a video, which holds no text to search.", path=name)
    if _binary(head):
        raise UnsupportedFormat(f"{name} is a binary file of an unknown kind; it is left out.", path=name)
    return _text(suffix, PurePosixPath(name).name.lower(), head, start)


def _text(suffix: str, name: str, head: bytes, start: bytes) -> str:
    if start.startswith((b"WEBVTT", b"\xef\xbb\xbfWEBVTT")):
        return "text/vtt"
    if suffix in (".xml", ".rss", ".atom") and _FEED.search(head):
        return "application/rss+xml"
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix]
    if suffix in _CODE or name in ("makefile", "dockerfile", "jenkinsfile", "rakefile", "gemfile"):
        return "text/x-source"
    if suffix == ".svg" or (start.startswith(b"<svg") and suffix != ".txt"):
        raise UnsupportedFormat(f"{name} is a picture (SVG), which holds no text to search.", path=name)
    if _HTML.search(head[:2048]) and suffix not in (".txt", ".text", ".log"):
        return "text/html"
    if start.startswith(b"<?xml"):
        return "application/rss+xml" if _FEED.search(head) else "text/plain"
    if suffix == "" and len(_MAIL.findall(head)) >= 3:
        return "message/rfc822"
    return "text/plain"


def _binary(head: bytes) -> bool:
    if head.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")):
        return False
    if b"\x00" not in head:
        controls = sum(byte < 9 or 13 < byte < 27 or 27 < byte < 32 for byte in head)
        return controls > len(head) * 0.05
    return utf16_without_mark(head) is None


def _zip(name: str, data: bytes) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            # Some programs write Windows separators.
            names = {entry.replace("\\", "/") for entry in archive.namelist()}
            mimetype = (
                archive.read("mimetype")[:100].decode("ascii", "ignore").strip()
                if "mimetype" in names
                else ""
            )
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError) as exc:
        raise LoadError(f"{name} is a damaged archive ({exc}); open and save it anew.", path=name) from exc
    mimetype = mimetype.removesuffix("-template")
    if mimetype in (
        "application/epub+zip",
        "application/vnd.oasis.opendocument.text",
        "application/vnd.oasis.opendocument.presentation",
        "application/vnd.oasis.opendocument.spreadsheet",
    ):
        return mimetype
    if any(entry.startswith("word/") for entry in names):
        return _OOXML + "wordprocessingml.document"
    if any(entry.startswith("ppt/") for entry in names):
        return _OOXML + "presentationml.presentation"
    if any(entry.startswith("xl/") for entry in names):
        return _OOXML + "spreadsheetml.sheet"
    if "META-INF/container.xml" in names:
        return "application/epub+zip"
    return "application/zip"


_ENCRYPTED = {
    ".xlsx": "spreadsheetml.sheet",
    ".ppsx": "presentationml.presentation",
    ".pptm": "presentationml.presentation",
    ".xlsm": "spreadsheetml.sheet",
    ".pptx": "presentationml.presentation",
}


def _ole(name: str, data: bytes, suffix: str) -> str:
    # Stream names in the container's directory are UTF-16.
    if "__substg1.0_".encode("utf-16-le") in data:
        return "application/vnd.ms-outlook"
    if "Workbook".encode("utf-16-le") in data or "Book".encode("utf-16-le") in data:
        return "application/vnd.ms-excel"
    if "EncryptedPackage".encode("utf-16-le") in data:
        # What is inside can be seen only once it is decrypted.
        return _OOXML + _ENCRYPTED.get(suffix, "wordprocessingml.document")
    raise UnsupportedFormat(
        f"{name} is an old office document ({suffix or 'OLE'}); save it as .docx, .pptx or .pdf.", path=name
    )
