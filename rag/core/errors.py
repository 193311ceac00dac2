"""Every error Footnote raises on purpose.

    FootnoteError                      exit  http
    ├── UsageError                       2    400   the request itself cannot be carried out
    │   ├── InvalidQuestion              2    422
    │   ├── PathNotFound                 2    404
    │   ├── Forbidden                    2    403   who asks may not do this
    │   ├── UnknownKnowledgeBase         4    404
    │   └── UnknownSource                4    404
    ├── SettingsError                    2    500   a setting or a file of settings is wrong
    ├── LoadError                        3    422   one file cannot be read; the others go on
    │   ├── UnsupportedFormat            3    415
    │   ├── EncryptedFile                3    422
    │   ├── NoText                       3    422
    │   ├── LoadTimeout                  3    422
    │   └── FileChanged                  3    409
    ├── StoreError                       5    500
    │   ├── StoreLocked                  6    423   another process is writing
    │   ├── StoreCorrupt                 7    500
    │   ├── StoreFull                    8    507
    │   ├── FingerprintMismatch          9    409
    │   └── VectorsUnreachable          10    503   the Chroma server does not answer
    ├── EmbedderError                   11    500
    └── ChatError                       12    502
        ├── ChatUnreachable             12    502
        ├── ChatTimeout                 12    504
        ├── ChatRefused                 12    502   the server said no: a bad key, an unknown model …
        ├── ChatRateLimited             12    503
        ├── ChatBusy                    12    503   our own queue is full, or the wait would be too long
        ├── BudgetExceeded              12    429   the tenant's money for the day is spent
        ├── ChatProtocolError           12    502
        └── ContextOverflow             13    413

Each says what happened, to what, and what to do, in one sentence; its fields say it to programs. All of
them survive pickling, because loaders raise them in worker processes.
"""

from __future__ import annotations

from typing import Any, ClassVar


class FootnoteError(Exception):
    exit_code: ClassVar[int] = 1
    http_status: ClassVar[int] = 500
    code: ClassVar[str] = "error"

    def __init__(self, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.message = message
        self.fields: dict[str, Any] = fields

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.message, self.fields))


def _rebuild(cls: type[FootnoteError], message: str, fields: dict[str, Any]) -> FootnoteError:
    return cls(message, **fields)


class UsageError(FootnoteError):
    exit_code, http_status, code = 2, 400, "bad-request"


class InvalidQuestion(UsageError):
    http_status, code = 422, "invalid-question"


class PathNotFound(UsageError):
    http_status, code = 404, "path-not-found"


class Forbidden(UsageError):
    http_status, code = 403, "forbidden"


class UnknownKnowledgeBase(UsageError):
    exit_code, http_status, code = 4, 404, "unknown-knowledge-base"


class UnknownSource(UsageError):
    exit_code, http_status, code = 4, 404, "unknown-source"


class SettingsError(FootnoteError):
    exit_code, http_status, code = 2, 500, "bad-settings"


class LoadError(FootnoteError):
    """One file cannot be turned into text. Fields: ``path``, where it helps ``page``."""

    exit_code, http_status, code = 3, 422, "unreadable-file"


class UnsupportedFormat(LoadError):
    http_status, code = 415, "unsupported-format"


class EncryptedFile(LoadError):
    code = "encrypted-file"


class NoText(LoadError):
    code = "no-text"


class LoadTimeout(LoadError):
    code = "load-timeout"


class FileChanged(LoadError):
    http_status, code = 409, "file-changed"


class StoreError(FootnoteError):
    exit_code, code = 5, "store-error"


class StoreLocked(StoreError):
    exit_code, http_status, code = 6, 423, "store-locked"


class StoreCorrupt(StoreError):
    exit_code, code = 7, "store-corrupt"


class StoreFull(StoreError):
    exit_code, http_status, code = 8, 507, "disk-full"


class FingerprintMismatch(StoreError):
    exit_code, http_status, code = 9, 409, "fingerprint-mismatch"


class VectorsUnreachable(StoreError):
    exit_code, http_status, code = 10, 503, "vectors-unreachable"


class EmbedderError(FootnoteError):
    exit_code, code = 11, "embedder-error"


class ChatError(FootnoteError):
    """The chat server failed. Fields: ``model``, ``base_url``, where known ``status``, ``retry_after_s``."""

    exit_code, http_status, code = 12, 502, "chat-error"


class ChatUnreachable(ChatError):
    code = "chat-unreachable"


class ChatTimeout(ChatError):
    http_status, code = 504, "chat-timeout"


class ChatRefused(ChatError):
    code = "chat-refused"


class ChatRateLimited(ChatError):
    http_status, code = 503, "chat-rate-limited"


class ChatBusy(ChatError):
    """Field ``retry_after_s`` says when it is worth another try."""

    http_status, code = 503, "chat-busy"


class BudgetExceeded(ChatError):
    http_status, code = 429, "budget-exceeded"


class ChatProtocolError(ChatError):
    code = "chat-protocol-error"


class ContextOverflow(ChatError):
    exit_code, http_status, code = 13, 413, "context-overflow"
