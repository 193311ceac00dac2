from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.loaders.registry import LOADERS, load_bytes, loader_for
from rag.core.errors import LoadError, NoText
from rag.core.types import LoadedDocument
from tests.ingest.loaders.test_archive import packed

TEXTS = [
    "csv",
    "tsv",
    "json",
    "jsonl",
    "ipynb",
    "html",
    "xml",
    "rss",
    "md",
    "rst",
    "vtt",
    "eml",
    "rtf",
    "txt",
    "py",
]
TEXTS += ["js", "toml"]
ENDINGS = [*TEXTS, "zip", "epub", "msg", "xls", "pdf", "docx", "pptx", "odt"]
PIECES = [
    b"%PDF-1.7\n", b"{\\rtf1 ", b"\\u8364 ?", b"\\cell ", b"\\row ", b"{", b"}", b"<html><body>", b"<table><tr><td rowspan=3>",
    b"</td>", b"<li>", b"<rss><channel><item><title>", b"<?xml version='1.0'?>", b"WEBVTT\n\n", b"00:01.000 --> 00:02.000\n",
    b"From: a@b.c\nSubject: x\nContent-Type: multipart/mixed; boundary=b\n\n", b"\n--b\n", b"```\n", b"# Title\n", b"Title\n=====\n",
    b".. note:: x\n", b"   y\n", b"::\n\n", b"- item\n", b"+---+\n| a |\n+---+\n", b"a,b\n", b'"', b'{"a": [1, ', b'{"cells": [{"source": "x"}]}',
    b"[", b"]", b"\n", b"\r\n", b"\r", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", "Größe ".encode("cp1252"), "日本 ".encode(), b"\xed\xa0\x80",
    b"word ", b"def f():\n    pass\n", b"class A {\n", b"\f", b"| a | b |\n|---|---|\n", b"> quote\n", b"<!-- c -->", b"\\", b"---\n", b"\t",
]  # fmt: skip


def check(loaded: LoadedDocument) -> None:
    assert loaded.text.strip() and loaded.blocks
    end = 0
    for block in loaded.blocks:
        assert end <= block.start < block.end <= len(loaded.text), "blocks are ordered and do not overlap"
        end = block.end
    loaded.text.encode("utf-8")
    assert "\x00" not in loaded.text
    assert loaded.title is None or (loaded.title.strip() and "\n" not in loaded.title)


@settings(max_examples=300)
@given(
    ending=st.sampled_from(ENDINGS),
    pieces=st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=8)), max_size=30),
)
def test_any_bytes_under_any_name_are_read_or_refused_in_one_sentence(
    ending: str, pieces: list[bytes]
) -> None:
    name = f"folder/a.{ending}"
    try:
        check(load_bytes(b"".join(pieces), Path(name), name=name))
    except LoadError as exc:
        assert "\n" not in str(exc) and str(exc).rstrip().endswith((".", "…", ")"))
        foreseen = ending not in TEXTS or b"%PDF-" in pieces or "cannot be read as" not in str(exc)
        assert foreseen, "a parser stumbled over something it should foresee"


@settings(max_examples=60)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=12), st.sampled_from(ENDINGS))
def test_any_bytes_in_an_archive(pieces: list[bytes], ending: str) -> None:
    try:
        check(
            load_bytes(
                packed({f"a.{ending}": b"".join(pieces), "b.txt": b"words"}), Path("a.zip"), name="a.zip"
            )
        )
    except LoadError as exc:
        assert "a.zip" in str(exc)


def test_every_media_type_names_a_loader_that_is_there() -> None:
    for media_type, place in LOADERS.items():
        module, _, name = place.partition(":")
        if find_spec(f"ingest.loaders.{module}") is None:
            pytest.skip(f"{module} is not written yet")
        assert callable(loader_for(media_type).load), name


def test_nothing_is_an_error_of_its_own() -> None:
    with pytest.raises(NoText, match=r"a\.txt is empty \(0 bytes\)"):
        load_bytes(b"", Path("a.txt"), name="a.txt")
    with pytest.raises(NoText, match=r"a\.txt holds no text"):
        load_bytes(b" \n ", Path("a.txt"), name="a.txt")


def test_a_parsers_own_complaint_becomes_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> LoadedDocument:
        raise KeyError("several\nlines")

    monkeypatch.setattr(loader_for("text/plain"), "load", fail, raising=False)
    with pytest.raises(
        LoadError, match=r"a\.txt cannot be read as text/plain \('several.*lines'\); it may be damaged"
    ):
        load_bytes(b"words", Path("a.txt"), name="a.txt")


def test_what_no_store_can_keep_is_replaced_at_the_same_length() -> None:
    loaded = load_bytes(b'{"a": "x\\ud800y\\u0000z"}', Path("a.json"), name="a.json")
    assert "x�y�z" in loaded.text
