"""The real server with a real backend: ended politely, killed hard, split into three processes."""

from __future__ import annotations

import datetime as dt
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cabc.record.database import DatabaseRecord, open_record
from cabc.record.roles import grant_roles
from cabc.triggers.webhook import sign

from tests.support.postgresql import PostgreSQL
from tests.support.server import Backend, Server, backend, metric, serve, wait_for, write_home
from tests.support.service import token

pytestmark = pytest.mark.backend


@pytest.fixture
def slow() -> Iterator[Backend]:
    with backend() as found:
        yield found


def opened(folder: Path) -> DatabaseRecord:
    return open_record(f"sqlite:///{folder / 'record.db'}", keys=folder / "keys", role="read")


def assessed(server: Server) -> list[str]:
    with server.client() as client:
        return [item["id"] for item in client.get("/api/v1/subjects/slow/assessments").json()["items"]]


def ask(server: Server) -> str:
    with server.client() as client:
        answer = client.post("/api/v1/subjects/slow/triggers", json={})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def answered(folder: Path, trigger: str) -> int:
    """Return how many collections answered a trigger by name; every collection has one assessment."""
    with opened(folder) as record:
        found = record.assessments("slow", limit=100)
        assert len({item.collection for item in found}) == len(found)
        assert not record.pending_collections("slow")
        return sum(item.trigger.id == trigger for item in found)


def test_from_start_to_published_status(tmp_path: Path, slow: Backend) -> None:
    home = tmp_path / "home"
    write_home(home, slow)
    with serve(home) as server:
        url = f"{server.url}/api/v1/published/slow/status.json"
        wait_for(lambda: httpx.get(url, timeout=30).status_code == 200, 90, server.log.read_text)
        with server.client("reader") as client:
            subject = client.get("/api/v1/subjects/slow").json()
            assert (subject["status"], subject["verdict"]) == ("conformant", "satisfied")
            text = client.get("/metrics").text
            assert metric(text, "compliance_state", subject="slow", dimension="", requirement="") == 0
            assert metric(text, "compliance_state", requirement="reliability/accuracy") == 0
            assert metric(text, "cabc_run_duration_seconds_count", step="collect", result="done") == 1
            assert metric(text, "cabc_queue", subject="slow", what="triggers") == 0
            # A page, a file and a statement for anybody.
            client.headers.pop("Authorization")
            assert client.get("/api/v1/published/slow/status.json").json()["status"] == "conformant"
            assert client.get("/api/v1/published/slow/report.html").status_code == 404
            assert "conformant" in client.get("/status/slow").text
        slow.value = 0.1
        ask(server)
        with server.client("reader") as client:
            wait_for(
                lambda: client.get("/api/v1/published/slow/status.json").json()["status"] == "suspended",
                10,
                server.log.read_text,
            )
        assert server.stop() == 0
        lines = server.lines()
    assert any(line.get("event") == "step" and line["step"] == "publish" for line in lines)
    assert all({"event", "level", "timestamp"} <= line.keys() for line in lines)
    assert token("auditing-party") not in server.log.read_text()


def test_a_polite_end_finishes_the_run(tmp_path: Path, slow: Backend) -> None:
    home = tmp_path / "home"
    write_home(home, slow)
    with serve(home) as server:
        wait_for(lambda: assessed(server), 90, server.log.read_text)
        slow.seconds = 2.0
        slow.entered.clear()
        trigger = ask(server)
        assert slow.entered.wait(60)
        assert server.stop(signal.SIGTERM) == 0  # in the middle of the run
        assert any(line["event"] == "stopped" and line["given_back"] == 0 for line in server.lines())
    assert answered(home, trigger) == 1


def test_a_killed_run_is_done_once_by_the_next_process(tmp_path: Path, slow: Backend) -> None:
    home = tmp_path / "home"
    write_home(home, slow)
    with serve(home) as server:
        wait_for(lambda: assessed(server), 90, server.log.read_text)
        slow.seconds = 2.0
        slow.entered.clear()
        first = ask(server)
        assert slow.entered.wait(60), server.log.read_text()[-2000:]
        second = ask(server)
        server.stop(signal.SIGKILL)
    slow.seconds = 0.0
    with serve(home) as server, server.client() as client:
        # The dead process still holds the subject until its lease ends.
        wait_for(lambda: not client.get("/api/v1/subjects/slow/triggers").json(), 90, server.log.read_text)
        wait_for(lambda: len(assessed(server)) == 2, 10, server.log.read_text)
        assert server.stop() == 0
    # Nothing lost: both were answered; nothing doubled: by the one run that names the first of them.
    assert [answered(home, trigger) for trigger in (first, second)] == [1, 0]


