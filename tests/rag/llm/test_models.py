from __future__ import annotations

from pathlib import Path

import pytest

from rag.core.errors import SettingsError
from rag.core.types import Usage
from rag.llm.models import lookup


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


def test_the_users_file_goes_first_and_adds(tmp_path: Path) -> None:
    file = tmp_path / "models.toml"
    file.write_text('[models."gpt-4o*"]\ncontext_tokens = 1000\n[models."ours"]\nusd_output = 7\n')
    assert lookup("gpt-4o-mini", file).context_tokens == 1000
    assert lookup("ours", file).cost_usd(Usage(0, 1_000_000)) == 7.0
    assert lookup("gpt-4.1", file).context_tokens == 1_047_576


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
