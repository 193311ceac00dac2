"""The values that flow through Footnote. Every one is frozen; offsets are characters, never bytes.

The one rule all of them keep: ``document.text[chunk.start:chunk.end] == chunk.text``, always, so that a
citation can be opened at its page and highlighted to the character.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, TypeAlias

MetaValue: TypeAlias = str | int | float | bool


class BlockKind(StrEnum):
    HEADING = "heading"
    PARAGRAPH = "paragraph"
    LIST = "list"
    TABLE = "table"
    CODE = "code"
    QUOTE = "quote"
    HIDDEN = "hidden"
    """Text a reader of the original would not see (zero-size, white on white, comments)."""


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch ``text[start:end]`` of a document: what it is and where it stands."""

    start: int
    end: int
    kind: BlockKind
    heading_path: tuple[str, ...] = ()
    """The headings above it, outermost first. A heading block's own text is the last entry."""
    page: int | None = None
    """1-based page, slide or sheet number where the format has one."""


@dataclass(frozen=True, slots=True)
class LoadedDocument:
    """What a loader makes of one file: one canonical text and a map of its blocks.

    Blocks are in reading order, do not overlap, and lie inside the text; text between blocks is white
    space or markup that belongs to no block.
    """

    text: str
    blocks: tuple[Block, ...]
    media_type: str
    title: str | None = None
    """A title found in the content or the format's metadata; None if there is none (never the file's name)."""
    metadata: Mapping[str, MetaValue] = field(default_factory=dict)
    """Front matter, author, date, language … as the file states them; keys are lower case."""
    warnings: tuple[str, ...] = ()
    """What a reader should know of the extraction: "page 3 has no text layer"."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file of a knowledge base, in the version that is live."""

    id: str
    """Stable for (knowledge base, root, path): 32 hex digits."""
    uri: str
    """Path relative to the ingested root, with forward slashes."""
    content_hash: str
    media_type: str
    title: str
    """The document's own title, else its file name without the ending."""
    metadata: Mapping[str, MetaValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Document:
    source: Source
    text: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class ChunkSpan:
    """A chunk before it belongs to a stored source: where it is and what stands above it."""

    start: int
    end: int
    heading_path: tuple[str, ...]
    page: int | None
    n_tokens: int
    """Tokens of ``embedding_text`` in the embedder's own tokenizer, special tokens included."""
    embedding_text: str
    """What the encoder sees: the prefix (title, headings) and the chunk's text."""


@dataclass(frozen=True, slots=True)
class Chunk:
    id: str
    source_id: str
    text: str
    start: int
    end: int
    heading_path: tuple[str, ...]
    page: int | None
    n_tokens: int
    ordinal: int = 0
    """Position among the chunks of its document, from 0: neighbours differ by 1."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which sources and chunks a question may see; an empty field filters nothing."""

    source: str | None = None
    """Glob on the source's path, ``**`` crosses folders."""
    type: str | None = None
    """Media type ("application/pdf") or file ending ("pdf")."""
    after: str | None = None
    """ISO date; only documents dated on or after it (front-matter date, else modification time)."""
    before: str | None = None
    """ISO date; only documents dated before it."""
    heading: str | None = None
    """Substring of a heading above the chunk, any case."""
    meta: Mapping[str, str] = field(default_factory=dict)
    """Front-matter key → value, compared as text, any case."""

    def __bool__(self) -> bool:
        return any((self.source, self.type, self.after, self.before, self.heading, self.meta))


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose documents: an argument of every read, write and delete. There is no unscoped call."""

    knowledge_base: str = "default"
    tenant: str = "default"
    filters: Filters = field(default_factory=Filters)
    groups: frozenset[str] | None = None
    """Of who asks: documents that are kept for other groups are not there for them. None sees everything."""


@dataclass(frozen=True, slots=True)
class Hit:
    chunk: Chunk
    source: Source
    score: float
    """Higher is better; comparable within one result list only."""
    origin: Mapping[str, float] = field(default_factory=dict)
    """What each retriever said of it: ``{"dense": cosine, "lexical": bm25}``; absent if it did not find it."""


@dataclass(frozen=True, slots=True)
class Retrieval:
    """The hits for one question, best first, and what the later stages may reuse."""

    question: str
    hits: tuple[Hit, ...]
    mode: Literal["hybrid", "dense", "lexical"]
    """``lexical`` while vectors are missing or the encoder cannot be used."""
    notices: tuple[str, ...] = ()
    timings_ms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PackedSource:
    """One numbered passage of the prompt: a contiguous span of one document."""

    number: int
    """1-based: what the marker ``[1]`` in an answer refers to."""
    source: Source
    text: str
    start: int
    end: int
    heading_path: tuple[str, ...]
    page: int | None
    score: float
    n_tokens: int
    chunk_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Dropped:
    """What did not fit into the prompt."""

    source: str
    start: int
    end: int
    n_tokens: int


@dataclass(frozen=True, slots=True)
class PackedContext:
    sources: tuple[PackedSource, ...]
    n_tokens: int
    dropped: tuple[Dropped, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    role: Literal["system", "user", "assistant"]
    content: str


Priority: TypeAlias = Literal["interactive", "batch"]
Purpose: TypeAlias = Literal["answer", "rewrite", "summary", "moderation"]


@dataclass(slots=True)
class Attempts:
    """How many times a request may still be sent. Copies of a request share it, so every fallback draws on it."""

    left: int = 6

    def take(self) -> bool:
        """Whether there was one left; it is used up then."""
        if self.left <= 0:
            return False
        self.left -= 1
        return True


@dataclass(frozen=True, slots=True)
class ChatRequest:
    messages: tuple[Message, ...]
    model: str = ""
    """The layer that routes fills it in; a client sends its own model's name where it is empty."""
    temperature: float = 0.0
    max_tokens: int = 512
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    response_format: Mapping[str, object] | None = None
    timeout_s: float = 60.0
    """For all of it: waiting in queues, every attempt, every fallback. Each layer passes on what is left."""
    patience: float = 1.0
    """Share of the time left when it is sent that may pass before the first delta; less where others can be asked."""
    extra: Mapping[str, object] = field(default_factory=dict)
    """Further fields of the body, sent as they are."""
    purpose: Purpose = "answer"
    priority: Priority = "interactive"
    tenant: str = "default"
    key: str = ""
    """Label of the caller's key, for the ledger; never the key itself."""
    trace_id: str = ""
    signals: Mapping[str, float] = field(default_factory=dict)
    """What routing may look at: ``confidence`` of the retrieval, ``question_chars``."""
    attempts: Attempts = field(default_factory=Attempts, compare=False)


@dataclass(frozen=True, slots=True)
class Delta:
    text: str


@dataclass(frozen=True, slots=True)
class Usage:
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    """Of the input, those that the server had in its cache."""
    estimated: bool = False
    """True when counted here because the server did not say."""
    cost_usd: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.estimated or other.estimated,
            self.cost_usd + other.cost_usd,
        )


