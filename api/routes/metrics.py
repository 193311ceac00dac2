"""``/metrics`` for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from api.metrics import MEDIA_TYPE, PrometheusMeter

router = APIRouter(tags=["health"])


@router.get("/metrics", summary="Numbers for Prometheus", response_class=Response)
def metrics(request: Request) -> Response:
    """Requests, tokens, cost, latency, queues, caches, breakers, fallbacks."""
    meter: PrometheusMeter = request.app.state.meter
    return Response(meter.page(), media_type=MEDIA_TYPE)
