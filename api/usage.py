"""``footnote usage``: what the chat models were used for and what it cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from api.terminal import count, line, say
from rag.core.settings import Settings
from rag.llm.ledger import By, Spent, usage_by
from rag.llm.models import lookup
from rag.llm.serving_db import FILE


def usage(settings: Settings, by: By, days: int) -> dict[str, Any]:
    """Sums by the column, their total, and what is left of today's budget. Raises ``StoreError``, ``SettingsError``."""
    path = Path(settings.store) / FILE

    def sums(by: By, days: int) -> list[tuple[str, Spent]]:
        return usage_by(path, by, days=days) if path.is_file() else []

    rows, total = sums(by, days), Spent()
    for _, one in rows:
        total.merge(one)
    budget = settings.budget_usd_per_day
    today = {"default": Spent(), **dict(sums("tenant", 1))} if budget else {}
    return {
        "by": by,
        "days": days,
        "rows": [{by: name, **_values(one)} for name, one in rows],
        "total": _values(total),
        "without_price": [
            name for name, _ in sums("model", days) if not lookup(name, settings.models_file).is_priced
        ],
        "budget_usd_per_day": budget,
        "left_today_usd": {
            tenant: round(max(0.0, (budget or 0.0) - one.cost_usd), 8) for tenant, one in today.items()
        },
    }


def show_usage(found: dict[str, Any]) -> None:
    if found["rows"]:
        _show_table(found)
    else:
        say(f"No chat model was used in the last {count(found['days'], 'day')}.")
    for model in found["without_price"]:
        say(f"No price of {line(model)} is known, so it counts as $0; put its prices into models_file.")
    for tenant, left in found["left_today_usd"].items():
        say(f"Left today of ${found['budget_usd_per_day']:g} for {line(tenant)}: ${left:.4f}")


def _show_table(found: dict[str, Any]) -> None:
    rows = [[found["by"], "requests", "input tokens", "output tokens", "cached", "US$"]]
    for row in (*found["rows"], {found["by"]: "in all", **found["total"]}):
        counts = (row[name] for name in ("n_requests", "input_tokens", "output_tokens", "cached_tokens"))
        rows.append([line(row[found["by"]]) or "-", *(f"{n:,}" for n in counts), f"{row['cost_usd']:.4f}"])
    first, *others = (max(map(len, column)) for column in zip(*rows, strict=True))
    for name, *cells in rows:
        say("  ".join([name.ljust(first), *(cell.rjust(n) for cell, n in zip(cells, others, strict=True))]))


def _values(one: Spent) -> dict[str, int | float]:
    return {
        "n_requests": one.n_requests,
        "input_tokens": one.input_tokens,
        "output_tokens": one.output_tokens,
        "cached_tokens": one.cached_tokens,
        "cost_usd": round(one.cost_usd, 8),
    }
