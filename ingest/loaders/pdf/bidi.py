"""Right-to-left text: glyphs stand on a page as they are seen, a text holds them as they are read."""

from __future__ import annotations

import re
import unicodedata

_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]")
_FORMS = re.compile("[\ufb00-\ufb06\ufb1d-\ufdfb\ufe70-\ufefc]")
_MIRROR = str.maketrans("()[]{}<>«»", ")(][}{><»«")
# Latin words keep their spaces, numbers only what stands inside a number.
_LEFT_TO_RIGHT = re.compile(r"L(?:[LNSWO]*[LN])?|N(?:S*N)*")
_RUN_OF_RIGHT = re.compile(r"R(?:[RWSON]*R)?")


def is_right_to_left(text: str) -> bool:
    """Whether most of its letters are."""
    n_right = len(_RIGHT_TO_LEFT.findall(text))
    return n_right > 0 and 2 * n_right >= sum(char.isalpha() for char in text)


def logical(seen: str) -> str:
    """The order in which a line is read, from the order in which its glyphs stand from left to right."""
    if not _RIGHT_TO_LEFT.search(seen):
        return _plain_forms(seen)
    clusters: list[str] = []
    for char in seen:
        if clusters and unicodedata.combining(char):
            clusters[-1] += char
        else:
            clusters.append(char)
    if is_right_to_left(seen):
        clusters.reverse()
        kinds = "".join(map(_kind, clusters))
        for run in _LEFT_TO_RIGHT.finditer(kinds):
            clusters[run.start() : run.end()] = clusters[run.start() : run.end()][::-1]
        text = "".join(clusters)
        opening, closing = text.find("("), text.find(")")
        if -1 < closing < opening or (opening < 0 <= closing and closing < len(text) // 2):
            text = text.translate(_MIRROR)
    else:
        kinds = "".join(map(_kind, clusters))
        for run in _RUN_OF_RIGHT.finditer(kinds):
            clusters[run.start() : run.end()] = clusters[run.start() : run.end()][::-1]
        text = "".join(clusters)
    return _plain_forms(text)


def _kind(cluster: str) -> str:
    char = cluster[0]
    if _RIGHT_TO_LEFT.match(char) and unicodedata.bidirectional(char) in ("R", "AL"):
        return "R"
    if char.isdigit():
        return "N"
    if char.isalpha():
        return "L"
    if char.isspace():
        return "W"
    return "S" if char in ".,:/-%٫٬" else "O"


def _plain_forms(text: str) -> str:
    """Ligatures and the shapes letters take inside a word, as the letters themselves."""
    return _FORMS.sub(lambda match: unicodedata.normalize("NFKC", match.group()), text)
