from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.llm.rate_headers import RateLimitInfo, duration_s, rate_limits, retry_after_s


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("6m0s", 360), ("1s", 1), ("20ms", 0.02), ("1h2m3.5s", 3723.5), ("7.66s", 7.66), ("2m", 120), ("1d", 86400),
     ("100µs", 0.0001), ("12", 12), ("0", 0), ("0s", 0)],
)  # fmt: skip
def test_a_duration_of_any_spelling(text: str, seconds: float) -> None:
    assert duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "soon", "-1", "1x", "nan", "inf", "5s1m", "s"])
def test_what_is_no_duration(text: str) -> None:
    assert duration_s(text) is None


def test_a_time_of_day_is_counted_from_now() -> None:
    when = datetime.now(UTC) + timedelta(seconds=30)
    for text in (when.isoformat(), f"{when.timestamp():.0f}", f"{when.timestamp() * 1000:.0f}"):
        assert 28 < (duration_s(text) or 0) <= 31
    assert duration_s("2001-01-01T00:00:00Z") == 0


def test_what_openai_says() -> None:
    headers = {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-limit-tokens": "150000",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-remaining-tokens": "149984",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-reset-tokens": "6m0s",
    }
    assert rate_limits(headers, 200) == RateLimitInfo(200, 60, 150000, 59, 149984, 1.0, 360.0, None)


def test_a_reply_that_says_nothing_of_limits() -> None:
    assert rate_limits({"content-type": "text/plain"}, 200) is None


def test_retry_after_in_all_its_forms() -> None:
    assert retry_after_s({"retry-after": "7"}) == 7
    assert retry_after_s({"retry-after": "2", "retry-after-ms": "1500"}) == 1.5
    assert 8 < (retry_after_s({"retry-after": formatdate(time.time() + 10, usegmt=True)}) or 0) <= 10
    assert retry_after_s({"retry-after": "soon"}) is None
    assert retry_after_s({"retry-after": "9" * 400}) == 30 * 86400


@given(st.dictionaries(st.sampled_from(
    ["retry-after", "retry-after-ms", *(f"x-ratelimit-{a}-{b}" for a in ("limit", "remaining", "reset") for b in ("requests", "tokens"))]
), st.text(max_size=30) | st.from_regex(r"[0-9]{1,40}(\.[0-9]+)?(ms|s|m|h|d)?", fullmatch=True)))  # fmt: skip
def test_nothing_that_a_server_says_is_an_error_or_a_wait_without_end(headers: dict[str, str]) -> None:
    info = rate_limits(headers, 429)
    for seconds in (info.retry_after_s, info.reset_requests_s, info.reset_tokens_s) if info else ():
        assert seconds is None or 0 <= seconds <= 30 * 86400
