from __future__ import annotations

import pytest

from ingest.loaders.detect import detect
from rag.core.errors import LoadError, UnsupportedFormat
from tests.ingest.loaders.test_archive import packed


@pytest.mark.parametrize(
    ("name", "data", "media_type"),
    [
        ("a.txt", b"%PDF-1.7 ...", "application/pdf"),
        ("a.doc", b"{\\rtf1 words}", "application/rtf"),
        ("a.doc", b"<html><body>words", "text/html"),
        ("a", b"WEBVTT\n\n00:00.000 --> 00:01.000\nHi", "text/vtt"),
        ("a", b"From: a\nTo: b\nSubject: c\n\nHi", "message/rfc822"),
        ("a.xml", b"<?xml version='1.0'?><rss version='2.0'>", "application/rss+xml"),
        ("a.xml", b"<?xml version='1.0'?><book/>", "text/plain"),
        ("a.html", "<p>Grüße</p>".encode("utf-16-le"), "text/html"),
        ("a.md", b"# A\n<html>", "text/markdown"),
        ("Makefile", b"all:\n\tcc", "text/x-source"),
        ("a.py", b"import os", "text/x-source"),
        ("a.unknown", b"words", "text/plain"),
        ("a.txt", b"BMW is a maker of cars", "text/plain"),
        ("a.docx", packed({"word/document.xml": b"x"}), "docx"),
        ("a.zip", packed({"xl/workbook.xml": b"x"}), "sheet"),
        ("a", packed({"META-INF/container.xml": b"x"}), "application/epub+zip"),
        ("a.docx", packed({"a.txt": b"x"}), "application/zip"),
    ],
)
def test_content_comes_first_and_the_name_second(name: str, data: bytes, media_type: str) -> None:
    found = detect(name, data)
    full = {
        "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "sheet": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    }
    assert found == full.get(media_type, media_type)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0", "a picture"),
        (b"\x7fELF\x02\x01\x01\0\0\0", "a program"),
        (b"\0\0\0\x18ftypmp42\0\0", "a video"),
        (bytes(range(256)), "a binary file of an unknown kind"),
        (b"<svg xmlns='x'/>", "a picture (SVG)"),
    ],
)
def test_what_is_no_document_is_named(data: bytes, what: str) -> None:
    with pytest.raises(UnsupportedFormat) as caught:
        detect("x.dat", data)
    assert str(caught.value).startswith(f"x.dat is {what}")


def test_a_damaged_archive_is_one_sentence() -> None:
    with pytest.raises(LoadError, match=r"a\.docx is a damaged archive"):
        detect("a.docx", b"PK\x03\x04 and no more")
