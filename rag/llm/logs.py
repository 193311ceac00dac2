"""One JSON object a line: what happened, how long it took, how large it was. Never what was said, unless asked for.

The trace id leads from a question to each of its requests, and goes to the server as ``X-Request-Id``.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Final, TextIO

from rag.core.errors import ChatError
from rag.core.protocols import ChatModel
from rag.core.types import ChatEvent, ChatRequest, Delta, Done, Usage

LOGGER: Final = logging.getLogger("footnote")
_ISSUED: Final = re.compile(
    r"\b(?:sk|pk|rk|ghp|gho|ghs|ghu|ghr|github_pat|glpat|xox[abeoprs]|xapp|hf|npm|pypi|gsk|xai|pplx|nvapi)[-_][\w-]{8,}"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{12,}|\bAIza[\w-]{30,}|\beyJ[\w-]{8,}\.[\w.-]+|\bya29\.[\w-]+"
)
"""By the prefix that their issuers give them."""
_LABELLED: Final = re.compile(
    r"((?:\bBearer|\bBasic)\s+|[\w-]*(?:api[-_]?key|token|secret|password|authorization|signature)[\"']*\s*[:=]\s*[\"']*"
    r"(?:Bearer\s+|Basic\s+)?)([^\s\"'&,;}]{6,})",
    re.IGNORECASE,
)
"""By what stands before them: headers, settings, queries of addresses."""
_IN_ADDRESS: Final = re.compile(r"(://[^\s/:@]*:)[^\s/@]+@")


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields = getattr(record, "fields", {})
        line: dict[str, object] = {"at": at, "level": record.levelname.lower(), "event": record.getMessage()}
        line.update(fields if isinstance(fields, dict) else {})
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
        return json.dumps(line, ensure_ascii=False, default=str)


class WithoutSecrets(logging.Filter):
    """Of the logger, so that it holds for every handler that somebody adds to it."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = without_secrets(record.getMessage()), None
        if isinstance(fields := getattr(record, "fields", None), dict):
            record.fields = {name: _hidden(value) for name, value in fields.items()}
        return True


LOGGER.addFilter(WithoutSecrets())


def _hidden(value: object) -> object:
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return without_secrets(value)
        case dict():
            return {name: _hidden(one) for name, one in value.items()}
        case list() | tuple():
            return [_hidden(one) for one in value]
    return without_secrets(str(value))


def without_secrets(text: str) -> str:
    """The text without what looks like a key, wherever it came from."""
    text = _LABELLED.sub(r"\1***", _ISSUED.sub("***", text))
    return _IN_ADDRESS.sub(r"\1***@", text)


def configure_logs(level: str, stream: TextIO) -> None:
    """Sends what is at least as grave as ``level`` to the stream. Once for a process."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    LOGGER.handlers = [handler]
    LOGGER.setLevel(level.upper())
    LOGGER.propagate = False


def log(event: str, *, level: int = logging.INFO, **fields: object) -> None:
    if LOGGER.isEnabledFor(level):
        LOGGER.log(
            level,
            event,
            extra={"fields": {name: value for name, value in fields.items() if value is not None}},
        )


class LoggedChatModel:
    """A line for each request to a server, when it ends."""

    def __init__(self, inner: ChatModel, *, texts: bool = False) -> None:
        self._inner, self._texts = inner, texts
        self.name, self.context_window = inner.name, inner.context_window

    async def close(self) -> None:
        await self._inner.close()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        now = asyncio.get_running_loop().time
        began, outcome = now(), "cancelled"
        first_ms: float | None = None
        usage, n_chars = Usage(), 0
        written: list[str] = []
        try:
            async with aclosing(self._inner.stream(request)) as events:  # type: ignore[type-var]
                async for event in events:
                    match event:
                        case Delta():
                            first_ms = (now() - began) * 1000 if first_ms is None else first_ms
                            n_chars += len(event.text)
                            if self._texts:
                                written.append(event.text)
                        case Usage():
                            usage += event
                        case Done():
                            outcome = event.finish_reason or "ok"
                    yield event
        except ChatError as exc:
            outcome = exc.code
            raise
        finally:
            log(
                "chat request",
                level=logging.INFO,
                trace_id=request.trace_id,
                model=self.name,
                purpose=request.purpose,
                priority=request.priority,
                tenant=request.tenant,
                outcome=outcome,
                n_messages=len(request.messages),
                prompt_chars=sum(len(message.content) for message in request.messages),
                answer_chars=n_chars,
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                cached_tokens=usage.cached_tokens,
                cost_usd=round(usage.cost_usd, 8),
                first_token_ms=None if first_ms is None else round(first_ms, 1),
                total_ms=round((now() - began) * 1000, 1),
                prompt=[[message.role, message.content] for message in request.messages]
                if self._texts
                else None,
                answer="".join(written) if self._texts else None,
            )
