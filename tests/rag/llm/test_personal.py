from __future__ import annotations

import pytest

from rag.llm.personal import find
from tests.rag.llm.personal_cases import NOT_PERSONAL, PERSONAL


def found(text: str) -> list[tuple[str, str]]:
    return [(one.kind, text[one.start : one.end]) for one in find(text)]


@pytest.mark.parametrize(("kind", "text", "wanted"), PERSONAL, ids=[text[:40] for _, text, _ in PERSONAL])
def test_personal_data_is_found_to_the_character(kind: str, text: str, wanted: list[str]) -> None:
    assert found(text) == [(kind, one) for one in wanted]


@pytest.mark.parametrize("text", NOT_PERSONAL)
def test_other_numbers_and_words_are_left_alone(text: str) -> None:
    assert found(text) == []
