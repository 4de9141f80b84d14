"""Messages from outside: genuine ones name a run, forged, old and repeated ones do nothing."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
from typing import Any

import pytest
from cabc.record.database import DatabaseRecord
from cabc.service.limits import RateLimit
from cabc.triggers.webhook import WINDOW, sign
from fastapi import FastAPI

from tests.auditor.service.conftest import Client, client_of, make_app
from tests.support.server import metric
from tests.support.service import HOOK_SECRET, NOW, OTHER, SUBJECT

pytestmark = pytest.mark.anyio


def message(body: Any, *, at: dt.datetime = NOW, secret: bytes = HOOK_SECRET) -> dict[str, Any]:
    content = json.dumps(body).encode()
    stamp = str(int(at.timestamp()))
    return {
        "content": content,
        "headers": {"X-Cabc-Timestamp": stamp, "X-Cabc-Signature": sign(secret, stamp, content)},
    }


def mlflow(body: Any, *, at: dt.datetime = NOW, delivery: str = "d-1") -> dict[str, Any]:
    content = json.dumps(body).encode()
    stamp = str(int(at.timestamp()))
    mac = hmac.new(HOOK_SECRET, f"{delivery}.{stamp}.".encode() + content, hashlib.sha256).digest()
    return {
        "content": content,
        "headers": {
            "X-MLflow-Signature": "v1," + base64.b64encode(mac).decode(),
            "X-MLflow-Delivery-Id": delivery,
            "X-MLflow-Timestamp": stamp,
        },
    }


async def test_a_signed_message_asks_for_a_run(client: Client, record: DatabaseRecord) -> None:
    body = {"subject": SUBJECT, "requirements": ["data-governance/bias", "made/up"], "verdict": "satisfied"}
    async with client() as sender:
        answer = await sender.post("/hooks/ci", **message(body))
    assert answer.status_code == 202, answer.text
    (trigger,) = record.triggers(SUBJECT)
    assert [trigger.id] == answer.json()["triggers"]
    assert (trigger.kind, trigger.source) == ("webhook", "ci")
    assert trigger.requirements == ["data-governance/bias"]  # nothing else in the message counts


BAD: dict[str, dict[str, Any]] = {
    "another secret": message({"subject": SUBJECT}, secret=b"guess"),
    "too old": message({"subject": SUBJECT}, at=NOW - WINDOW - dt.timedelta(seconds=1)),
    "from the future": message({"subject": SUBJECT}, at=NOW + WINDOW + dt.timedelta(seconds=1)),
    "no signature": {"json": {"subject": SUBJECT}},
    "changed body": {**message({"subject": OTHER}), "content": json.dumps({"subject": SUBJECT}).encode()},
    "bearer in place of a signature": {
        "json": {"subject": SUBJECT},
        "headers": {"Authorization": f"Bearer {HOOK_SECRET.decode()}"},
    },
}


@pytest.mark.parametrize("sent", BAD.values(), ids=BAD.keys())
async def test_what_is_not_genuine_does_nothing(client: Client, record: DatabaseRecord, sent: dict[str, Any]) -> None:
    async with client() as sender:
        answer = await sender.post("/hooks/ci", **sent)
    assert answer.status_code == 401, answer.text
    assert HOOK_SECRET.decode() not in answer.text
    assert record.triggers(SUBJECT) == record.triggers(OTHER) == []


async def test_a_changed_time_stamp_breaks_the_signature(client: Client, record: DatabaseRecord) -> None:
    old = message({"subject": SUBJECT}, at=NOW - dt.timedelta(hours=1))
    old["headers"]["X-Cabc-Timestamp"] = str(int(NOW.timestamp()))
    async with client() as sender:
        assert (await sender.post("/hooks/ci", **old)).status_code == 401
    assert record.triggers(SUBJECT) == []


async def test_a_repeated_message_is_told_and_does_nothing(
    client: Client, record: DatabaseRecord, app: FastAPI
) -> None:
    sent = message({"subject": SUBJECT})
    async with client() as sender:
        assert (await sender.post("/hooks/ci", **sent)).status_code == 202
        assert (await sender.post("/hooks/ci", **sent)).status_code == 409
    assert len(record.triggers(SUBJECT)) == 1
    assert app.state.cabc.replays.first("another", NOW)


async def test_a_restart_does_not_forget_messages(app: FastAPI, folder: Any, record: DatabaseRecord) -> None:
    sent = message({"subject": SUBJECT})
    async with client_of(app) as sender:
        assert (await sender.post("/hooks/ci", **sent)).status_code == 202
    again = make_app(folder, record)
    again.state.cabc.now = lambda: NOW + dt.timedelta(seconds=30)
    async with client_of(again) as sender:
        assert (await sender.post("/hooks/ci", **sent)).status_code == 409
    assert len(record.triggers(SUBJECT)) == 1


async def test_mlflow_names_a_registered_model(client: Client, record: DatabaseRecord) -> None:
    body = {
        "entity": "model_version_alias",
        "action": "created",
        "timestamp": "2026-11-24T12:00:00Z",
        "data": {"name": "churn", "alias": "champion", "version": "8"},
    }
    async with client() as sender:
        assert (await sender.post("/hooks/registry", **mlflow(body))).status_code == 202
        assert (await sender.post("/hooks/registry", **mlflow(body))).status_code == 409
        # A retry of MLflow is a message of its own: another delivery id and time. The run it asks for is merged.
        later = mlflow(body, at=NOW + dt.timedelta(seconds=5), delivery="d-2")
        assert (await sender.post("/hooks/registry", **later)).status_code == 202
        other = mlflow({**body, "data": {"name": "not-audited"}}, delivery="d-3")
        answer = await sender.post("/hooks/registry", **other)
        assert (answer.status_code, answer.json()) == (202, {"triggers": []})
        forged = mlflow(body, delivery="d-4")
        forged["headers"]["X-MLflow-Delivery-Id"] = "d-5"
        assert (await sender.post("/hooks/registry", **forged)).status_code == 401
    assert len(record.triggers(OTHER)) == 2
    assert record.triggers(SUBJECT) == []


async def test_the_first_refused_message_is_an_increase(client: Client) -> None:
    forged = message({"subject": SUBJECT}, secret=b"guess")
    async with client("reader") as sender:
        before = (await sender.get("/metrics")).text
        assert (await sender.post("/hooks/ci", **forged)).status_code == 401
        after = (await sender.get("/metrics")).text
    assert metric(before, "cabc_webhook_messages_total", webhook="ci", status="401") == 0
    assert metric(after, "cabc_webhook_messages_total", webhook="ci", status="401") == 1


async def test_alertmanager_sends_the_secret_as_bearer(client: Client, record: DatabaseRecord) -> None:
    def alert(**labels: str) -> dict[str, Any]:
        return {"status": "firing", "labels": labels}

    body = {
        "version": "4",
        "alerts": [
            alert(alertname="Drift", namespace="credit", inferenceservice="scoring"),
            alert(alertname="Drift", cabc_subject=OTHER),
            alert(alertname="Unrelated", namespace="credit", inferenceservice="other"),
        ],
    }
    headers = {"Authorization": f"Bearer {HOOK_SECRET.decode()}"}
    async with client() as sender:
        assert (await sender.post("/hooks/alerts", json=body)).status_code == 401
        wrong = {"Authorization": "Bearer guess"}
        assert (await sender.post("/hooks/alerts", json=body, headers=wrong)).status_code == 401
        assert (await sender.post("/hooks/alerts", json=body, headers=headers)).status_code == 202
        assert (await sender.post("/hooks/alerts", json=body, headers=headers)).status_code == 202
    assert len(record.triggers(SUBJECT)) == len(record.triggers(OTHER)) == 1  # repeated within the window: one run


@pytest.mark.parametrize("label", ["model", "model_name", "registered_model"])
async def test_an_alert_names_a_registered_model(client: Client, record: DatabaseRecord, label: str) -> None:
    body = {"version": "4", "alerts": [{"status": "firing", "labels": {"alertname": "Drift", label: SUBJECT}}]}
    headers = {"Authorization": f"Bearer {HOOK_SECRET.decode()}"}
    async with client() as sender:
        assert (await sender.post("/hooks/alerts", json=body, headers=headers)).status_code == 202
    assert len(record.triggers(SUBJECT)) == 1
    assert record.triggers(OTHER) == []


async def test_a_webhook_names_only_its_own_subjects(client: Client, record: DatabaseRecord) -> None:
    async with client() as sender:
        answer = await sender.post("/hooks/shop", **message({"subject": SUBJECT}))
    assert (answer.status_code, answer.json()) == (202, {"triggers": []})
    assert record.triggers(SUBJECT) == []


async def test_an_unknown_webhook_looks_like_a_wrong_signature(client: Client) -> None:
    async with client() as sender:
        unknown = await sender.post("/hooks/nobody", **message({"subject": SUBJECT}))
        wrong = await sender.post("/hooks/ci", json={})
    assert unknown.status_code == wrong.status_code == 401
    assert unknown.json()["detail"] == wrong.json()["detail"]


@pytest.mark.parametrize(
    ("content", "status"),
    [(b"{", 400), (b"[]", 422), (b'{"subject": 5}', 422), (b"[" * 100_000, 400), (b"\xff", 400), (b"1e999", 422)],
)
async def test_signed_nonsense_is_refused(client: Client, content: bytes, status: int) -> None:
    stamp = str(int(NOW.timestamp()))
    headers = {"X-Cabc-Timestamp": stamp, "X-Cabc-Signature": sign(HOOK_SECRET, stamp, content)}
    async with client() as sender:
        assert (await sender.post("/hooks/ci", content=content, headers=headers)).status_code == status


async def test_large_bodies_are_refused_unread(client: Client) -> None:
    async with client() as sender:
        told = await sender.post("/hooks/ci", content=b" " * 300_000)

        async def drip() -> Any:
            for _ in range(300):
                yield b" " * 1000

        untold = await sender.post("/hooks/ci", content=drip())
    assert told.status_code == untold.status_code == 413
    assert told.headers["content-type"] == untold.headers["content-type"] == "application/problem+json"


async def test_too_many_messages_have_to_wait(app: FastAPI, client: Client) -> None:
    app.state.cabc.hook_limit = RateLimit(3, 10.0)
    async with client() as sender:
        answers = [await sender.post("/hooks/ci", json={}) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429]
    assert 0 < int(answers[-1].headers["retry-after"]) <= 10


def test_the_bucket_fills_again_and_stays_small() -> None:
    clock = [0.0]
    limit = RateLimit(2, 5.0, clock=lambda: clock[0], callers=3)
    assert [limit.wait("a") for _ in range(3)] == [0, 0, 5]
    clock[0] += 5
    assert limit.wait("a") == 0
    for caller in "bcde":
        limit.wait(caller)
    assert len(limit._buckets) == 3
