"""Keys, tokens and passwords in a text: by the prefix that their issuers give them, or by a label before them."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

# Prefixes as the issuers document them.
_ISSUED: Final = re.compile(
    r"(?<![A-Za-z0-9_-])(?:"
    r"sk-(?:ant-|proj-|or-|svcacct-)?[A-Za-z0-9_-]{16,}"  # OpenAI, Anthropic, OpenRouter
    r"|(?:sk|pk|rk)_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9]{16,}"  # Stripe
    r"|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{22,}|glpat-[A-Za-z0-9_-]{20,}"
    r"|(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16}"
    r"|AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_-]{20,}"
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,}"
    r"|hf_[A-Za-z0-9]{30,}|npm_[A-Za-z0-9]{36}|pypi-AgE[A-Za-z0-9_-]{40,}|dop_v1_[a-f0-9]{64}"
    r"|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"
    r"|eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"  # JSON web token
    r")(?![A-Za-z0-9])"
)
_PRIVATE_KEY: Final = re.compile(
    r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:.*?-----END (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----|[A-Za-z0-9+/=\s\\]*)",
    re.DOTALL,
)
_VALUE: Final = r"([^\s\"'`<>(){}\[\],;|]{8,512})"
_LABELLED: Final = re.compile(
    r"(?<![A-Za-z])(?:api|access|secret|private|auth|client|account|signing|encryption|master)?[ _-]?"
    r"(?:key|token|secret|credential)s?(?:[ _-]?id)?[\"'`*]{0,3}[ \t]{0,3}(?:=>|:=|=|:|\bis\b|\blautet\b)[ \t]{0,3}[\"'`*]{0,3}"
    + _VALUE.replace("|]", "|&]"),
    re.IGNORECASE,
)
_PASSWORD: Final = re.compile(
    r"(?<![A-Za-z])(?:password|passwd|passphrase|pwd|passwort|kennwort|mot de passe|contraseña)[\"'`*]{0,3}[ \t]{0,3}(?:=>|:=|=|:|\bis\b|\blautet\b)[ \t]{0,3}[\"'`*]{0,3}"
    + _VALUE,
    re.IGNORECASE,
)
_BEARER: Final = re.compile(r"\b(?:Bearer|Basic|Token)[ \t]+([A-Za-z0-9._~+/=-]{16,})")
_IN_URL: Final = re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@]{0,64}:([^\s/@\"'<>\[\]]{3,128})@")
_RANDOM_BITS: Final = 3.0
"""Entropy of a character: words have less, a random string of 16 has more."""
_JUMPS: Final = 3
"""Changes between digits, small and capital letters: "settings.key_v2" has one, a random string many."""


def secrets(text: str) -> Iterator[tuple[int, int]]:
    yield from (match.span() for match in _PRIVATE_KEY.finditer(text))
    yield from (match.span() for match in _ISSUED.finditer(text))
    for pattern, is_secret in (
        (_LABELLED, _is_random),
        (_BEARER, _is_random),
        (_PASSWORD, _is_password),
        (_IN_URL, _is_filled_in),
    ):
        for match in pattern.finditer(text):
            start, end = match.span(1)
            while end > start and text[end - 1] in ".!?:*_":  # the end of the sentence, or of bold type
                end -= 1
            if is_secret(text[start:end]):
                yield start, end


def _is_random(value: str) -> bool:
    return (
        len(value) >= 12
        and any(char.isdigit() for char in value)
        and any(char.isalpha() for char in value)
        and _is_filled_in(value)
        and _bits(value) >= _RANDOM_BITS
        and _jumps(value) >= _JUMPS
        and "://" not in value
    )


def _is_password(value: str) -> bool:
    letters = {char.islower() for char in value if char.isalpha()}
    others = any(not char.isalnum() for char in value)
    return any(char.isdigit() for char in value) and (len(letters) == 2 or others) and _is_filled_in(value)


def _is_filled_in(value: str) -> bool:
    """No name of a variable and no row of the same sign stands in for it."""
    return not re.match(r"[$%]|x{3,}|\*{3,}|\.{3,}|your[_-]", value, re.IGNORECASE)


def _bits(value: str) -> float:
    counts = Counter(value).values()
    return -sum(n / len(value) * math.log2(n / len(value)) for n in counts)


def _jumps(value: str) -> int:
    classes = ["d" if char.isdigit() else "l" if char.islower() else "u" for char in value if char.isalnum()]
    return sum(one != following for one, following in pairwise(classes))
