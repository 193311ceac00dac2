from __future__ import annotations

from pathlib import Path

import pytest

from ingest.loaders.vtt import VttLoader
from rag.core.errors import NoText
from rag.core.types import LoadedDocument


def load(text: str) -> LoadedDocument:
    return VttLoader().load(Path("a.vtt"), text.encode())


def test_speakers_times_and_pauses() -> None:
    loaded = load(
        "WEBVTT - Stand-up\n\nNOTE not said\n\nSTYLE\n::cue {}\n\n1\n00:01.000 --> 00:02.000 align:start\n"
        "<v Ada>Oil &amp; <i>water</i>\n\n00:02.000 --> 00:03.000\n<v Ada>do not mix.\n\n"
        "00:03.500 --> 00:04.000\n<v Bob>Why?\n\n01:00:00.000 --> 01:00:01.000\n<v Bob>Later.\n"
    )
    assert loaded.text == (
        "[00:00:01] **Ada:** Oil & water do not mix.\n\n[00:00:03] **Bob:** Why?\n\n[01:00:00] **Bob:** Later."
    )
    assert loaded.title == "Stand-up"


def test_subrip_and_rolling_captions() -> None:
    text = "1\r\n00:00:01,000 --> 00:00:02,000\r\nHello\r\n\r\n2\r\n00:00:02,000 --> 00:00:03,000\r\nHello\r\nworld\r\n"
    assert load(text).text == "[00:00:01] Hello Hello world"


def test_a_repeated_line_is_said_once() -> None:
    cues = "".join(f"00:0{n}.000 --> 00:0{n + 1}.000\nStill here\n\n" for n in range(3))
    assert load("WEBVTT\n\n" + cues).text == "[00:00:00] Still here"


def test_nothing_said() -> None:
    with pytest.raises(NoText, match="no subtitles"):
        load("WEBVTT\n\nNOTE only this\n")
