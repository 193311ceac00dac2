"""One chat server of the settings: an ``[[llm_servers]]`` table."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class ChatServer(BaseModel):
    """Where a model is served, with which keys, and what the server allows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: str
    model: str
    tier: Literal["strong", "small"] = "strong"
    api_key: SecretStr | None = None
    api_key_env: str | None = None
    """Name of an environment variable."""
    api_key_file: Path | None = None
    api_key_command: str | None = None
    context_tokens: int | None = Field(None, ge=512)
    requests_per_minute: int | None = Field(None, ge=1)
    tokens_per_minute: int | None = Field(None, ge=1)
    max_concurrency: int = Field(32, ge=1)
    queue_length: int = Field(1000, ge=0)
    ca_file: Path | None = None
    proxy: str | None = None
    headers: dict[str, SecretStr] = {}
    """Sent with every request: gateways in the style of Azure take their key so ("api-key")."""
    query: dict[str, str] = {}
    """Behind every address: "api-version"."""
