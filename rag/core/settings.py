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

from rag.core.chat_server import ChatServer
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
    embedder_precision: Literal["fp32", "int8"] = Field(
        "fp32",
        description="`onnx`: numbers that the encoder computes with; `int8` is up to twice as fast and finds a little less.",
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
    llm_small_model: str | None = Field(
        None, description="A cheaper model on the same server, for routine work and sure, short answers."
    )
    llm_api_key_file: Path | None = Field(
        None, description="File with keys, one on each line, read anew when it changes."
    )
    llm_api_key_command: str | None = Field(
        None, description="Command that prints keys, one on each line; run again when one is refused."
    )
    llm_context_tokens: int | None = Field(
        None,
        ge=512,
        description="The chat model's window, in tokens: prompt and answer together; without it the table of models "
        "says, and 8192 where that does not know it.",
    )
    llm_timeout_s: float = Field(
        60.0, gt=0, description="Most seconds a chat request may take, all tries together."
    )
    llm_temperature: float = Field(0.0, ge=0, le=2, description="Sampling temperature of the chat model.")
    llm_attempts: int = Field(
        5, ge=1, le=100, description="How often one question's chat request may be sent, fallbacks included."
    )
    llm_requests_per_minute: int | None = Field(
        None, ge=1, description="The chat server's limit of requests."
    )
    llm_tokens_per_minute: int | None = Field(None, ge=1, description="The chat server's limit of tokens.")
    llm_max_concurrency: int = Field(
        32, ge=1, description="Most requests at once; fewer are sent where the server slows down or refuses."
    )
    llm_queue_length: int = Field(
        1000, ge=0, description="Requests that may wait for the chat server; one more is told to come again."
    )
    llm_ca_file: Path | None = Field(
        None, description="Certificates to trust instead of the usual ones, in PEM."
    )
    llm_proxy: str | None = Field(None, description="Proxy to the chat server (`http://host:port`).")
    llm_servers: list[ChatServer] = Field(
        [],
        description="Chat servers in order of preference, as `[[llm_servers]]` tables; instead of `llm_base_url`.",
    )
    models_file: Path | None = Field(
        None, description="TOML with windows, prices and encodings of further models."
    )
    route_strong_below: float = Field(
        0.8, ge=0, le=1, description="The strong model answers where the confidence is below this."
    )
    route_strong_chars: int = Field(
        300, ge=0, description="The strong model answers questions longer than this, in characters."
    )
    budget_usd_per_day: float | None = Field(
        None,
        gt=0,
        description="What a tenant may spend in a day (UTC); then answers are made of quoted sentences.",
    )
    budget_warn_share: float = Field(
        0.8, gt=0, le=1, description="Share of the budget from which answers carry a warning."
    )
    answer_cache: bool = Field(True, description="Serve equal requests to the chat model from a cache.")
    answer_cache_ttl_s: float = Field(86400.0, gt=0, description="How long a cached reply is good.")
    answer_cache_mb: float = Field(64.0, gt=0, description="Largest size of the cache, in MB.")
    semantic_cache: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Also serve the reply to a question at least this similar (cosine), if the same sources were "
        "found.",
    )
    personal_data: Literal["auto", "mask", "send"] = Field(
        "auto",
        description="Replace personal data before it leaves: `auto` does so unless the chat server is on this machine.",
    )
    personal_names: bool = Field(
        False, description="Replace names of persons too; needs the extra `footnote[names]`."
    )
    moderation: Literal["off", "rules", "endpoint", "model"] = Field(
        "off", description="What looks at questions and answers: rules, the provider's endpoint, a model."
    )
    moderation_question: Literal["block", "flag", "pass"] = Field(
        "block", description="What is done with a question that moderation objects to."
    )
    moderation_answer: Literal["block", "flag", "pass"] = Field("block", description="And with an answer.")
    moderation_rules: Path | None = Field(None, description="File of regular expressions, one on each line.")
    history_share: float = Field(
        0.25, ge=0, le=0.9, description="Most of the window that earlier turns may take."
    )
    history_overflow: Literal["truncate", "summarize"] = Field(
        "truncate", description="What is done with the oldest turns that do not fit."
    )
    rewrite: Literal["auto", "rule", "model"] = Field(
        "auto",
        description="What makes a follow-up question stand alone; `auto`: the chat model where there is one.",
    )
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

    # Logs
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "warning",
        description="What is logged, as JSON lines on standard error; `info`: each question and request.",
    )
    log_texts: bool = Field(
        False, description="Log questions, prompts and answers too, which may hold personal data."
    )

    # Serving
    host: str = Field("127.0.0.1", description="Address that `footnote serve` listens on.")
    port: int = Field(8321, ge=0, le=65535, description="Its port.")
    insecure: bool = Field(
        False, description="Answer without an API key on other addresses than this machine's own, too."
    )
    cors_origins: list[str] = Field(
        [], description="Origins (`https://example.org`) whose pages may call the server; others may not."
    )
    key_requests_per_minute: int | None = Field(
        None,
        ge=1,
        description="Requests that an API key may send in a minute, unless it has a limit of its own.",
    )
    key_questions_per_day: int | None = Field(
        None, ge=1, description="Questions that it may ask in 24 hours, unless it has a limit of its own."
    )
    tenant_requests_per_minute: int | None = Field(
        None, ge=1, description="The same limits for all keys of a tenant together: requests in a minute."
    )
    tenant_questions_per_day: int | None = Field(None, ge=1, description="And questions in 24 hours.")
    max_upload_mb: float = Field(50.0, gt=0, description="Largest upload over HTTP, in MB.")
    max_question_chars: int = Field(8000, ge=1, description="Longest question, in characters.")

    def chat_servers(self) -> tuple[ChatServer, ...]:
        """The chat servers in order of preference: those listed, or one or two models of ``llm_base_url``."""
        if self.llm_servers or not self.llm_base_url:
            return tuple(self.llm_servers)
        strong = ChatServer(
            base_url=self.llm_base_url,
            model=self.llm_model,
            api_key=self.llm_api_key,
            api_key_file=self.llm_api_key_file,
            api_key_command=self.llm_api_key_command,
            context_tokens=self.llm_context_tokens,
            requests_per_minute=self.llm_requests_per_minute,
            tokens_per_minute=self.llm_tokens_per_minute,
            max_concurrency=self.llm_max_concurrency,
            queue_length=self.llm_queue_length,
            ca_file=self.llm_ca_file,
            proxy=self.llm_proxy,
        )
        if not self.llm_small_model:
            return (strong,)
        small = {"model": self.llm_small_model, "tier": "small", "context_tokens": None}
        return (strong, strong.model_copy(update=small))

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if self.chunk_overlap_tokens * 2 > self.chunk_tokens:
            raise ValueError("chunk_overlap_tokens must be at most half of chunk_tokens")
        if self.embedder == "remote" and not self.embedder_base_url:
            raise ValueError("embedder = remote needs embedder_base_url")
        if self.llm_context_tokens is not None and self.answer_tokens >= self.llm_context_tokens:
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
