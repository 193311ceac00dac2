from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from rag.core.errors import SettingsError
from rag.core.types import Usage
from rag.llm.models import _TABLE, lookup


@pytest.mark.parametrize(
    ("name", "window"),
    [
        ("gpt-4o-mini", 128_000),
        ("gpt-4o-mini-2024-07-18", 128_000),
        ("openai/GPT-4o", 128_000),
        ("gpt-4.1-nano", 1_047_576),
        ("gpt-4", 8_192),
    ],
)
def test_a_model_is_found_under_the_names_it_goes_by(name: str, window: int) -> None:
    assert lookup(name).context_tokens == window
    assert lookup(name).is_known


def test_the_longest_pattern_counts() -> None:
    assert (lookup("gpt-4o").usd_input, lookup("gpt-4o-mini").usd_input) == (2.5, 0.15)


def test_an_unknown_model_costs_nothing_and_says_that_it_is_unknown() -> None:
    info = lookup("never-heard-of")
    assert (info.is_known, info.context_tokens, info.cost_usd(Usage(1000, 1000))) == (False, 8192, 0.0)


def test_cached_tokens_have_their_own_price() -> None:
    cost = lookup("gpt-4o-mini").cost_usd(Usage(1_000_000, 1_000_000, cached_tokens=400_000))
    assert cost == pytest.approx(0.6 * 0.15 + 0.4 * 0.075 + 0.6)


def test_the_users_file_goes_first_field_by_field_and_adds(tmp_path: Path) -> None:
    file = tmp_path / "models.toml"
    file.write_text('[models."gpt-4o*"]\nusd_input = 1\n[models."ours"]\nusd_output = 7\n')
    mini = lookup("gpt-4o-mini", file)
    assert (mini.usd_input, mini.usd_output, mini.context_tokens) == (1, 0.6, 128_000)
    assert lookup("ours", file).cost_usd(Usage(0, 1_000_000)) == 7.0
    assert lookup("gpt-4.1", file) == lookup("gpt-4.1")


def test_the_whole_name_goes_before_its_last_part(tmp_path: Path) -> None:
    file = tmp_path / "models.toml"
    file.write_text('[models."gpt-4o"]\nusd_input = 1\n[models."here/gpt-4o"]\nusd_input = 0\n')
    assert [lookup(name, file).usd_input for name in ("there/gpt-4o", "here/gpt-4o")] == [1, 0]


@pytest.mark.parametrize(
    ("name", "window", "usd_output"),
    [
        ("gpt-5", 272_000, 10.0),
        ("gpt-5-mini-2025-08-07", 272_000, 2.0),
        ("gpt-4o-2024-05-13", 128_000, 15.0),
        ("gpt-4-0125-preview", 128_000, 30.0),
        ("gpt-35-turbo", 16_385, 1.5),
        ("ft:gpt-4o-mini-2024-07-18:us::a1", 128_000, 1.2),
        ("o1", 200_000, 60.0),
        ("o4-mini-2025-04-16", 200_000, 4.4),
        ("anthropic/claude-3.5-sonnet", 200_000, 15.0),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", 200_000, 5.0),
        ("claude-opus-4-20250514", 200_000, 75.0),
        ("claude-opus-4-5-20251101", 200_000, 25.0),
        ("google/gemini-2.5-flash-lite", 1_048_576, 0.4),
        ("mistral-small-latest", 262_144, 0.6),
        ("mistral-small:24b", 32_768, 0.0),
        ("deepseek-chat", 131_072, 0.42),
        ("meta-llama/Meta-Llama-3-8B-Instruct", 8_192, 0.0),
        ("meta-llama/Llama-3.1-8B-Instruct", 131_072, 0.0),
        ("llama3:8b", 8_192, 0.0),
        ("llama3.2", 131_072, 0.0),
        ("Qwen/Qwen2.5-7B-Instruct", 32_768, 0.0),
        ("gemma3:1b", 32_768, 0.0),
        ("microsoft/Phi-3-mini-128k-instruct", 131_072, 0.0),
        ("Mistral-7B-Instruct-v0.1", 8_192, 0.0),
        ("SmolLM2-135M-Instruct", 8_192, 0.0),
        ("gpt-5.9", 8_192, None),
        ("claude-opus-4.1", 200_000, 75.0),
        ("claude-opus-4-7", 1_000_000, 25.0),
        ("claude-sonnet-4-20250514", 200_000, 15.0),
    ],
)
def test_what_the_table_says_of_models_by_the_names_they_go_by(
    name: str, window: int, usd_output: float | None
) -> None:
    info = lookup(name)
    assert (info.context_tokens, info.usd_output) == (window, usd_output)
    assert info.is_priced == (usd_output is not None)


def test_our_own_table_holds_to_its_rules() -> None:
    for pattern in tomllib.loads(_TABLE.read_text())["models"]:
        info = lookup(re.sub(r"\[(.).*?\]", r"\1", pattern).replace("*", "").replace("?", "-"))
        assert info.is_priced, pattern
        assert (info.max_output_tokens or 0) <= info.context_tokens, pattern
        assert (info.usd_cached_input or 0) <= (info.usd_input or 0) <= (info.usd_output or 0), pattern


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[models", "cannot be read"),
        ("x = 1", "needs tables"),
        ('[models."a"]\nprice = 3', 'has a field "price"'),
        ('[models."a"]\ncontext_tokens = "many"', "wrong value 'many' for context_tokens"),
        ('[models."a"]\nusd_input = -1', "wrong value -1"),
        ('[models."a"]\nencoding = "utf-8"', "wrong value 'utf-8' for encoding"),
        ("[models]\na = 3", 'needs a table for "a"'),
    ],
)
def test_a_wrong_file_is_told_in_a_sentence(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "models.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match="correct it") as caught:
        lookup("a", file)
    assert says in str(caught.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        lookup("a", tmp_path / "none.toml")
