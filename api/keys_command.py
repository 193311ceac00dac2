"""``footnote keys``: API keys made, listed, revoked and replaced."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api import options as opt
from api.options import settings_from
from rag.core.errors import UsageError

if TYPE_CHECKING:
    from api.auth.keys import NewKey
    from api.auth.store import KeyStore

_UNITS_S = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}

app = typer.Typer(
    help="Make, list, revoke and replace API keys.",
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

Which = Annotated[str, typer.Argument(metavar="KEY", help="The key's prefix or its name.")]
Tenant = Annotated[str | None, typer.Option("--tenant", metavar="NAME", help="Only keys of this tenant.")]


@app.command()
def create(
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="What usage is accounted under.")],
    tenant: Annotated[
        str, typer.Option("--tenant", metavar="NAME", help="Whose documents it reaches.")
    ] = "default",
    scope: Annotated[
        str, typer.Option("--scope", metavar="SCOPES", help="What it may do, of ask,ingest,admin.")
    ] = "ask",
    groups: Annotated[
        str | None,
        typer.Option(
            "--groups",
            metavar="GROUPS",
            help="Sees documents of these groups, and those of none; * is all. Without it: those of none, "
            "or all where it may ingest or administer.",
        ),
    ] = None,
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="TIME", help="Good for so long: 12h, 90d, 52w.")
    ] = None,
    per_minute: Annotated[
        int | None,
        typer.Option("--requests-per-minute", metavar="N", min=1, help="Most requests in a minute."),
    ] = None,
    per_day: Annotated[
        int | None,
        typer.Option("--questions-per-day", metavar="N", min=1, help="Most questions in 24 hours."),
    ] = None,
    store: opt.Store = None,
    as_json: opt.Json = False,
) -> int:
    """Make a key. It is shown this once."""
    from api.auth.who import ALL_GROUPS, Who, parsed_scopes

    scopes = parsed_scopes(scope)
    if groups is None:
        groups = ALL_GROUPS if {"ingest", "admin"} & scopes else ""
    seen = None if groups.strip() == ALL_GROUPS else frozenset(groups.split(",")) - {""}
    who = Who(tenant, name, scopes, seen, "", per_minute, per_day)
    lives_s = None if expires is None else seconds(expires)
    with _keys(store) as keys:
        made = keys.create(who, expires_at=None if lives_s is None else time.time() + lives_s)
    _show_new(made, as_json=as_json)
    return 0


@app.command("list")
def list_keys(tenant: Tenant = None, store: opt.Store = None, as_json: opt.Json = False) -> int:
    """List the keys, without their secrets."""
    from api.terminal import say, table

    with _keys(store) as keys:
        now = time.time()
        rows: list[dict[str, Any]] = [
            {
                "prefix": f"fn_{row.prefix}",
                "name": row.who.label,
                "tenant": row.who.tenant,
                "scopes": sorted(row.who.scopes),
                "groups": None if row.who.groups is None else sorted(row.who.groups),
                "state": row.state(now),
                "made_at": _moment(row.made_at),
                "expires_at": _moment(row.expires_at),
                "used_at": _moment(row.used_at),
            }
            for row in keys.rows(tenant)
        ]
    if as_json:
        print(json.dumps(rows, ensure_ascii=False))
    elif not rows:
        say("There are no keys; make one with 'footnote keys create --name NAME'.")
    else:
        columns = ("prefix", "name", "tenant", "scopes", "groups", "state", "expires_at", "used_at")
        table(
            [name.removesuffix("_at") for name in columns],
            [[_cell(name, row[name]) for name in columns] for row in rows],
        )
    return 0


@app.command()
def revoke(key: Which, tenant: Tenant = None, store: opt.Store = None, as_json: opt.Json = False) -> int:
    """End a key at once, or all of a name."""
    from api.terminal import say

    with _keys(store) as keys:
        ended = [f"fn_{prefix}" for prefix in keys.revoke(key, tenant)]
    if as_json:
        print(json.dumps({"revoked": ended}))
    else:
        say(f"Revoked {', '.join(ended)}.")
    return 0


@app.command()
def rotate(
    key: Which,
    overlap: Annotated[
        str, typer.Option("--overlap", metavar="TIME", help="The old key stays good for so long.")
    ] = "24h",
    expires: Annotated[
        str | None,
        typer.Option("--expires", metavar="TIME", help="The new key's; as long as the old one's else."),
    ] = None,
    tenant: Tenant = None,
    store: opt.Store = None,
    as_json: opt.Json = False,
) -> int:
    """Make a key in the place of another, with its name, scopes and groups. It is shown this once."""
    lives_s = None if expires is None else seconds(expires)
    with _keys(store) as keys:
        made = keys.rotate(key, tenant, overlap_s=seconds(overlap), lives_s=lives_s)
    _show_new(made, as_json=as_json)
    return 0


def seconds(text: str) -> int:
    """From 90d. Raises ``UsageError``."""
    found = re.fullmatch(r"(\d{1,6})([mhdw])", text.strip())
    if not found:
        raise UsageError(f"{text[:40]!r} is no length of time; write it like 30m, 12h, 90d or 52w.")
    return int(found.group(1)) * _UNITS_S[found.group(2)]


class _keys:
    """The store's keys, closed again."""

    def __init__(self, store: Any) -> None:
        from api.auth.store import KeyStore

        self._keys: KeyStore = KeyStore(settings_from(store).store)

    def __enter__(self) -> KeyStore:
        return self._keys

    def __exit__(self, *_: object) -> None:
        self._keys.close()


def _show_new(made: NewKey, *, as_json: bool) -> None:
    from api.terminal import say

    if as_json:
        print(json.dumps({"key": made.text, "prefix": f"fn_{made.prefix}"}))
        return
    print(made.text)
    say("Keep it now: it cannot be shown again.", err=True)


def _moment(at_s: float | None) -> str | None:
    return None if at_s is None else datetime.fromtimestamp(at_s, UTC).isoformat(timespec="minutes")


def _cell(name: str, value: Any) -> str:
    from api.terminal import line

    if name == "groups" and value is None:
        return "*"
    return line(", ".join(value) if isinstance(value, list) else str(value or "-"))
