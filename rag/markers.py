"""Markers in an answer, "[1]", and its sentences as a model writes them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from rag.core.text import sentence_spans

MARKER: Final = re.compile(
    r"[ \t]*(?:\[|【)\s*(?:\^|(?:sources?|passages?|documents?|quellen?)[ \t]*)?(\d{1,3}(?:\s*(?:,|;|–|-|and|&)\s*\d{1,3})*)\s*(?:†[^\]】]{0,40})?(?:\]|】)(?!\()",
    re.IGNORECASE,
)
_AFTER_STOP = re.compile(r"([.!?…。！？]+[\"'”’»)]*)((?:" + MARKER.pattern + r")+)", re.IGNORECASE)
_LINE_START = re.compile(r"\n(?=[ \t]*(?:[-*+•][ \t]|\d{1,3}[.)][ \t]|#{1,6}[ \t]|\|))")
_AFFIRMATION = re.compile(r"(?:yes|no|ja|nein|oui|non|sí)\s*[.!,:]?$", re.IGNORECASE)


def marker_numbers(text: str) -> list[int]:
    """The numbers that markers in the text name, ranges expanded, each once, in order."""
    numbers: dict[int, None] = {}
    for match in MARKER.finditer(text):
        for part in re.split(r"\s*(?:,|;|and|&)\s*", match.group(1)):
            first, _, last = re.sub(r"\s", "", part.replace("–", "-")).partition("-")
            upper = int(last) if last else int(first)
            for number in range(int(first), min(upper, int(first) + 20) + 1):
                numbers.setdefault(number)
    return list(numbers)


def strip_markers(text: str) -> str:
    return MARKER.sub("", text)


def with_markers(text: str, markers: Sequence[int]) -> str:
    """Puts markers before the full stop, "… five days [1].", and behind a closing quotation mark."""
    if not markers:
        return text
    shown = "".join(f"[{number}]" for number in markers)
    match = re.search(r"[.!?…:;]+[)*_]*$", text)
    at = match.start() if match else len(text)
    return f"{text[:at].rstrip()} {shown}{text[at:]}"


def answer_sentences(text: str) -> list[str]:
    """Sentences of an answer as written. Markers that follow a full stop belong to the sentence before; one
    that starts a line begins with "\\n"; a bare "Yes." goes with what follows."""
    tidy = _AFTER_STOP.sub(lambda match: f"{match.group(2)}{match.group(1)}", text)
    found: list[str] = []
    carried = ""
    for number, line in enumerate(_blocks(tidy)):
        for index, (start, end) in enumerate(sentence_spans(line)):
            piece = line[start:end]
            bare = strip_markers(piece).strip(" .")
            if not bare and found:  # markers alone
                found[-1] += piece.rstrip(".")
                continue
            if _AFFIRMATION.match(piece):
                carried += piece + " "
                continue
            lead = "\n" if index == 0 and number > 0 else ""
            found.append(lead + carried + piece)
            carried = ""
    if carried:
        found.append(carried.strip())
    return found


def _blocks(text: str) -> list[str]:
    blocks = []
    for paragraph in re.split(r"\n[ \t]*\n", text):
        blocks += [line for line in _LINE_START.split(paragraph) if line.strip()]
    return blocks


class SentenceStream:
    """Cuts a stream of deltas into sentences. A sentence is let go once the next one has begun, since its
    markers may follow the full stop."""

    def __init__(self) -> None:
        self._buffer = ""
        self._n_released = 0

    def feed(self, delta: str) -> list[str]:
        self._buffer += delta
        return self._release(final=False)

    def close(self) -> list[str]:
        return self._release(final=True)

    def _release(self, *, final: bool) -> list[str]:
        sentences = answer_sentences(self._buffer)
        if not final:
            if sentences and not re.search(r"\w", MARKER.sub("", _tail(sentences[-1]))):
                return []
            sentences = sentences[:-1]
        new = sentences[self._n_released :]
        self._n_released += len(new)
        return new


def _tail(sentence: str) -> str:
    """A started sentence, less a marker that is still being written."""
    return re.sub(r"[\[【][^\]】]*$", "", sentence)
