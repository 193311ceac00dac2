from __future__ import annotations

from pathlib import Path

import pytest

from rag.core.errors import SettingsError
from rag.core.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No ``footnote.toml`` but the test's own is read."""
    monkeypatch.chdir(tmp_path)


def test_a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert load_settings().top_k == 5
    Path("footnote.toml").write_text("top_k = 6\ncandidates = 66\n", "utf-8")
    assert load_settings().top_k == 6
    monkeypatch.setenv("FOOTNOTE_TOP_K", "7")
    assert load_settings().top_k == 7
    settings = load_settings(top_k=8, candidates=None)
    assert (settings.top_k, settings.candidates) == (8, 66)


def test_the_named_settings_file_is_read_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("footnote.toml").write_text("top_k = 6\n", "utf-8")
    (tmp_path / "other.toml").write_text("kb = 'handbook'\n", "utf-8")
    monkeypatch.setenv("FOOTNOTE_CONFIG", str(tmp_path / "other.toml"))
    assert (load_settings().kb, load_settings().top_k) == ("handbook", 5)


def test_the_usual_variable_for_the_key_is_read_and_ours_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "usual")
    key = load_settings().llm_api_key
    assert key is not None
    assert key.get_secret_value() == "usual"
    monkeypatch.setenv("FOOTNOTE_LLM_API_KEY", "ours")
    key = load_settings().llm_api_key
    assert key is not None
    assert key.get_secret_value() == "ours"


def test_keys_are_not_shown() -> None:
    settings = load_settings(llm_api_key="sk-very-secret", embedder_api_key="sk-also-secret")
    assert "secret" not in repr(settings) + settings.model_dump_json()


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"top_k": "many"}, ["top_k", "many"]),
        ({"top_k": 0}, ["top_k", "greater than or equal to 1"]),
        ({"colour": "red"}, ["colour"]),
        ({"kb": "../other"}, ["kb"]),
        ({"embedder": "magic"}, ["embedder", "onnx"]),
        ({"chunk_tokens": 100, "chunk_overlap_tokens": 51}, ["at most half of chunk_tokens"]),
        ({"embedder": "remote"}, ["embedder_base_url"]),
        ({"llm_context_tokens": 512, "answer_tokens": 512}, ["answer_tokens must be smaller"]),
    ],
)
def test_a_wrong_setting_is_one_sentence_that_names_it(
    overrides: dict[str, object], words: list[str]
) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(**overrides)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    for word in words:
        assert word in message


def test_a_wrong_variable_and_a_torn_file_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOOTNOTE_LOAD_WORKERS", "0")
    with pytest.raises(SettingsError, match="load_workers"):
        load_settings()
    monkeypatch.delenv("FOOTNOTE_LOAD_WORKERS")
    Path("footnote.toml").write_text("top_k = [", "utf-8")
    with pytest.raises(SettingsError, match=r"settings file cannot be read.*try again\.$"):
        load_settings()


def test_a_settings_file_that_is_not_there_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOOTNOTE_CONFIG", "nothing.toml")
    with pytest.raises(SettingsError, match=r"nothing\.toml"):
        load_settings()


def test_every_setting_says_what_it_is_for() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.rstrip('"').endswith("."), name


def test_settings_cannot_be_changed_after_they_were_checked() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings().top_k = 3
