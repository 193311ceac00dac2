from __future__ import annotations

import pytest

from rag.core.errors import SettingsError
from rag.llm.client import HttpChatModel, retry_after_s


@pytest.mark.parametrize(
    "url",
    ["", "localhost:8080/v1", "ftp://host/v1", "http://", "http://[::1", "http://host:99999/v1", "http://exa mple/v1", "http://a..b/v1"],
)  # fmt: skip
def test_an_address_that_is_none_is_said_before_anything_is_sent(url: str) -> None:
    with pytest.raises(SettingsError, match="llm_base_url"):
        HttpChatModel(url, "m")


@pytest.mark.parametrize(
    "url", ["http://[::1]:8080/v1", "https://münchen.example/v1/", "http://chat_server:80"]
)
def test_an_address_may_be_of_any_kind(url: str) -> None:
    assert HttpChatModel(url, "m").base_url.startswith(url[:5])


def test_a_password_in_the_address_is_not_shown() -> None:
    model = HttpChatModel("https://user:hunter2@host.example:9/v1?key=hunter2", "m")
    assert model.base_url == "https://host.example:9/v1"


@pytest.mark.parametrize("key", ["sk-1\nX-Evil: 1", "sk 1", "schlüssel"])
def test_a_key_that_is_none_is_said_without_it(key: str) -> None:
    with pytest.raises(SettingsError, match="llm_api_key") as caught:
        HttpChatModel("http://host/v1", "m", api_key=key)
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7.0), ("0.5", 0.5), ("soon", None), ("", None), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0)],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    assert retry_after_s({"retry-after": value}) == seconds
