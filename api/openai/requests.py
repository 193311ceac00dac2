"""What OpenAI's clients send, and what of it can be meant here."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.openai.errors import InvalidParameter, UnknownParameter, UnsupportedParameter
from api.openai.replies import without_footnotes
from rag.core.types import Message

TUNING: Final = frozenset(
    [
        "temperature",
        "top_p",
        "max_tokens",
        "max_completion_tokens",
        "stop",
        "seed",
        "presence_penalty",
        "frequency_penalty",
        "logit_bias",
        "reasoning_effort",
        "verbosity",
    ]
)
"""What shapes a model's writing. The server's settings do that here, so these are passed over, with a notice."""

_UNSUPPORTED: Final = {
    "tools": "tools are not called here",
    "functions": "functions are not called here",
    "function_call": "functions are not called here",
    "audio": "answers are text",
    "prediction": "answers cannot be predicted",
    "web_search_options": "only the knowledge base is searched",
    "moderation": "the server's settings say how it moderates",
    "top_logprobs": "sentences are verified, not scored by token",
}
_NEUTRAL: Final[dict[str, tuple[Any, ...]]] = {
    "n": (1,),
    "logprobs": (False,),
    "tool_choice": ("none", "auto"),
    "modalities": (["text"],),
    "response_format": ({"type": "text"},),
}
"""Taken at these values only: the ones that change nothing."""

_HALF: Final = re.compile("[\ud800-\udfff]")
_NOT_TEXT: Final = "is not text; send a string, or parts of type text"


class StreamOptions(BaseModel):
    include_usage: bool = Field(default=False, description="A chunk with the usage before `[DONE]`.")
    include_obfuscation: bool = Field(default=False, description="Passed over.")


class TextPart(BaseModel):
    type: Literal["text"]
    text: str


class ChatMessageIn(BaseModel):
    """Further fields are passed over, so that messages of replies can be sent back as they came."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart] | None = None

    def text(self) -> str:
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content)
        return self.content or ""


