"""``/metrics`` for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Response

from api.deps import Door
from api.metrics import MEDIA_TYPE, PrometheusMeter

router = APIRouter(tags=["health"])


@router.get("/metrics", summary="Numbers for Prometheus", response_class=Response)
def metrics(footnote: Door) -> Response:
    """Requests, tokens, cost, latency, queues, caches, breakers, fallbacks."""
    meter = footnote.meter
    page = meter.page() if isinstance(meter, PrometheusMeter) else b""
    return Response(page, media_type=MEDIA_TYPE)
