"""Which model a request is for: the rule is data, and its reason is told with the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from rag.core.types import ChatRequest

Tier: TypeAlias = Literal["small", "strong"]


@dataclass(frozen=True, slots=True)
class Rule:
    """When the strong model is worth its price."""

    strong_below: float = 0.8
    """Confidence of the retrieval, in [0, 1]."""
    strong_chars: int = 300
    """Length of the question."""


@dataclass(frozen=True, slots=True)
class Route:
    tier: Tier
    reason: str


def routed(request: ChatRequest, rule: Rule) -> Route:
    """Routine work goes to the small model; so do answers where retrieval is sure and the question short."""
    if request.purpose != "answer":
        return Route("small", f"small: {request.purpose}")
    confidence = request.signals.get("confidence")
    n_chars = request.signals.get("question_chars", 0.0)
    if confidence is None:
        return Route("strong", "strong: how sure retrieval is, is not known")
    if confidence < rule.strong_below:
        return Route("strong", f"strong: confidence {confidence:.2f} is below {rule.strong_below:g}")
    if n_chars > rule.strong_chars:
        return Route("strong", f"strong: {n_chars:.0f} characters are more than {rule.strong_chars}")
    return Route("small", f"small: confidence {confidence:.2f}, {n_chars:.0f} characters")
