from __future__ import annotations

import pickle

import pytest

from rag.core import errors
from rag.core.errors import FootnoteError

# What the command line and the HTTP service promise: class → (exit code, HTTP status).
PROMISED = {
    "FootnoteError": (1, 500),
    "UsageError": (2, 400),
    "InvalidQuestion": (2, 422),
    "PathNotFound": (2, 404),
    "UnknownKnowledgeBase": (4, 404),
    "UnknownSource": (4, 404),
    "Forbidden": (2, 403),
    "SettingsError": (2, 500),
    "LoadError": (3, 422),
    "UnsupportedFormat": (3, 415),
    "EncryptedFile": (3, 422),
    "NoText": (3, 422),
    "LoadTimeout": (3, 422),
    "FileChanged": (3, 409),
    "StoreError": (5, 500),
    "StoreLocked": (6, 423),
    "StoreCorrupt": (7, 500),
    "StoreFull": (8, 507),
    "FingerprintMismatch": (9, 409),
    "VectorsUnreachable": (10, 503),
    "EmbedderError": (11, 500),
    "ChatError": (12, 502),
    "ChatUnreachable": (12, 502),
    "ChatTimeout": (12, 504),
    "ChatRefused": (12, 502),
    "ChatRateLimited": (12, 503),
    "ChatBusy": (12, 503),
    "BudgetExceeded": (12, 429),
    "ChatProtocolError": (12, 502),
    "ContextOverflow": (13, 413),
}
CLASSES = [
    value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, FootnoteError)
]


def test_every_error_has_the_exit_code_and_status_that_are_promised() -> None:
    assert {c.__name__: (c.exit_code, c.http_status) for c in CLASSES} == PROMISED


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [cls.code for cls in CLASSES]
    assert sorted(codes) == sorted(set(codes))


def test_failures_of_different_parts_have_different_exit_codes() -> None:
    parts = [c for c in CLASSES if c.__base__ in (FootnoteError, errors.StoreError)]
    parts = [c for c in parts if c is not errors.SettingsError]  # wrong use, as UsageError is
    assert len({c.exit_code for c in parts}) == len(parts)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_an_error_survives_the_way_from_a_worker_process(cls: type[FootnoteError]) -> None:
    error = pickle.loads(pickle.dumps(cls("a.pdf is torn; get it anew.", path="a.pdf", page=3)))
    assert type(error) is cls
    assert str(error) == error.message == "a.pdf is torn; get it anew."
    assert error.fields == {"path": "a.pdf", "page": 3}
