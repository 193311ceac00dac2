"""``footnote usage``: what the chat models were used for and what it cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rag.core.settings import Settings
from rag.llm.ledger import By, Spent, usage_by
from rag.llm.serving_db import FILE


def usage(settings: Settings, by: By, days: int) -> dict[str, Any]:
    """Sums by the column, their total, and what is left of today's budget. Raises ``StoreError``."""
    path = Path(settings.store) / FILE
    rows = usage_by(path, by, days=days) if path.is_file() else []
    total = Spent()
    for _, one in rows:
        total.merge(one)
    today = dict(usage_by(path, "tenant", days=1)) if path.is_file() else {}
    budget = settings.budget_usd_per_day
    left = {tenant: max(0.0, budget - one.cost_usd) for tenant, one in today.items()} if budget else {}
    return {
        "by": by,
        "days": days,
        "rows": [{by: name, **_values(one)} for name, one in rows],
        "total": _values(total),
        "budget_usd_per_day": budget,
        "left_today_usd": left,
    }


def show_usage(found: dict[str, Any]) -> None:
    from api.terminal import line, say

    if not found["rows"]:
        say(f"No chat model was used in the last {found['days']} days.")
        return
    rows = [[found["by"], "requests", "input tokens", "output tokens", "cached", "US$"]]
    for row in (*found["rows"], {found["by"]: "in all", **found["total"]}):
        counts = (row[name] for name in ("n_requests", "input_tokens", "output_tokens", "cached_tokens"))
        rows.append([line(row[found["by"]]) or "-", *(f"{n:,}" for n in counts), f"{row['cost_usd']:.4f}"])
    first, *others = (max(map(len, column)) for column in zip(*rows, strict=True))
    for name, *cells in rows:
        say("  ".join([name.ljust(first), *(cell.rjust(n) for cell, n in zip(cells, others, strict=True))]))
    for tenant, left in found["left_today_usd"].items():
        say(f"Left today of ${found['budget_usd_per_day']:g} for {tenant}: ${left:.4f}")


def _values(one: Spent) -> dict[str, int | float]:
    return {
        "n_requests": one.n_requests,
        "input_tokens": one.input_tokens,
        "output_tokens": one.output_tokens,
        "cached_tokens": one.cached_tokens,
        "cost_usd": round(one.cost_usd, 8),
    }
