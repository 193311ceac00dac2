"""Prompts from template files, and the fence that keeps retrieved text from being more than text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rag.core.types import Message, PackedSource
from rag.guard.injected import without_orders
from rag.llm.template import Template, fill, load_template, parse_template
from rag.markers import MARKER

PLACEHOLDERS: Final = frozenset(["question", "sources"])

# What could be read as the end of a source, as a turn of the chat, or as a marker of ours.
_INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]")
_FENCE = re.compile(r"<(?=\s*/?\s*(?:source|sources|question|system|user|assistant)\b)", re.IGNORECASE)
# Control tokens of open models: servers read them in a message's content too. Theirs are <|name|>, <a_name>, [NAME]
# and a few short ones.
_CHAT_TOKEN = re.compile(
    r"<\|[^|<>\n]{1,40}\|>|<｜[^<>\n]{1,40}｜>|<(?=\||｜)"
    r"|<(?=/?(?:\w+_\w*|s|unk|pad|bos|eos|mask|think|reponame|filename|unused\d+|SYS)>)"
    r"|\[(?=/?(?:[A-Z]+_[A-Z_]+|INST|SYS|THINK|IMG|ARGS|PREFIX|MIDDLE|SUFFIX)\])",
    re.IGNORECASE,
)
_ROLE = re.compile(
    r"(^|[\r\v\f\x85\u2028\u2029])([ \t>*#]*(?:system|assistant|user|human|developer|tool))(\**)[ \t]*:(?=\s|\*)",
    re.IGNORECASE | re.MULTILINE,
)
_ECHO = re.compile(r"</?sources?\b[^<>]*>[ \t]*\n?", re.IGNORECASE)
_ROUND = str.maketrans("[]【】", "()()")


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """A system and a user part with placeholders; ``version`` is a hash of the file."""

    name: str
    system: str
    user: str
    version: str

    def messages(
        self,
        question: str,
        sources: Sequence[PackedSource],
        history: Sequence[Message] = (),
        heads: Mapping[int, str] | None = None,
    ) -> tuple[Message, ...]:
        """The whole prompt: system part, earlier turns, then the question with its sources. ``heads``: see
        ``rag.passages.heads``."""
        values = {"question": harmless(question), "sources": render_sources(sources, heads)}
        return (
            Message("system", fill(self.system, values)),
            *(Message(turn.role, harmless(turn.content)) for turn in history if turn.role != "system"),
            Message("user", fill(self.user, values)),
        )


def load_prompt(name: str) -> PromptTemplate:
    """A template by its name in ``rag/prompts/`` ("answer", "answer@brief") or by path. Raises ``SettingsError`` if it
    cannot be read, or a placeholder is missing or unknown."""
    return _of(load_template(name, PLACEHOLDERS))


def parse_prompt(name: str, text: str) -> PromptTemplate:
    """Raises ``SettingsError`` for a template without its two parts or with wrong placeholders."""
    return _of(parse_template(name, text, PLACEHOLDERS))


def _of(template: Template) -> PromptTemplate:
    return PromptTemplate(template.name, template.system, template.user, template.version)


def render_sources(sources: Sequence[PackedSource], heads: Mapping[int, str] | None = None) -> str:
    return "\n\n".join(render_source(source, (heads or {}).get(source.number, "")) for source in sources)


def render_source(source: PackedSource, head: str = "") -> str:
    """One fenced, numbered source with its title, page and section; ``head``: the header of the table that it
    begins in the middle of."""
    page = f' page="{source.page}"' if source.page is not None else ""
    section = " > ".join(source.heading_path)
    where = f' section="{_attribute(section)}"' if section else ""
    title = _attribute(source.source.title)
    return f'<source id="{source.number}" title="{title}"{page}{where}>\n{harmless(head + without_orders(source.text))}\n</source>'


def harmless(text: str) -> str:
    """The text with everything defused that a prompt or an answer gives a meaning to: fences, turns, markers.

    For the prompt only: what is quoted and verified is the original.
    """
    text = _INVISIBLE.sub("", text)
    text = _CHAT_TOKEN.sub(lambda match: "‹" + match.group()[1:].replace("|", "¦").replace(">", "›"), text)
    text = _FENCE.sub("‹", text)
    text = _ROLE.sub(r"\1\2\3 -", text)
    return MARKER.sub(lambda match: match.group().translate(_ROUND), text)


def without_fences(text: str) -> str:
    """What a model wrote, without fences of ours that it copied."""
    return _ECHO.sub("", text)


def _attribute(text: str) -> str:
    return re.sub(r"[\s\"<>]+", " ", harmless(text)).strip()[:160]
