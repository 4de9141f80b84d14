"""Whatever dies, and however often: what was acknowledged is stored, once."""

from __future__ import annotations

import asyncio
import json
import random
import resource
import threading
from pathlib import Path

import pytest

from tests.support.prediction_log import Client, Collector, Database, answer, ask

pytestmark = pytest.mark.backend


def events(first: int, number: int) -> list[tuple[str, str, bytes]]:
    """Return the two events of each of so many predictions, in an order in which halves come long before or after."""
    found = [
        (kind, f"id-{each}", json.dumps(body(each)).encode())
        for each in range(first, first + number)
        for kind, body in (("request", ask), ("response", answer))
    ]
    random.Random(first).shuffle(found)  # noqa: S311 (an order)
    return found


def send(client: Client, found: list[tuple[str, str, bytes]]) -> threading.Thread:
    """Send in the background."""
    thread = threading.Thread(target=lambda: asyncio.run(client.send(found)))
    thread.start()
    return thread


def stored(database: Database) -> dict[tuple[str, str], float]:
    """Return kind and id of every half that is in the database, with the number that tells whose it is."""
    rows = database.query(
        "SELECT request_id, (inputs->>'income')::float - 1.5, (output->>1)::float - 0.75,"
        " request_event IS NOT NULL, response_event IS NOT NULL FROM requests JOIN predictions USING (request_id)"
    )
    found = {}
    for request_id, asked, answered, has_request, has_response in rows:
        for kind, number, there in (("request", asked, has_request), ("response", answered, has_response)):
            if there:
                # Of one row each: a second one would be found here.
                assert (kind, request_id) not in found
                found[kind, request_id] = number
    return found


def check(client: Client, database: Database) -> None:
    """Compare the ledger with the database."""
    found = stored(database)
    assert client.acknowledged
    assert client.acknowledged <= found.keys()
    assert {f"id-{number:.0f}" for number in found.values()} == {request_id for _, request_id in found}
    assert all(request_id == f"id-{number:.0f}" for (_, request_id), number in found.items())


def test_collector_is_killed_again_and_again_under_load(collector: Collector, database: Database) -> None:
    collector.start()
    client = Client(collector.port)
    for round_ in range(10):
        before = len(client.acknowledged)
        sending = send(client, events(round_ * 1000, 1000))
        while sending.is_alive() and len(client.acknowledged) < before + 37 * (round_ + 1):
            pass
        collector.kill()
        collector.start()
        sending.join()
    collector.settle()
    check(client, database)
    assert database.query("SELECT count(*) FROM dead_letters") == [(0,)]


def test_database_goes_and_comes_back_under_load(collector: Collector, database: Database) -> None:
    collector.start()
    client = Client(collector.port)
    for round_ in range(3):
        sending = send(client, events(round_ * 500, 500))
        database.server.stop()
        sending.join()
        if round_ == 1:
            collector.kill()
            collector.start()
        database.server.start()
    collector.settle()
    # The collector was there nearly all the time: nothing was refused for want of a database.
    assert len(client.acknowledged) == 3000
    check(client, database)


def test_a_collector_that_starts_without_its_database_accepts(collector: Collector, database: Database) -> None:
    database.server.stop()
    collector.start()
    assert collector.post("request", "early", ask()).status_code == 200
    assert collector.metric("prediction_log_database_up") == 0
    assert collector.metric("prediction_log_spooled_events") == 1
    database.server.start()
    collector.settle()
    assert ("request", "early") in stored(database)


def test_at_the_bound_events_are_refused_and_later_accepted_again(
    tmp_path: Path, collector: Collector, database: Database
) -> None:
    collector.others = {"PREDICTION_LOG_SPOOL_BYTES": str(1 << 20)}
    database.server.stop()
    collector.start()
    body = {"instances": [{"text": "x" * 100_000}]}
    statuses = [collector.post("request", f"id-{number}", body).status_code for number in range(12)]
    assert statuses == [200] * 10 + [503] * 2
    refused = collector.post("request", "one-more", body)
    assert refused.headers["retry-after"] == "10"
    assert "wait for the database" in refused.json()["detail"]
    assert sum(file.stat().st_size for file in (tmp_path / "spool").iterdir()) <= 1 << 20
    database.server.start()
    collector.settle()
    assert collector.post("request", "one-more", body).status_code == 200
    collector.settle()
    assert database.query("SELECT count(*) FROM requests") == [(11,)]


def test_a_full_disk_is_told_and_what_was_accepted_is_stored(collector: Collector, database: Database) -> None:
    database.server.stop()
    collector.start()
    assert collector.process
    pid = collector.process.pid
    body = {"instances": [{"text": "x" * 100_000}]}
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (350_000, resource.RLIM_INFINITY))
    answers = [collector.post("request", f"full-{number}", body) for number in range(6)]
    assert [found.status_code for found in answers] == [200, 200, 200, 507, 507, 507]
    assert "File too large" in answers[-1].json()["detail"]
    assert collector.metric("prediction_log_refused_total", reason="disk full") == 3
    # A small one still fits, and writes over what is left of the large ones.
    assert collector.post("request", "small", ask()).status_code == 200
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert collector.post("request", "later", body).status_code == 200
    collector.kill()
    database.server.start()
    collector.start()
    collector.settle()
    found = database.query("SELECT request_id FROM requests ORDER BY 1")
    assert found == [("full-0",), ("full-1",), ("full-2",), ("later",), ("small",)]


def test_a_stop_in_order_loses_nothing(collector: Collector, database: Database) -> None:
    collector.start()
    client = Client(collector.port)
    sending = send(client, events(0, 500))
    while len(client.acknowledged) < 50:
        pass
    collector.stop()
    sending.join()
    collector.start()
    collector.settle()
    check(client, database)
