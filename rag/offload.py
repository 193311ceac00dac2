"""The one place where work that keeps a core busy leaves the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def off_loop(work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs ``work`` in a thread and waits for it; the loop goes on meanwhile."""
    return await asyncio.to_thread(work, *args, **kwargs)
