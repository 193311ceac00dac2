"""What a server's headers say of its limits: ``Retry-After`` and the ``x-ratelimit-*`` family."""

from __future__ import annotations

import email.utils
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

_DURATION: Final = re.compile(
    r"(?:(?P<d>\d+(?:\.\d+)?)d)?(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m(?!s))?"
    r"(?:(?P<s>\d+(?:\.\d+)?)s)?(?:(?P<ms>\d+(?:\.\d+)?)ms)?(?:(?P<us>\d+(?:\.\d+)?)[uµ]s)?"
)
_SECONDS: Final = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6}
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?")
_EPOCH_S: Final = 1e9
_LONGEST_S: Final = 30 * 86400.0


@dataclass(frozen=True, slots=True)
class RateLimitInfo:
    """Limits of the server at the time of one reply; None: it did not say."""

    status: int
    limit_requests: int | None = None
    limit_tokens: int | None = None
    remaining_requests: int | None = None
    remaining_tokens: int | None = None
    reset_requests_s: float | None = None
    """Seconds until all requests are allowed again."""
    reset_tokens_s: float | None = None
    retry_after_s: float | None = None


def rate_limits(headers: Mapping[str, str], status: int) -> RateLimitInfo | None:
    """None where no header says anything. Names of headers are in lower case, or looked up in any case."""
    info = RateLimitInfo(
        status,
        _count(headers, "limit-requests", "limit"),
        _count(headers, "limit-tokens"),
        _count(headers, "remaining-requests", "remaining"),
        _count(headers, "remaining-tokens"),
        _reset_s(headers, "reset-requests", "reset"),
        _reset_s(headers, "reset-tokens"),
        retry_after_s(headers),
    )
    return None if info == RateLimitInfo(status) else info


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds of a Retry-After header, which holds seconds or a date; None if there is none to be read."""
    exact = headers.get("retry-after-ms", "").strip()
    if _NUMBER.fullmatch(exact):
        return min(float(exact) / 1000, _LONGEST_S)
    value = headers.get("retry-after", "").strip()
    if _NUMBER.fullmatch(value):
        return min(float(value), _LONGEST_S)
    try:
        when = email.utils.parsedate_to_datetime(value)
        return _until(when.timestamp())
    except (ValueError, OverflowError, OSError):
        return None


def duration_s(text: str) -> float | None:
    """Seconds of ``6m0s``, ``1s``, ``20ms``, ``12``, a Unix time or an ISO date; None for anything else."""
    text = text.strip()
    if _NUMBER.fullmatch(text):
        number = float(text)
        if number >= _EPOCH_S * 1000:
            return _until(number / 1000)
        return _until(number) if number >= _EPOCH_S else min(number, _LONGEST_S)
    found = _DURATION.fullmatch(text)
    if found is not None and text:
        parts = ((unit, value) for unit, value in found.groupdict().items() if value)
        return min(sum(float(value) * _SECONDS[unit] for unit, value in parts), _LONGEST_S)
    try:
        when = datetime.fromisoformat(text)
        return _until((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return None


def _until(at_s: float) -> float:
    left_s = at_s - time.time()
    return min(max(0.0, left_s), _LONGEST_S) if math.isfinite(left_s) else 0.0


def _said(headers: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((value for name in names if (value := headers.get(f"x-ratelimit-{name}"))), None)


def _count(headers: Mapping[str, str], *names: str) -> int | None:
    value = (_said(headers, names) or "").strip()
    return int(value) if value.isascii() and value.isdigit() and len(value) < 16 else None


def _reset_s(headers: Mapping[str, str], *names: str) -> float | None:
    value = _said(headers, names)
    return None if value is None else duration_s(value)
