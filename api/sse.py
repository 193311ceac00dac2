"""Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from __future__ import annotations

import json
from typing import Any

EVENT_STREAM = "text/event-stream"


def event(name: str, data: Any) -> bytes:
    """One event; JSON has no line breaks of its own, so one data line holds it."""
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()
