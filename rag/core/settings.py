"""Every setting, in one place. The table in the README is generated from this class.

Order of precedence: command-line flag, environment (``FOOTNOTE_…``), ``footnote.toml`` in the current
folder (or the file that ``FOOTNOTE_CONFIG`` names), default.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from rag.core.errors import SettingsError


def _home(variable: str, fallback: str) -> Path:
    base = os.environ.get(variable)
    return (Path(base) if base else Path.home() / fallback) / "footnote"


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="FOOTNOTE_", extra="forbid", frozen=True, populate_by_name=True
    )

    # Where things are
    store: Path = Field(
        default_factory=lambda: _home("XDG_DATA_HOME", ".local/share"),
        description="Folder of the store: the catalog, the vectors, what serving remembers.",
    )
    cache: Path = Field(
        default_factory=lambda: _home("XDG_CACHE_HOME", ".cache"),
        description="Folder for what can be made again: converted encoders.",
    )
    kb: str = Field(
        "default", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$", description="Knowledge base to use."
    )
    chroma: str | None = Field(
        None, description="URL of a Chroma server (`http://host:port`); without it Chroma is embedded."
    )

    # Reading files
    include: list[str] = Field([], description="Only paths that match one of these globs are ingested.")
    exclude: list[str] = Field(
        [],
        description="Paths that match one of these globs are left out (as are those in `.footnoteignore`).",
    )
    hidden_files: bool = Field(False, description="Ingest files and folders whose name starts with a dot.")
    max_file_mb: float = Field(
        200.0, gt=0, description="Files larger than this many MB fail with that reason."
    )
    load_timeout_s: float = Field(
        60.0, gt=0, description="A file that takes longer than this to parse fails."
    )
    load_memory_mb: int = Field(2048, ge=256, description="Memory limit of a parsing process, in MB.")
    load_workers: int = Field(2, ge=1, le=64, description="Parsing processes.")
    password_file: Path | None = Field(
        None, description="File with passwords for encrypted documents, one on each line."
    )

    # Chunks and vectors
    chunk_tokens: int = Field(
        150,
        ge=16,
        le=8192,
        description="Most tokens of a chunk, prefix included, in the encoder's own tokens.",
    )
    chunk_overlap_tokens: int = Field(0, ge=0, description="Tokens that neighbouring chunks share at most.")
    heading_prefix: bool = Field(True, description="Embed each chunk with its title and headings before it.")
    embedder: Literal["onnx", "torch", "remote"] = Field("onnx", description="What computes the vectors.")
    embedder_model: str = Field(
        "all-MiniLM-L6-v2",
        description="Encoder: the built-in name, any sentence-transformers model or folder, or the remote model's name.",
    )
    embedder_base_url: str | None = Field(
        None, description="`remote`: base URL of an OpenAI-compatible server (`…/v1`)."
    )
    embedder_api_key: SecretStr | None = Field(None, description="`remote`: its key.")
    embedder_threads: int = Field(0, ge=0, description="Threads of the encoder; 0 takes every core.")

    # Retrieval
    top_k: int = Field(5, ge=1, le=1000, description="Hits that `search` returns.")
    candidates: int = Field(60, ge=1, le=10000, description="Hits taken from each retriever before fusion.")
    reranker: str | None = Field(
        None, description="Name of a sentence-transformers CrossEncoder that reorders the best hits."
    )
    rerank_top: int = Field(20, ge=1, le=200, description="How many hits the reranker reads.")

    # Answers
    llm_base_url: str | None = Field(
        None,
        validation_alias=AliasChoices("llm_base_url", "FOOTNOTE_LLM_BASE_URL"),
        description="Base URL of an OpenAI-compatible chat server (`…/v1`); without it answers are extractive.",
    )
    llm_api_key: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("llm_api_key", "FOOTNOTE_LLM_API_KEY", "OPENAI_API_KEY"),
        description="Its key; `OPENAI_API_KEY` is read too.",
    )
    llm_model: str = Field("gpt-4o-mini", description="Name of the chat model.")
    llm_context_tokens: int = Field(
        8192, ge=512, description="The chat model's window, in tokens: prompt and answer together."
    )
    llm_timeout_s: float = Field(60.0, gt=0, description="Most seconds a chat request may take.")
    llm_temperature: float = Field(0.0, ge=0, le=2, description="Sampling temperature of the chat model.")
    answer_tokens: int = Field(512, ge=16, description="Tokens kept free for the answer.")
    context_tokens: int = Field(
        3000, ge=64, description="Most tokens of sources in a prompt, even where the window would take more."
    )
    context_hits: int = Field(12, ge=1, description="Hits that packing starts from.")
    prompt: str = Field("answer", description="Prompt template: a name in `rag/prompts/`, or a path.")
    abstain_below: float = Field(
        0.5, ge=0, le=1, description='Below this confidence the answer is "The documents don\'t say."'
    )
    show_unsupported: bool = Field(
        False, description="Show sentences that no source supports (marked) instead of withholding them."
    )

    # Serving
    host: str = Field("127.0.0.1", description="Address that `footnote serve` listens on.")
    port: int = Field(8321, ge=0, le=65535, description="Its port.")
    max_upload_mb: float = Field(50.0, gt=0, description="Largest upload over HTTP, in MB.")
    max_question_chars: int = Field(8000, ge=1, description="Longest question, in characters.")

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if self.chunk_overlap_tokens * 2 > self.chunk_tokens:
            raise ValueError("chunk_overlap_tokens must be at most half of chunk_tokens")
        if self.embedder == "remote" and not self.embedder_base_url:
            raise ValueError("embedder = remote needs embedder_base_url")
        if self.answer_tokens >= self.llm_context_tokens:
            raise ValueError("answer_tokens must be smaller than llm_context_tokens")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        toml = os.environ.get("FOOTNOTE_CONFIG", "footnote.toml")
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=toml)


def load_settings(**overrides: Any) -> Settings:
    """Settings from flags, environment and file. Raises ``SettingsError`` in one sentence.

    Overrides that are None count as not given.
    """
    config = os.environ.get("FOOTNOTE_CONFIG")
    if config and not Path(config).is_file():
        raise SettingsError(f"FOOTNOTE_CONFIG names {config}, which is not a file; correct it or unset it.")
    try:
        return Settings(**{key: value for key, value in overrides.items() if value is not None})
    except ValidationError as exc:
        first = exc.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "settings"
        raise SettingsError(
            f"Setting {name}: {first['msg']} (got {str(first.get('input'))[:80]!r} where it applies); "
            "correct it in the flag, the environment or footnote.toml.",
            setting=name,
        ) from exc
    except (OSError, ValueError) as exc:
        raise SettingsError(f"The settings file cannot be read: {exc}; correct it and try again.") from exc
