from __future__ import annotations

import pytest

from rag import confidence
from tests.rag.memory import parts


def asked(question: str) -> float:
    import asyncio

    from rag.answer import answer
    from rag.core.types import Final, Scope

    async def last() -> float:
        found = -1.0
        async for event in answer(question, Scope("default"), parts()):
            if isinstance(event, Final):
                found = event.answer.confidence
        return found

    return asyncio.run(last())


@pytest.mark.parametrize("mode", ["hybrid", "lexical"])
def test_it_is_a_probability_and_every_feature_has_a_weight(mode: str) -> None:
    names = confidence.LEXICAL_FEATURES if mode == "lexical" else confidence.FEATURES
    for value in (0.0, 1.0):
        assert 0.0 <= confidence.confidence(dict.fromkeys(names, value), mode) <= 1.0
    _, weights = confidence._model(mode)
    assert set(weights) == set(names)


def test_what_the_documents_say_is_surer_than_what_they_do_not() -> None:
    assert asked("How many vacation days can I carry over?") > 0.8
    assert asked("Which airline may I book for a flight to Tokyo?") < 0.3


def test_a_code_that_no_source_has_lowers_it() -> None:
    assert asked("What does error ERR-1042 mean?") > asked("What does error ERR-7733 mean?") + 0.3