@dataclass(frozen=True, slots=True)
class Timing:
    """Of one request to one server."""

    queued_ms: float = 0.0
    first_token_ms: float | None = None
    """From sending to the first delta; None if there was none."""
    total_ms: float = 0.0
    output_tokens_per_s: float | None = None
    """Between the first delta and the end, where that can be told."""


@dataclass(frozen=True, slots=True)
class Switched:
    """Another model goes on, because the one before failed."""

    from_model: str
    to_model: str
    reason: str
    """Code of the error: "chat-timeout"."""
    resumed: bool
    """It goes on behind deltas that were passed on already."""


@dataclass(frozen=True, slots=True)
class Done:
    finish_reason: str | None
    """What the server said ("stop", "length" …), or "interrupted": it broke off after the first delta and nobody
    could go on."""
    model: str
    timing: Timing = Timing()
    route: str | None = None
    """Why this model: "strong: confidence 0.41 is below 0.6"."""
    cached: bool = False


ChatEvent: TypeAlias = Delta | Usage | Switched | Done


class Verdict(StrEnum):
    SUPPORTED = "supported"
    WEAK = "weak"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True, slots=True)
class Citation:
    """One footnote. ``quote`` is ``document.text[start:end]`` to the character."""

    marker: int
    source: str
    """The source's path relative to the ingested root."""
    source_id: str
    title: str
    page: int | None
    heading_path: tuple[str, ...]
    start: int
    end: int
    quote: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class AnswerSentence:
    text: str
    """The sentence as shown, its markers included."""
    citations: tuple[int, ...]
    """Markers of the citations that support it."""
    verdict: Verdict


AnswerMode: TypeAlias = Literal["llm", "extractive", "canned"]


@dataclass(frozen=True, slots=True)
class ClosestSource:
    """Named when the answer abstains: where to look instead."""

    source: str
    title: str
    page: int | None
    heading_path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    text: str
    sentences: tuple[AnswerSentence, ...]
    citations: tuple[Citation, ...]
    abstained: bool
    confidence: float
    """Probability, in [0, 1], that the packed sources hold the answer."""
    mode: AnswerMode
    closest: tuple[ClosestSource, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    withheld: tuple[AnswerSentence, ...] = ()
    """Sentences the model wrote that no source supports; they are not part of ``text``."""
    unknown_markers: int = 0
    """Markers that pointed at no packed source; removed and counted."""
    notices: tuple[str, ...] = ()
    usage: Usage = field(default_factory=Usage)
    cost_usd: float = 0.0
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    trace_id: str = ""
    prompt_version: str | None = None
    chat_error: str | None = None
    """Code of the chat model's error ("chat-unreachable") where the answer does without it or stops early."""
    model: str | None = None
    """The chat model that wrote it, as its server names it."""
    route: str | None = None
    """Why that model: "strong: confidence 0.41 is below 0.8"."""
    switched: tuple[Switched, ...] = ()
    """Models that failed on the way, and what took over."""
    truncated: bool = False
    """It ends early: the server broke off, or the answer's tokens were used up."""
    cached: bool = False
    """The chat model's reply came from the cache."""
    flags: tuple[str, ...] = ()
    """What moderation objected to, as "question: violence"."""
    injected_instructions: int = 0
    """Sentences in the sources that give orders to a model; they are no evidence."""


@dataclass(frozen=True, slots=True)
class Retrieved:
    retrieval: Retrieval
    packed: PackedContext


@dataclass(frozen=True, slots=True)
class Sentence:
    """A verified sentence, released while the rest is still being written."""

    sentence: AnswerSentence
    citations: tuple[Citation, ...]


@dataclass(frozen=True, slots=True)
class Final:
    answer: Answer


AnswerEvent: TypeAlias = Retrieved | Sentence | Final
