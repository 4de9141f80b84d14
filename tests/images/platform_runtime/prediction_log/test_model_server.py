"""Our model server and the collector: what was answered is in the log, once, whatever happens to the log."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from platform_runtime import event_sender

from tests.support.logged_server import PREDICT, served, until
from tests.support.prediction_log import Collector, ask

pytestmark = pytest.mark.backend


def test_the_collector_has_all_of_it_though_it_is_killed_and_comes_back(collector: Collector) -> None:
    """Bodies of up to the largest size are taken, and what is sent twice is there once."""
    with served(collector.url) as client:
        client.post(PREDICT, json=ask(), headers={"Ce-Id": "before"})  # nobody is there yet
        collector.start()
        client.post(PREDICT, json={"wish": "refuse"}, headers={"Ce-Id": "refused"})
        client.post(PREDICT, json={**ask(rows=2), "wish": "unavailable"}, headers={"Ce-Id": "failed"})
        large = {**ask(), "x": "y" * (event_sender.LARGEST - 100)}
        client.post(PREDICT, json=large, headers={"Ce-Id": "large"})
        until(lambda: collector.metric("prediction_log_events_total", kind="response", outcome="accepted") >= 4)
        collector.kill()
        for number in range(100):
            assert client.post(PREDICT, json=ask(), headers={"Ce-Id": f"a-{number}"}).status_code == 200
        collector.start()
    collector.settle()

    def known(request_id: str) -> tuple[Any, ...]:
        found = httpx.get(f"{collector.url}/v1/predictions/{request_id}").raise_for_status().json()
        rows = [(row["inputs"] is not None, row["output"] is not None) for row in found["rows"]]
        return found["model"], found["version"], found["status"], rows

    assert known("before") == known("large") == ("loan", "3", 200, [(True, True)])
    assert known("refused") == ("loan", "3", 400, [])
    assert known("failed") == ("loan", "3", 503, [(True, False)] * 2)
    assert all(known(f"a-{number}") == ("loan", "3", 200, [(True, True)]) for number in range(100))
    assert httpx.get(f"{collector.url}/v1/dead-letters").json() == []