def test_a_second_process_of_the_same_home_does_not_double_runs(tmp_path: Path, slow: Backend) -> None:
    home = tmp_path / "home"
    write_home(home, slow)
    slow.seconds = 0.5
    with serve(home) as one, serve(home) as two:
        wait_for(lambda: assessed(one), 90, one.log.read_text)
        triggers = [ask(server) for server in (one, two) for _ in range(3)]
        with one.client() as client:
            wait_for(lambda: not client.get("/api/v1/subjects/slow/triggers").json(), 60, one.log.read_text)
            wait_for(lambda: metric(client.get("/metrics").text, "cabc_queue", what="collections") == 0, 10)
        found = assessed(one)
        assert found == assessed(two)
        assert one.stop() == two.stop() == 0
    assert 2 <= len(found) <= 4
    assert max(answered(home, trigger) for trigger in triggers) == 1


def test_three_processes_with_three_database_roles(tmp_path: Path, slow: Backend, postgresql: PostgreSQL) -> None:
    """A webhook's trigger goes from the collecting to the assessing to the publishing process, through the database."""
    name = postgresql.new_database()
    owner = postgresql.url(name)
    home = tmp_path / "home"
    write_home(home, slow, database="env:CABC_TEST_DATABASE")
    open_record(owner, keys=home / "keys", anchors=[home / "anchors"]).close()  # makes tables and keys
    grant_roles(owner)
    urls = {}
    for part in ("collect", "assess", "publish"):
        login = f"{part}_{name}"
        postgresql.execute(f"CREATE ROLE {login} LOGIN IN ROLE cabc_{part}", database=name)
        urls[part] = postgresql.url(name, user=login)
    with (
        serve(home, "collect", CABC_TEST_DATABASE=urls["collect"]) as collect,
        serve(home, "assess", CABC_TEST_DATABASE=urls["assess"]) as assess,
        serve(home, "publish", CABC_TEST_DATABASE=urls["publish"]) as publish,
    ):
        logs = lambda: "".join(server.log.read_text()[-1500:] for server in (collect, assess, publish))  # noqa: E731 (said where it is used)
        status = home / "published/slow/status.json"
        wait_for(status.exists, 90, logs)
        assert json.loads(status.read_text())["status"] == "conformant"
        slow.value = 0.1
        started = time.monotonic()
        body, stamp = b'{"subject": "slow"}', str(int(time.time()))
        headers = {"X-Cabc-Timestamp": stamp, "X-Cabc-Signature": sign(b"secret", stamp, body)}
        assert httpx.post(f"{collect.url}/hooks/ci", content=body, headers=headers).status_code == 202
        wait_for(lambda: json.loads(status.read_text())["status"] == "suspended", 30, logs)
        took = time.monotonic() - started
        # No process does what belongs to another.
        with assess.client() as client:
            assert client.post("/api/v1/subjects/slow/triggers", json={}).status_code == 503
            waiver = {"requirement": "reliability/accuracy", "reason": "an hour to retrain"}
            waiver["expires"] = (dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)).isoformat()
            assert client.post("/api/v1/subjects/slow/waivers", json=waiver).status_code == 201
        assert httpx.post(f"{publish.url}/hooks/ci", content=body, headers=headers).status_code == 503
        with collect.client() as client:
            assert client.post("/api/v1/subjects/slow/waivers", json=waiver).status_code == 503
        # The waiver begins: the collecting process sees it, the assessing one judges, the publishing one tells.
        wait_for(lambda: json.loads(status.read_text())["status"] == "conditional", 30, logs)
        assert [server.stop() for server in (collect, assess, publish)] == [0, 0, 0]
    assert took < 60, "a figure for the benchmark; here only that it comes"
