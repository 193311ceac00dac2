"""What routes ask for."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request

from api.schemas import KnowledgeBaseName
from rag.wiring import Footnote


def _footnote(request: Request) -> Footnote:
    footnote: Footnote = request.app.state.footnote
    return footnote


Door = Annotated[Footnote, Depends(_footnote)]
InKnowledgeBase = Annotated[KnowledgeBaseName | None, Query(alias="kb", description="Knowledge base.")]
