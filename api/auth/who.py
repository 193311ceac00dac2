"""Who sends a request, and what that needs.

What a request needs is said here for all routes at once, so that a new route is closed until it is named.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Literal, cast, get_args

from rag.core.errors import UsageError

KeyScope = Literal["ask", "ingest", "admin"]
ALL_SCOPES: Final[frozenset[KeyScope]] = frozenset(get_args(KeyScope))
ALL_GROUPS: Final = "*"
_TENANT: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


@dataclass(frozen=True, slots=True)
class Who:
    tenant: str = "default"
    label: str = ""
    """The key's name: usage is accounted under it."""
    scopes: frozenset[KeyScope] = ALL_SCOPES
    groups: frozenset[str] | None = None
    """None sees the documents of all groups."""
    prefix: str = ""
    """Of the key; empty where none is needed."""
    requests_per_minute: int | None = None
    questions_per_day: int | None = None

    def may(self, needed: KeyScope) -> bool:
        return needed in self.scopes


OPERATOR: Final = Who()
"""Without any key whoever reaches the server, from this machine, is its operator."""


@dataclass(frozen=True, slots=True)
class _Rule:
    path: re.Pattern[str]
    needs: KeyScope | None
    methods: frozenset[str] = field(default_factory=frozenset)
    """Empty: all."""


def _rule(path: str, needs: KeyScope | None, *methods: str) -> _Rule:
    return _Rule(re.compile(path), needs, frozenset(methods))


# The first that fits decides; what none fits needs ``admin``. None: no key.
RULES: Final = (
    _rule(r"/|/docs|/openapi\.json|/healthz|/readyz|/favicon\.ico", None, "GET", "HEAD"),
    _rule(r"/(web|static|assets)/.*", None, "GET", "HEAD"),
    # A widget has tokens of its own, which its routes check.
    _rule(r"/widget(\.js|/.*)?|/v1/widget/.*", None),
    _rule(r"/v1/(ask|search)", "ask", "POST"),
    _rule(r"/v1/(chat/completions|embeddings)", "ask", "POST"),
    _rule(r"/v1/models(/.*)?", "ask", "GET", "HEAD"),
    _rule(r"/v1/(batches|conversations|feedback)(/.*)?", "ask"),
    _rule(r"/mcp(/.*)?", "ask"),
    _rule(r"/v1/documents(/.*)?", "ask", "GET", "HEAD"),
    _rule(r"/v1/documents(/.*)?", "ingest"),
    _rule(r"/v1/(jobs|ingest|ingest-jobs|ingestions)(/.*)?", "ingest"),
    _rule(r"/v1/(kbs|knowledge-bases|knowledge_bases)(/.*)?", "ask", "GET", "HEAD"),
)


def needed(method: str, path: str) -> KeyScope | None:
    """The scope that a request needs, None if it needs no key."""
    for rule in RULES:
        if (not rule.methods or method in rule.methods) and rule.path.fullmatch(path):
            return rule.needs
    return "admin"


def parsed_scopes(text: str) -> frozenset[KeyScope]:
    """From ``ask,ingest``. Raises ``UsageError``."""
    names = {name.strip() for name in text.split(",")} - {""}
    if unknown := names - ALL_SCOPES:
        raise UsageError(f"{sorted(unknown)[0][:40]!r} is no scope; choose of ask, ingest and admin.")
    if not names:
        raise UsageError("A key needs a scope; choose of ask, ingest and admin.")
    return frozenset(cast("set[KeyScope]", names))


def checked_tenant(name: str) -> str:
    """Raises ``UsageError``."""
    if not _TENANT.fullmatch(name):
        raise UsageError(
            f"{name[:80]!r} is no tenant's name; take small letters, digits, '.', '_' and '-', at most 63."
        )
    return name
