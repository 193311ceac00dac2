"""What can go wrong with a chat server, each in one sentence that holds no key."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from rag.core.errors import (
    ChatError,
    ChatProtocolError,
    ChatRateLimited,
    ChatRefused,
    ChatTimeout,
    ChatUnreachable,
    ContextOverflow,
)
from rag.llm.rate_headers import retry_after_s

_OVERFLOW: Final = re.compile(
    r"context[ _]?(?:length|window|size)|maximum context|exceed_context|too many tokens|prompt is too long",
    re.IGNORECASE,
)
_NO_MONEY: Final = re.compile(r"insufficient_quota|billing|exceeded your current quota", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Failures:
    """Makes the errors of one model on one server."""

    model: str
    base_url: str
    """As it may be shown."""
    hide: Callable[[str], str]
    """Takes keys out of what the server says."""

    def of_exception(self, cause: Exception, timeout_s: float) -> ChatError:
        """The error of a ``TimeoutError`` of the deadline, or of anything that httpx raises."""
        import httpx

        if isinstance(cause, TimeoutError):
            return self._error(
                ChatTimeout,
                f"The chat server at {self.base_url} did not finish within {timeout_s:g} s; try again, or raise "
                "llm_timeout_s.",
            )
        if _of_tls(cause):
            return self._error(
                ChatUnreachable,
                f"The certificate of the chat server at {self.base_url} cannot be verified; set llm_ca_file to the "
                "certificate that it is to be checked with.",
            )
        if isinstance(cause, httpx.ProxyError):
            return self._error(
                ChatUnreachable,
                f"The proxy refuses the way to the chat server at {self.base_url}; check llm_proxy.",
            )
        if isinstance(cause, httpx.TimeoutException | httpx.ConnectError):
            return self._error(
                ChatUnreachable,
                f"The chat server at {self.base_url} cannot be reached; check that it is running and llm_base_url.",
            )
        return self._error(
            ChatUnreachable,
            f"The connection to the chat server at {self.base_url} broke ({type(cause).__name__}); try again.",
        )

    def broke_off(self) -> ChatError:
        return self._error(
            ChatProtocolError,
            f"The chat server at {self.base_url} broke off in the middle of its answer; try again.",
        )

    def mixed_up(self) -> ChatError:
        return self._error(
            ChatProtocolError,
            f"The chat server at {self.base_url} sent the pieces of its answer in the wrong order; try again.",
        )

    def malformed(self) -> ChatError:
        return self._error(
            ChatProtocolError,
            f"The chat server at {self.base_url} sent something that is no chat completion; check llm_base_url.",
        )

    def too_large(self, max_bytes: int) -> ChatError:
        return self._error(
            ChatProtocolError,
            f"The chat server at {self.base_url} sent more than {max_bytes // 2**20} MB; check llm_base_url.",
        )

    def of_reply(self, status: int, body: bytes, headers: Mapping[str, str]) -> tuple[ChatError, object]:
        """(the error of a reply with this status, what the server said of it)"""
        text = body.decode("utf-8", "replace")
        try:
            reply = json.loads(text)
        except (ValueError, RecursionError):
            reply = None
        if isinstance(reply, list) and reply:
            reply = reply[0]
        said: object = reply.get("error", reply) if isinstance(reply, dict) else text
        return self.of_error(status, said, headers), said

    def of_error(self, status: int, error: object, headers: Mapping[str, str] | None = None) -> ChatError:
        """The error of an error object; one that came with status 200 may hold its own status."""
        headers = headers or {}
        said, kind = self._said(error)
        if status == 200:
            status = _own_status(error, kind)
        about = f" ({said})" if said else ""
        server = f"The chat server at {self.base_url}"
        after_s = retry_after_s(headers)
        if _OVERFLOW.search(f"{kind} {said}") and status in (400, 413, 422, 500):
            return self._error(
                ContextOverflow,
                f"The prompt does not fit the window of the chat model {self.model}{about}; set llm_context_tokens to "
                "the model's window.",
                status,
            )
        if status == 402 or (status == 429 and _NO_MONEY.search(f"{kind} {said}")):
            return self._error(
                ChatRefused,
                f"{server} says that the key's account has no credit left{about}; check the account or llm_api_key.",
                status,
            )
        if status == 429:
            return self._error(
                ChatRateLimited,
                f"{server} takes no more requests for now{about}; try again later.",
                status,
                after_s,
            )
        if status in (408, 504):
            return self._error(ChatTimeout, f"{server} timed out{about}; try again.", status, after_s)
        if status >= 500 or status in (409, 425):
            return self._error(
                ChatUnreachable, f"{server} failed with status {status}{about}; try again.", status, after_s
            )
        if status in (401, 403):
            return self._error(ChatRefused, f"{server} refused the key{about}; check llm_api_key.", status)
        if status == 404:
            return self._error(
                ChatRefused,
                f"{server} knows no model {self.model} or no /chat/completions{about}; check llm_model and llm_base_url.",
                status,
            )
        return self._error(ChatRefused, f"{server} refused the request with status {status}{about}.", status)

    def _error(
        self,
        kind: type[ChatError],
        message: str,
        status: int | None = None,
        after_s: float | None = None,
    ) -> ChatError:
        fields: dict[str, Any] = {"model": self.model, "base_url": self.base_url}
        if status is not None:
            fields["status"] = status
        if after_s is not None:
            fields["retry_after_s"] = after_s
        return kind(message, **fields)

    def _said(self, error: object) -> tuple[str, str]:
        """(what the server said, without keys, at most 300 characters on one line; its own name for the error)"""
        kind = ""
        if isinstance(error, dict):
            kind = f"{error.get('type', '')} {error.get('code', '')}"
            error = error.get("message") or error.get("detail") or ""
        text = " ".join(error.split()) if isinstance(error, str) else ""
        text = self.hide("".join(filter(str.isprintable, text)))
        return ("" if text.startswith("<") else text[:300].rstrip(". ")), kind


def _own_status(error: object, kind: str) -> int:
    code = error.get("code") if isinstance(error, dict) else None
    if isinstance(code, str) and code.isascii() and code.isdigit():
        code = int(code)
    if isinstance(code, int) and 400 <= code < 600:
        return code
    return 429 if "rate_limit" in kind else 500


def _of_tls(cause: BaseException | None) -> bool:
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
