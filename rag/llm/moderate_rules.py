"""Moderation by regular expressions from a file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from rag.core.errors import SettingsError
from rag.core.types import ChatRequest
from rag.llm.moderate import PLAIN, Judgement, Where

DEFAULT_RULES: Final = Path(__file__).parent / "moderation_rules.txt"
_CATEGORY = re.compile(r"\[([a-z][a-z0-9/_-]*)\]")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")


class RulesModerator:
    def __init__(self, rules: Mapping[str, Sequence[re.Pattern[str]]]) -> None:
        """``rules``: patterns by category; see ``read_rules``."""
        self._rules = rules

    async def judge(self, text: str, where: Where, like: ChatRequest = PLAIN) -> Judgement:
        plain = " ".join(_INVISIBLE.sub("", text).split())
        broken = tuple(
            name for name, rules in self._rules.items() if any(rule.search(plain) for rule in rules)
        )
        return Judgement(bool(broken), broken, 1.0 if broken else 0.0, "rules")


def read_rules(path: Path | None = None) -> dict[str, list[re.Pattern[str]]]:
    """Patterns by category, from a file in the form of ``moderation_rules.txt``; rules before the first "[category]"
    are of the category "custom". Raises ``SettingsError``."""
    path = path or DEFAULT_RULES
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, ValueError) as exc:
        raise SettingsError(
            f"The moderation rules {path} cannot be read; correct moderation_rules.",
            setting="moderation_rules",
        ) from exc
    rules: dict[str, list[re.Pattern[str]]] = {}
    category = "custom"
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line or line.startswith("#"):
            continue
        if heading := _CATEGORY.fullmatch(line):
            category = heading.group(1)
            continue
        try:
            rules.setdefault(category, []).append(re.compile(line, re.IGNORECASE))
        except re.error as exc:
            raise SettingsError(
                f"Line {number} of the moderation rules {path} is no regular expression ({exc}); correct it.",
                setting="moderation_rules",
            ) from exc
    return rules
