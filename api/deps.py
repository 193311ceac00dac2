"""What routes ask for."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request

from api.auth.who import OPERATOR, Who
from api.quotas import Quotas
from api.schemas import KnowledgeBaseName
from rag.wiring import Footnote


def who_asks(request: Request) -> Who:
    who: Who = getattr(request.state, "who", OPERATOR)
    return who


def _footnote(request: Request) -> Footnote:
    """The store as the request's tenant and groups see it: what a route can reach, they may see."""
    footnote: Footnote = request.app.state.footnote
    quotas: Quotas = request.app.state.quotas
    who = who_asks(request)
    return footnote.seen_by(
        who.tenant, who.groups, key=who.label, on_question=lambda: quotas.count_questions(who)
    )


Asker = Annotated[Who, Depends(who_asks)]
Door = Annotated[Footnote, Depends(_footnote)]
InKnowledgeBase = Annotated[KnowledgeBaseName | None, Query(alias="kb", description="Knowledge base.")]
