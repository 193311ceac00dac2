from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.core.settings import Settings
from rag.core.text import sentence_spans
from rag.core.types import Chunk, Hit, Message, PackedContext
from rag.fit import Fitted, fit
from rag.llm.tokens import EstimatedCounter, TiktokenCounter, count_messages
from rag.pack import pack
from rag.prompt import load_prompt, parse_prompt
from tests.rag.memory import source_of

COUNTER = TiktokenCounter("gpt-4")
TEMPLATE = load_prompt("answer")
TWICE = parse_prompt("twice", "<!-- system -->\n{{sources}}\n<!-- user -->\n{{sources}}\n{{question}}")
POLICY = "You can carry over up to five unused vacation days until March 31. Ask your team lead first."
REFUNDS = "Refunds are given within 30 days. After that we offer store credit for the same amount."
# Words, numbers, markup, code and scripts that a tokenizer needs many tokens for.
PIECE = st.sampled_from(
    ["The plan costs $19 per month. ", "Five days! ", "\n\n", "| a | b |\n|---|---|\n| 1 | 2 |\n", "x" * 60 + " ",
     "鍵は受付で受け取る。", "🧾🧾 ", "ERR-1042: ", "- Open the lid.\n", "</source>", "<|im_end|>", "system: ", "# Head\n\n", "ﷺ̶̢"]
) | st.text(max_size=20)  # fmt: skip
TEXT = st.lists(PIECE, min_size=1, max_size=30).map("".join).filter(str.strip)
LONG = st.lists(PIECE, min_size=30, max_size=60).map("".join)


def hits_of(texts: dict[str, str], size: int = 120) -> list[Hit]:
    """Each text in chunks of about ``size`` characters that end where a sentence does; scores fall."""
    hits: list[Hit] = []
    for uri, text in texts.items():
        spans: list[tuple[int, int]] = []
        for start, end in sentence_spans(text):
            if spans and end - spans[-1][0] <= size:
                spans[-1] = (spans[-1][0], end)
            else:
                spans.append((start, end))
        for ordinal, (start, end) in enumerate(spans):
            chunk = Chunk(f"{uri}{ordinal}", f"id-{uri}", text[start:end], start, end, (), None, 9, ordinal)
            hits.append(Hit(chunk, source_of(uri), 1.0 / (1 + len(hits))))
    return hits


def packed(
    texts: dict[str, str], hits: list[Hit], max_tokens: int = 3000, question: str = ""
) -> PackedContext:
    return pack(question, hits, lambda key: texts[key.removeprefix("id-")], COUNTER, max_tokens)


def fitted(
    texts: dict[str, str],
    question: str = "How?",
    history: tuple[Message, ...] = (),
    window: int = 8192,
    template: object = TEMPLATE,
) -> Fitted:
    chosen = Settings(answer_tokens=128)
    return fit(question, question, hits_of(texts), template, history, lambda key: texts[key.removeprefix("id-")], COUNTER, chosen, window)  # type: ignore[arg-type]  # fmt: skip


@settings(max_examples=60)
@given(
    st.lists(TEXT | LONG, min_size=1, max_size=4),
    st.lists(st.tuples(st.sampled_from(["user", "assistant"]), TEXT), max_size=4),
    TEXT,
    st.integers(512, 1400),
    st.sampled_from([TEMPLATE, TWICE]),
)
def test_a_prompt_never_exceeds_the_window_less_the_answers_reserve(
    texts: list[str], turns: list[tuple[str, str]], question: str, window: int, template: object
) -> None:
    named = {f"{n}.md": text for n, text in enumerate(texts)}
    history = tuple(Message(role, text) for role, text in turns)  # type: ignore[arg-type]
    result = fitted(named, question, history, window, template)
    assert count_messages(COUNTER, result.messages) <= window - 128
    for source in result.packed.sources:
        assert named[source.source.uri][source.start : source.end] == source.text
    assert [source.number for source in result.packed.sources] == [*range(1, len(result.packed.sources) + 1)]


@settings(max_examples=60)
@given(st.lists(TEXT, min_size=1, max_size=4), st.integers(0, 300))
def test_every_character_of_the_hits_is_packed_or_reported_dropped(texts: list[str], room: int) -> None:
    named = {f"{n}.md": text for n, text in enumerate(texts)}
    hits = hits_of(named)
    result = packed(named, hits, room)
    spans = [(one.source.uri, one.start, one.end) for one in result.sources]
    spans += [(one.source, one.start, one.end) for one in result.dropped]
    for hit in hits:
        seen = {at for uri, start, end in spans if uri == hit.source.uri for at in range(start, end)}
        lost = [at for at in range(hit.chunk.start, hit.chunk.end) if at not in seen]
        assert not named[hit.source.uri][lost[0] : lost[-1] + 1].strip() if lost else True


def test_a_passage_too_long_is_cut_to_whole_sentences_and_the_rest_is_reported() -> None:
    sentences = [f"Rule {n} says that the visitors of room {n} wear a badge." for n in range(40)]
    text = " ".join(sentences)
    result = packed({"rules.md": text}, hits_of({"rules.md": text}), 200, "Who wears a badge in room 17?")
    [source] = result.sources
    shown = [text[start:end] for start, end in sentence_spans(text, source.start, source.end)]
    assert set(shown) < set(sentences)
    assert sum(one.end - one.start for one in result.dropped) > 0
    assert {one.source for one in result.dropped} == {"rules.md"}
    assert all(one.n_tokens > 0 for one in result.dropped)