class ChatCompletionRequest(BaseModel):
    """The last message is the question, earlier ones of user and assistant are its history; system messages are
    passed over, and so is what shapes a model's writing, which the server's settings say."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "footnote",
                    "messages": [{"role": "user", "content": "How many vacation days can I carry over?"}],
                }
            ]
        },
        extra="forbid",
    )

    model: str = Field(description="`footnote`, or `footnote/` and the name of a knowledge base.")
    messages: list[ChatMessageIn] = Field(min_length=1)
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    n: Literal[1] | None = 1

    # Passed over with a notice: see TUNING.
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None

    # Of no effect on an answer.
    user: str | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: dict[str, Any] | None = None
    prompt_cache_retention: str | None = None
    parallel_tool_calls: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _only_what_can_be_meant(cls, data: Any) -> Any:
        if isinstance(data, dict):
            known = _without_neutral(data)
            _refuse_parameters(known, cls.model_fields.keys())
            _refuse_messages(data.get("messages"))
            return known
        return data

    def conversation(self) -> tuple[str, tuple[Message, ...]]:
        """The question, and what was said before it. Raises ``InvalidParameter``."""
        turns = [turn for turn in self.messages if turn.role in ("user", "assistant")]
        if not turns or turns[-1].role != "user":
            raise InvalidParameter(
                "The last message must be the question, with role user; send it behind the earlier turns.",
                param="messages",
            )
        history = []
        for turn in turns[:-1]:
            if turn.role == "assistant":
                history.append(Message("assistant", without_footnotes(turn.text())))
            else:
                history.append(Message("user", turn.text()))
        return turns[-1].text(), tuple(one for one in history if one.content)

    def notices(self) -> list[str]:
        """What was passed over."""
        found = []
        if passed_over := sorted(name for name in TUNING if getattr(self, name) is not None):
            found.append(
                f"{', '.join(passed_over)}: passed over, because the server's settings say how answers are written."
            )
        if any(turn.role in ("system", "developer") for turn in self.messages):
            found.append("System messages are passed over: answers follow the documents alone.")
        return found

    def wants_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage


def _without_neutral(data: dict[str, Any]) -> dict[str, Any]:
    """Without what says nothing: nulls, and parameters at the one value that is meant anyway."""
    kept: dict[str, Any] = {}
    for name, value in data.items():
        if name in _NEUTRAL and value is not None and value not in _NEUTRAL[name]:
            raise UnsupportedParameter(
                f"{name} can only be {json.dumps(_NEUTRAL[name][0])} here; leave it out.", param=name
            )
        if name not in _NEUTRAL and (value is not None or name in ("model", "messages")):
            kept[name] = value
    return kept


def _refuse_parameters(data: dict[str, Any], known: Collection[str]) -> None:
    for name in data.keys() - known:
        if name in _UNSUPPORTED:
            raise UnsupportedParameter(
                f"{name} is not supported: {_UNSUPPORTED[name]}; leave it out.", param=name
            )
        raise UnknownParameter(
            f"Unknown parameter: {name[:80]!r}; leave it out.", param=ascii(name[:80])[1:-1]
        )
    if data.get("stream_options") is not None and not data.get("stream"):
        raise InvalidParameter(
            "stream_options needs stream: true; set it or leave them out.", param="stream_options"
        )


def _refuse_messages(messages: Any) -> None:
    """What is valid for OpenAI and cannot be meant here gets a sentence of its own."""
    for i, message in enumerate(messages if isinstance(messages, list) else ()):
        if not isinstance(message, dict):
            continue
        if message.get("role") in ("tool", "function"):
            raise UnsupportedParameter(
                f"messages[{i}] is the result of a tool, and tools are not called here; leave it out.",
                param=f"messages[{i}].role",
            )
        content = message.get("content")
        for j, part in enumerate(content if isinstance(content, list) else ()):
            kind = part.get("type") if isinstance(part, dict) else None
            if isinstance(kind, str) and kind != "text":
                raise UnsupportedParameter(
                    f"messages[{i}].content[{j}] {_NOT_TEXT}.", param=f"messages[{i}].content[{j}].type"
                )


class EmbeddingsRequest(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"model": "all-MiniLM-L6-v2", "input": "Five days carry over."}]},
        extra="forbid",
    )

    model: str = Field(description="The encoder that `/v1/models` lists, or `footnote`.")
    input: str | Annotated[list[str], Field(min_length=1, max_length=2048)]
    encoding_format: Literal["float", "base64"] | None = "float"
    dimensions: int | None = Field(default=None, description="The encoder's own number, if given.")
    input_type: Literal["document", "query"] = Field(
        default="document",
        description="What the texts are, where the encoder makes a difference; ours alone.",
    )
    user: str | None = Field(default=None, description="Of no effect.")

    @model_validator(mode="before")
    @classmethod
    def _only_what_can_be_meant(cls, data: Any) -> Any:
        if isinstance(data, dict):
            _refuse_parameters(data, cls.model_fields.keys())
            _refuse_tokens(data.get("input"))
        return data

    def texts(self) -> list[str]:
        """Raises ``InvalidParameter``."""
        texts = [self.input] if isinstance(self.input, str) else self.input
        for i, text in enumerate(texts):
            place = "input" if isinstance(self.input, str) else f"input[{i}]"
            if _HALF.search(text):
                raise InvalidParameter(
                    f"{place} holds half of a surrogate pair; send well-formed Unicode.", param=place
                )
            if not text.strip():
                raise InvalidParameter(f"{place} is empty; send texts with words in them.", param=place)
        return texts


def _refuse_tokens(given: Any) -> None:
    if isinstance(given, list) and any(isinstance(one, int | list) for one in given):
        raise UnsupportedParameter(
            "input holds token ids, which belong to another model's tokenizer; send the texts themselves.",
            param="input",
        )
