"""Subtitles (WebVTT, SubRip): what was said, by whom, with the time at which each part begins."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from pathlib import Path

from ingest.loaders.markdown import document_from_markdown
from ingest.loaders.markup import one_line, paragraph
from ingest.loaders.text import decode
from rag.core.errors import NoText
from rag.core.types import LoadedDocument

_TIME = re.compile(
    r"^\s*(?:(\d{1,3}):)?(\d{1,2}):(\d{2})[.,](\d{1,3})\s+-->\s+(?:(\d{1,3}):)?(\d{1,2}):(\d{2})[.,](\d{1,3})"
)
_VOICE = re.compile(r"<v(?:\.[\w.-]+)?\s+([^>]+)>")
_TAG = re.compile(r"</?[^>]{0,200}>")
_PARAGRAPH_S = 60.0
_PAUSE_S = 4.0


class VttLoader:
    media_types = ("text/vtt", "application/x-subrip")

    def load(self, path: Path, data: bytes, *, passwords: Sequence[str] = ()) -> LoadedDocument:
        text = decode(data).replace("\r\n", "\n").replace("\r", "\n")
        cues = [cue for part in re.split(r"\n[ \t]*\n", text) for cue in _cues(part)]
        if not cues:
            raise NoText(f"{path.name} has no subtitles in it.")
        head = re.match(r"\ufeff?WEBVTT[ \t]+[-–:]?[ \t]*(\S[^\n]*)", text)
        return document_from_markdown(
            "\n\n".join(_paragraphs(cues)), "text/vtt", title=one_line(head.group(1)) if head else None
        )


def _cues(part: str) -> list[tuple[float, float, str, str]]:
    """(start in s, end in s, speaker, text) of the cue or cues in a block."""
    lines = part.split("\n")
    at = next((n for n, line in enumerate(lines) if _TIME.match(line)), None)
    if at is None or lines[0].startswith(("NOTE", "STYLE", "REGION")):
        return []
    match = _TIME.match(lines[at])
    assert match is not None
    start, end = _seconds(match.groups()[:4]), _seconds(match.groups()[4:])
    found: list[tuple[float, float, str, str]] = []
    speaker = ""
    for line in lines[at + 1 :]:
        voice = _VOICE.search(line)
        if voice:
            speaker = html.unescape(voice.group(1)).strip()
        said = one_line(html.unescape(_TAG.sub("", line)))
        if not said:
            continue
        if found and found[-1][2] == speaker:
            found[-1] = (start, end, speaker, f"{found[-1][3]} {said}")
        else:
            found.append((start, end, speaker, said))
    return found


def _paragraphs(cues: list[tuple[float, float, str, str]]) -> list[str]:
    """Cues of one speaker are joined until a pause or a minute is over; rolling repetitions are dropped."""
    found: list[str] = []
    words: list[str] = []
    began, ended, who = cues[0][0], cues[0][0], cues[0][2]
    for start, end, speaker, said in [*cues, (float("inf"), 0.0, "", "")]:
        if words and (speaker != who or start - ended > _PAUSE_S or start - began > _PARAGRAPH_S):
            name = f"**{who}:** " if who else ""
            found.append(paragraph(f"[{_clock(began)}] {name}{' '.join(words)}"))
            words = []
        if not words:
            began, who = start, speaker
        ended = end
        if said and (not words or words[-1] != said):
            words.append(said)
    return found


def _seconds(groups: Sequence[str | None]) -> float:
    hours, minutes, seconds, fraction = (value or "0" for value in groups)
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds) + float(f"0.{fraction}")


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600:02}:{whole % 3600 // 60:02}:{whole % 60:02}"