def test_the_sentence_that_has_the_questions_words_survives_the_cut() -> None:
    text = " ".join([*(f"Filler sentence {n} is about nothing." for n in range(30)), POLICY])
    hit = Hit(Chunk("c", "id-a.md", text, 0, len(text), (), None, 9, 0), source_of("a.md"), 1.0)
    [source] = packed({"a.md": text}, [hit], 90, "How many vacation days can I carry over?").sources
    assert "carry over up to five unused vacation days" in source.text


def test_a_row_is_cut_out_together_with_its_header() -> None:
    rows = [f"| Part {n} | {n} EUR |" for n in range(40)]
    text = "\n".join(["| Part | Price |", "|---|---|", *rows[:6]]) + "\n\n" + "Much other text is here. " * 40
    hit = Hit(Chunk("c", "id-p.md", text, 0, len(text), (), None, 9, 0), source_of("p.md"), 1.0)
    [source] = packed({"p.md": text}, [hit], 110, "What is the price of part 4?").sources
    assert "| Part | Price |" in source.text
    assert "| Part 4 | 4 EUR |" in source.text


def test_neighbouring_chunks_become_one_passage() -> None:
    text = POLICY + "\n\n" + REFUNDS
    hits = hits_of({"a.md": text}, size=60)
    assert len(hits) > 2
    [source] = packed({"a.md": text}, hits[::-1]).sources
    assert source.text == text
    assert source.chunk_ids == tuple(hit.chunk.id for hit in hits)


def test_hits_far_apart_in_a_document_stay_apart_in_reading_order() -> None:
    text = POLICY + "\n\n" + "Nothing of interest stands here. " * 30 + "\n\n" + REFUNDS
    hits = hits_of({"a.md": text})
    result = packed({"a.md": text}, [hits[-1], hits[0]])
    assert [source.text[:7] for source in result.sources] == ["You can", "Refunds"]
    assert [source.number for source in result.sources] == [1, 2]


def test_identical_passages_are_packed_once_and_the_other_is_reported() -> None:
    texts = {"a.md": POLICY, "b.md": POLICY, "c.md": REFUNDS}
    result = packed(texts, hits_of(texts))
    assert [source.source.uri for source in result.sources] == ["a.md", "c.md"]
    assert [one.source for one in result.dropped] == ["b.md"]


@pytest.mark.parametrize(
    ("old", "new"), [("30 days", "14 days"), ("are given", "are not given")], ids=["number", "denial"]
)
def test_two_versions_that_differ_in_one_word_that_matters_are_both_packed(old: str, new: str) -> None:
    long = (
        REFUNDS
        + " "
        + " ".join(f"Word{chr(97 + n % 26)} follows in sentence {chr(97 + n)}." for n in range(26))
    )
    texts = {"2025.md": long, "2026.md": long.replace(old, new)}
    hits = [
        Hit(Chunk(uri, f"id-{uri}", text, 0, len(text), (), None, 9, 0), source_of(uri), 1.0)
        for uri, text in texts.items()
    ]
    assert len(packed(texts, hits).sources) == 2


def test_hits_whose_text_is_no_longer_the_documents_are_left_out() -> None:
    hits = hits_of({"a.md": POLICY})
    assert packed({"a.md": "Another text altogether."}, hits).sources == ()


def test_old_turns_give_way_to_sources_and_are_counted() -> None:
    turns = tuple(
        Message(role, f"Turn {n}. " + "Words of an earlier turn. " * 40)
        for n in range(10)
        for role in ("user", "assistant")
    )
    result = fitted({"a.md": POLICY}, history=turns, window=2048)
    assert result.packed.sources
    assert result.n_turns_left_out > 0
    assert [message.role for message in result.messages[:2]] == ["system", "user"]
    assert result.messages[-2].content == turns[-1].content


def test_a_template_that_holds_the_sources_twice_fits_too() -> None:
    text = " ".join(f"Rule {n} says that the visitors of room {n} wear a badge." for n in range(60))
    result = fitted({"rules.md": text}, window=900, template=TWICE)
    assert result.packed.sources
    assert 900 - 128 - 200 < count_messages(COUNTER, result.messages) <= 900 - 128


def test_a_question_without_room_for_sources_makes_no_prompt() -> None:
    result = fitted({"a.md": POLICY}, question="Why is that so? " * 200, window=600)
    assert (result.messages, result.packed.sources) == ((), ())
    assert [one.source for one in result.packed.dropped] == ["a.md"]


def test_the_best_passage_is_packed_first_then_value_per_token() -> None:
    texts = {"best.md": POLICY, "long.md": "A long story without a point. " * 60, "short.md": REFUNDS}
    result = packed(texts, hits_of(texts, size=5000), 130)
    assert result.sources[0].source.uri == "best.md"
    assert "short.md" in [source.source.uri for source in result.sources]


def test_packing_without_a_tokenizer_uses_estimates() -> None:
    texts = {"a.md": POLICY}
    result = pack("", hits_of(texts), lambda key: POLICY, EstimatedCounter(), 300)
    assert re.match("You can carry", result.sources[0].text)
