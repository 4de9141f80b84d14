"""The collector as others meet it: what it takes, what it refuses, what it tells."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import sqlalchemy
from cabc_platform.trace.canonical import data_digest

from tests.support.prediction_log import Collector, Database, Server, answer, ask, headers

pytestmark = pytest.mark.backend


@pytest.fixture(scope="module")
def collector(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    database = Database(server, server.found.new_database())
    rules = {"loan": {"race": "hash"}}
    others = {
        "PREDICTION_LOG_RULES": json.dumps(rules),
        "PREDICTION_LOG_ARCHIVE_SECONDS": "0.2",
        "PREDICTION_LOG_BODY_BYTES": "20000",
    }
    found = Collector(tmp_path_factory.mktemp("collector"), database.url, others).start()
    yield found
    found.stop()


@pytest.fixture(scope="module")
def client(collector: Collector) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=collector.url, timeout=30) as client:
        yield client


def test_a_prediction_is_found_by_its_id_with_its_truths(collector: Collector, client: httpx.Client) -> None:
    request_id = "client's/own id 1"
    assert collector.post("request", request_id, ask(rows=2)).status_code == 200
    assert collector.post("response", request_id, answer(rows=2)).status_code == 200
    truth = {"request_id": request_id, "row": 1, "value": 1, "reviewer": "Ann", "confidence": 0.9, "source": "form"}
    told = client.post("/v1/truths", json=[truth])
    assert (told.status_code, told.json()) == (202, {"accepted": 1})
    csv = f'request_id,value,kind\n"{request_id}",2.5,business\n'
    assert client.post("/v1/truths/file", content=csv, headers={"content-type": "text/csv"}).status_code == 202
    collector.settle()
    found = client.get(f"/v1/predictions/{request_id}").raise_for_status().json()
    assert (found["model"], found["version"], found["run_id"], found["status"]) == ("loan", "3", "r1", 200)
    assert found["latency_ms"] == 150.0
    assert [row["output"] for row in found["rows"]] == answer(rows=2)["predictions"]
    assert found["rows"][0]["inputs"]["race"].startswith("hmac-sha256:")
    assert data_digest(found["rows"]) == found["content_digest"]
    first, second = found["truths"]
    assert truth.items() - {("request_id", request_id)} <= first.items()
    assert (second["kind"], second["value"], second["row"]) == ("business", 2.5, None)


def test_requests_are_listed_newest_first(collector: Collector, client: httpx.Client) -> None:
    for number in range(3):
        collector.post("request", f"l{number}", ask(), time=f"2026-04-0{number + 1}T00:00:00Z")
        collector.post("response", f"l{number}", answer(version="8"), time=f"2026-04-0{number + 1}T00:00:01Z")
    collector.settle()

    def listed(**query: str) -> list[str]:
        found = client.get("/v1/requests", params={"version": "8", **query}).raise_for_status().json()
        return [each["request_id"] for each in found]

    assert listed() == ["l2", "l1", "l0"]
    assert listed(limit="1") == ["l2"]
    assert listed(since="2026-04-02T00:00:00Z") == ["l2", "l1"]
    assert listed(until="2026-04-02T00:00:00Z", model="loan") == ["l0"]
    assert listed(model="other") == []
    assert client.get("/v1/requests", params={"limit": "0"}).status_code == 422


@pytest.mark.parametrize(
    ("sent", "status", "problem"),
    [
        ({"headers": {}, "content": b"{}"}, 400, "specversion is missing"),
        ({"headers": headers("request", "x" * 300), "content": b"{}"}, 400, "id has 300 characters"),
        ({"headers": headers("request", "big"), "content": b"x" * 20_001}, 413, "larger than 20000 bytes"),
    ],
)
def test_what_is_refused_is_counted_and_not_kept(
    collector: Collector, client: httpx.Client, sent: dict[str, object], status: int, problem: str
) -> None:
    kind = "request" if sent["headers"] else "other"
    before = collector.metric("prediction_log_events_total", kind=kind, outcome="refused")
    refused = client.post("/", **sent)  # type: ignore[arg-type]
    assert refused.status_code == status
    assert problem in refused.json()["detail"]
    assert collector.metric("prediction_log_events_total", kind=kind, outcome="refused") == before + 1


def test_a_body_of_unsaid_length_is_bounded_too(client: httpx.Client) -> None:
    endless = (b"x" * 1000 for _ in range(100))
    assert client.post("/", content=endless, headers=headers("request", "endless")).status_code == 413


def test_dead_letters_are_kept_counted_and_brought_back(collector: Collector, client: httpx.Client) -> None:
    collector.post("request", "unreadable", b"no JSON")
    collector.settle()
    (found,) = client.get("/v1/dead-letters").json()
    assert found["request_id"] == "unreadable"
    assert found["reason"].startswith("the body is not JSON")
    assert found.keys() == {"key", "kind", "request_id", "service", "reason", "at", "size"}
    assert found["size"] > len(b"no JSON")
    assert collector.metric("prediction_log_events_total", kind="request", outcome="dead") == 1
    while collector.metric("prediction_log_dead_letters") != 1:
        pass
    asked = {"source": "dead-letters", "since": "2026-01-01T00:00:00Z", "until": "2027-01-01T00:00:00Z"}
    assert client.post("/v1/replay", json=asked).json() == {"letters": 1, "stored": 0}


def test_files_are_written_by_themselves_and_read_again(collector: Collector, client: httpx.Client) -> None:
    collector.post("request", "filed", ask(), inferenceservicename="filed")
    collector.post("response", "filed", {"predictions": [1]}, inferenceservicename="filed")
    collector.settle()
    while not client.get("/v1/predictions/filed").json()["object"]:
        pass
    assert (collector.folder / "archive" / client.get("/v1/predictions/filed").json()["object"]).is_file()
    asked = {"source": "archive", "model": "filed", "since": "2026-01-01T00:00:00Z", "until": "2027-01-01T00:00:00Z"}
    done = client.post("/v1/replay", json=asked).json()
    assert (done["restored"], done["present"]) == (0, 1)


@pytest.mark.parametrize(
    ("truths", "place"),
    [
        ([{"request_id": "a", "value": 1}, {"request_id": "b"}], "1.value"),
        ([{"request_id": "a", "value": 1, "colour": "red"}], "0.colour"),
        ({"request_id": "a", "value": 1}, ""),
        ([{"request_id": "a", "value": 1, "at": "9999-12-31T23:59:59-02:00"}], "0.at"),
    ],
)
def test_truths_are_taken_all_or_none(client: httpx.Client, truths: object, place: str) -> None:
    refused = client.post("/v1/truths", json=truths)
    assert refused.status_code == 422
    assert refused.json()["detail"][0]["place"] == place


def test_a_truth_without_its_prediction_is_kept_and_counted(collector: Collector, client: httpx.Client) -> None:
    client.post("/v1/truths", json=[{"request_id": "unknown", "value": 1}])
    collector.settle()
    assert client.get("/v1/predictions/unknown").status_code == 404
    # Others of this file may have left some; ours is one of all that are there, and all are counted.
    engine = sqlalchemy.create_engine(collector.database, poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        there = list(
            connection.execute(
                sqlalchemy.text(
                    "SELECT request_id FROM truths WHERE request_id NOT IN (SELECT request_id FROM requests)"
                )
            ).scalars()
        )
    engine.dispose()
    assert "unknown" in there
    while collector.metric("prediction_log_unmatched_truths") != len(there):
        time.sleep(0.05)
    collector.post("request", "unknown", ask())
    collector.settle()
    (truth,) = client.get("/v1/predictions/unknown").json()["truths"]
    assert truth["value"] == 1


def test_it_tells_who_was_heard_of(collector: Collector) -> None:
    collector.post("request", "heard", ask())
    labels = {"inference_namespace": "models", "inference_service": "loan"}
    assert collector.metric("prediction_log_last_event_timestamp_seconds", **labels) > 0
    assert collector.metric("prediction_log_append_seconds_count") > 0
    assert collector.metric("prediction_log_refused_total", reason="disk full") == 0


def test_probes_answer(client: httpx.Client) -> None:
    assert [client.get(path).status_code for path in ("/healthz", "/readyz", "/metrics", "/openapi.json")] == [200] * 4


def test_questions_say_when_the_database_is_away(tmp_path: Path) -> None:
    away = Collector(tmp_path, "postgresql+psycopg://x:x@127.0.0.1:9/x").start()
    try:
        found = httpx.get(f"{away.url}/v1/requests", timeout=30)
        assert (found.status_code, found.headers["retry-after"]) == (503, "10")
        assert "the database cannot be asked" in found.json()["detail"]
        assert httpx.get(f"{away.url}/healthz", timeout=30).status_code == 200
    finally:
        away.stop()


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("KEY", "short", "PREDICTION_LOG_KEY: "),
        ("RULES", '{"loan": {"race": "encrypt"}}', "PREDICTION_LOG_RULES: "),
        ("ARCHIVE_DAYS", "1", "archive_days 1 is less than retention_days 90"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, name: str, value: str, problem: str) -> None:
    wrong = Collector(tmp_path, "postgresql://x", {f"PREDICTION_LOG_{name}": value})
    with pytest.raises(AssertionError, match=problem):
        wrong.start()
    assert wrong.process
    assert wrong.process.returncode == 2
