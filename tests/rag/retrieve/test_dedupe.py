from __future__ import annotations

from rag.core.types import Chunk, Hit, Source
from rag.retrieve.dedupe import without_near_duplicates

TEXT = "Send the machine back within thirty days of delivery and we refund the price and the postage in full."


def hit(source: str, text: str, score: float = 1.0) -> Hit:
    chunk = Chunk(f"{source}{text[-30:]}", source, text, 0, len(text), (), None, 20)
    return Hit(chunk, Source(source, f"{source}.md", "hash", "text/markdown", source), score)


def texts(*hits: Hit) -> list[str]:
    return [f"{one.chunk.source_id}: {one.chunk.text[-8:]}" for one in without_near_duplicates(hits)]


def test_the_same_passage_of_another_document_is_dropped() -> None:
    assert texts(hit("a", TEXT), hit("b", TEXT.replace("the machine", "The  machine"))) == ["a: in full."]


def test_a_version_with_another_number_stays() -> None:
    assert len(texts(hit("a", "Limit 5. " + TEXT), hit("b", "Limit 8. " + TEXT))) == 2


def test_a_repeated_passage_of_one_document_stays() -> None:
    assert len(texts(hit("a", TEXT), hit("a", TEXT))) == 2


def test_short_passages_are_compared_whole() -> None:
    assert len(texts(hit("a", "Press the red button."), hit("b", "Press the green button."))) == 2
    assert len(texts(hit("a", "Press the red button."), hit("b", "Press the red button!"))) == 1
