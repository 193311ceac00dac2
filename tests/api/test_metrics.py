from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.metrics import PrometheusMeter
from rag.llm.meter import COUNTERS, GAUGES, TIMES_S


def values(page: bytes) -> dict[str, float]:
    return {
        f"{sample.name}{dict(sorted(sample.labels.items())) or ''}": sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


def test_every_number_of_the_layers_has_a_place() -> None:
    meter = PrometheusMeter()
    for name, labels in COUNTERS.items():
        meter.count(name, 2, **dict.fromkeys(labels, "x"))
    for name, labels in TIMES_S.items():
        meter.time(name, 0.2, **dict.fromkeys(labels, "x"))
    for name, labels in GAUGES.items():
        meter.gauge(name, 3, **dict.fromkeys(labels, "x"))
    found = values(meter.page())
    assert found["footnote_chat_requests_total{'model': 'x', 'outcome': 'x'}"] == 2
    assert found["footnote_chat_latency_seconds_sum{'model': 'x'}"] == pytest.approx(0.2)
    assert found["footnote_chat_breaker_state{'server': 'x'}"] == 3
    assert len({name.partition("{")[0] for name in found}) >= len(COUNTERS) + len(TIMES_S) + len(GAUGES)


def test_two_in_one_process_do_not_share_their_numbers() -> None:
    first, second = PrometheusMeter(), PrometheusMeter()
    first.count("questions", mode="llm")
    assert "questions_total{" in first.page().decode()
    assert "questions_total{" not in second.page().decode()


def test_a_name_that_is_none_is_a_bug_and_not_a_new_metric() -> None:
    with pytest.raises(KeyError):
        PrometheusMeter().count("invented")
