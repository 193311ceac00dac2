"""A store of a few real texts in memory, for tests of what comes after retrieval."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from rag.answer import AnswerParts
from rag.core.errors import UnknownSource
from rag.core.protocols import ChatModel, Vectors
from rag.core.settings import Settings
from rag.core.text import sentence_spans
from rag.core.types import Block, Chunk, Hit, PackedSource, Retrieval, Scope, Source
from rag.terms import stem

HANDBOOK = """# Leave

Employees get 25 vacation days per year. You can carry over up to five unused vacation days until March 31. \
Requests go to your team lead at least two weeks ahead.

## Sick leave

Tell your team lead before 9:30 am on the first day. A doctor's note is needed from the third day. \
It is uploaded in the Aldero portal.
"""
BILLING = """# Plans and prices

| Plan | Price per month | Seats |
|---|---|---|
| Basic | $5 | 3 |
| Premium | $19 | 25 |

Refunds are not given after 30 days. Error ERR-1042 means that the card was declined.

To change your plan:

- Open Billing in the settings.
- Choose the new plan and press Confirm.
"""
VERTRAG = """# Kündigung

Die Kündigungsfrist beträgt drei Monate zum Quartalsende. Die Kündigung muss schriftlich erfolgen. \
Eine Kündigung per Fax wird nicht angenommen.
"""
TEXTS = {"handbook.md": HANDBOOK, "billing.md": BILLING, "vertrag.md": VERTRAG}


def source_of(uri: str, title: str | None = None) -> Source:
    return Source(f"id-{uri}", uri, "hash", "text/markdown", title or uri.partition(".")[0].title())


def packed_source(text: str, number: int = 1, title: str = "Handbook", start: int = 0) -> PackedSource:
    source = source_of(f"doc{number}.md", title)
    return PackedSource(number, source, text, start, start + len(text), (), None, 1.0, len(text) // 4)


def chunks_of(uri: str, text: str) -> list[Hit]:
    """Paragraphs as chunks, in order."""
    hits, headings = [], ()
    for ordinal, match in enumerate(re.finditer(r"\S.*?(?=\n[ \t]*\n|\Z)", text, re.DOTALL)):
        piece = match.group().rstrip()
        if piece.startswith("#"):
            headings = (piece.lstrip("# "),)
        chunk = Chunk(
            f"{uri}-{ordinal}",
            f"id-{uri}",
            piece,
            match.start(),
            match.start() + len(piece),
            headings,
            None,
            len(piece) // 4,
            ordinal,
        )
        hits.append(Hit(chunk, source_of(uri), 0.0))
    return hits


class MemoryIndex:
    """Whole-word BM25 over paragraphs, no vectors."""

    def __init__(self, texts: Mapping[str, str] = TEXTS) -> None:
        self._texts = {f"id-{uri}": text for uri, text in texts.items()}
        self._hits = {hit.chunk.id: hit for uri, text in texts.items() for hit in chunks_of(uri, text)}
        self._words = {
            key: [stem(w) for w in re.findall(r"\w+", hit.chunk.text)] for key, hit in self._hits.items()
        }

    def search_words(self, scope: Scope, query: str, k: int) -> list[tuple[str, float]]:
        asked = {stem(word) for word in re.findall(r"\w+", query)}
        n, found = self.document_frequency(scope, list(asked))
        scored = []
        for key, words in self._words.items():
            score = sum(
                math.log((n + 1) / (found[term] + 0.5)) * 2.2 * words.count(term) / (words.count(term) + 1.2)
                for term in asked
                if term in words
            )
            if score > 0:
                scored.append((key, score))
        return sorted(scored, key=lambda pair: (-pair[1], pair[0]))[:k]

    def search_vectors(self, scope: Scope, vector: Vectors, k: int) -> list[tuple[str, float]]:
        return []

    def hits(self, scope: Scope, scored: Sequence[tuple[str, float]]) -> list[Hit]:
        return [
            Hit(self._hits[key].chunk, self._hits[key].source, score, {"lexical": score})
            for key, score in scored
        ]

    def vectors(self, scope: Scope, chunk_ids: Sequence[str]) -> dict[str, Vectors]:
        return {}

    def source_text(self, scope: Scope, source_id: str) -> str:
        if source_id not in self._texts:
            raise UnknownSource(f"There is no document {source_id}.", source=source_id)
        return self._texts[source_id]

    def source_blocks(self, scope: Scope, source_id: str) -> Sequence[Block]:
        return ()

    def document_frequency(self, scope: Scope, terms: Sequence[str]) -> tuple[int, dict[str, int]]:
        return len(self._words), {
            term: sum(stem(term) in words for words in self._words.values()) for term in terms
        }

    def pending_vectors(self, scope: Scope) -> int:
        return len(self._hits)


class WordRetriever:
    def __init__(self, index: MemoryIndex) -> None:
        self._index = index

    def retrieve(self, question: str, scope: Scope, k: int) -> Retrieval:
        hits = self._index.hits(scope, self._index.search_words(scope, question, k))
        return Retrieval(question, tuple(hits), "lexical")


def parts(chat: ChatModel | None = None, texts: Mapping[str, str] = TEXTS, **settings: object) -> AnswerParts:
    index = MemoryIndex(texts)
    return AnswerParts(Settings(**settings), WordRetriever(index), index, None, chat)  # type: ignore[arg-type]


def sentences_of(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]
