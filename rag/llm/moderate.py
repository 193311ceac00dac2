"""Moderation of questions and answers: who judges, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, Literal, Protocol, TypeAlias

from rag.core.types import ChatRequest, Usage
from rag.llm.meter import Meter, NoMeter

Where: TypeAlias = Literal["question", "answer"]
Policy: TypeAlias = Literal["block", "flag", "pass"]

PLAIN: Final = ChatRequest(())
BLOCKED_QUESTION: Final = (
    "This question is not answered here, because it goes against the rules for what may be asked."
)
BLOCKED_ANSWER: Final = (
    "The answer is not shown, because it goes against the rules for what may be said here."
)
SELF_HARM_HELP: Final = (
    "If you think of harming yourself, please talk to somebody now: a doctor, your local emergency number, or a crisis "
    "line (findahelpline.com lists them by country)."
)
_CANNED: Final[dict[Where, str]] = {"question": BLOCKED_QUESTION, "answer": BLOCKED_ANSWER}


@dataclass(frozen=True, slots=True)
class Judgement:
    flagged: bool
    categories: tuple[str, ...] = ()
    score: float = 0.0
    """How sure, from 0 to 1; a rule is always sure."""
    by: str = ""
    """"rules", "endpoint" or "model"."""
    notice: str | None = None
    """Why nobody could judge, where nobody could: such a text counts as not flagged."""
    usage: Usage = field(default_factory=Usage)
    action: Policy = "pass"
    """What is to be done, filled in by ``checked``: "pass" for whatever is not flagged."""

    def reply(self, where: Where) -> str:
        """The canned reply in place of what is blocked."""
        help_line = (
            f" {SELF_HARM_HELP}" if any("self" in one and "harm" in one for one in self.categories) else ""
        )
        return _CANNED[where] + help_line


class Moderator(Protocol):
    async def judge(self, text: str, where: Where, like: ChatRequest = PLAIN) -> Judgement:
        """``like`` lends its tenant, priority and trace id to a request that this costs."""
        ...


async def checked(
    moderator: Moderator | None,
    text: str,
    where: Where,
    policy: Policy,
    meter: Meter | None = None,
    like: ChatRequest = PLAIN,
) -> Judgement:
    """What the moderator says of a text and, in ``action``, what the policy does about it. Without a moderator, and
    where nobody could judge, the text passes."""
    if moderator is None or policy == "pass" or not text.strip():
        return Judgement(False)
    judgement = await moderator.judge(text, where, like)
    action: Policy = policy if judgement.flagged else "pass"
    verdict = action if judgement.flagged else "failed" if judgement.notice else "pass"
    (meter or NoMeter()).count("chat_moderated", where=where, verdict=verdict)
    notice = judgement.notice
    if action == "flag":
        notice = f"Moderation objects to the {where}: {', '.join(judgement.categories)}."
    return replace(judgement, action=action, notice=notice)
