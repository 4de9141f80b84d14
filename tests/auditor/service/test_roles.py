"""Who may do what: read from the API's own description, so that no operation can be forgotten."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from cabc.service.access import ROLES, Permission, Role
from cabc.service.openapi import describe
from fastapi import FastAPI

from tests.auditor.service.conftest import Client
from tests.support.service import HIDDEN_VALUE, OTHER, SUBJECT

pytestmark = pytest.mark.anyio

PUBLIC = {
    "/api/v1/published",
    "/api/v1/published/{subject}",
    "/api/v1/published/{subject}/{file}",
    "/healthz",
    "/readyz",
    "/hooks/{name}",  # has its own proof: the signature
}
MAY: dict[str, set[str]] = {
    "waive": {"auditing-party"},
    "attest": {"auditing-party", "auditee"},
    "trigger": {"auditing-party", "auditee"},
    "publish": {"publisher"},
    "read-evidence": {"auditing-party"},
    "read-confidential": {"auditing-party", "auditee"},
    "read": {"auditing-party", "auditee", "publisher", "reader"},
}
"""Written out a second time: a change of the table must be made here too, by somebody who means it."""


def test_the_table_says_what_is_meant() -> None:
    for permission in Permission:
        assert {role.value for role in Role if permission in ROLES[role]} == MAY[permission.value]


def operations(app: FastAPI) -> list[tuple[str, str]]:
    paths: dict[str, dict[str, Any]] = describe(app, app.state.cabc.home.settings.service)["paths"]
    return [(method, path) for path, found in paths.items() for method in found]


def filled(path: str) -> str:
    values = {
        "{subject}": SUBJECT,
        "{assessment}": "a-credit-scoring-12",
        "{requirement}": "data-governance/bias",
        "{digest}": "sha256:" + "0" * 64,
    }
    for name, value in values.items():
        path = path.replace(name, value)
    return path


BODIES: dict[str, dict[str, Any]] = {
    "waivers": {
        "requirement": "data-governance/bias",
        "reason": "retraining is under way",
        "expires": "2026-11-25T00:00:00Z",
    },
    "attestations": {
        "path": "data-governance/data-card/reviewed/answer",
        "statement": "two people read it",
        "value": True,
        "validUntil": "2026-12-24T00:00:00Z",
    },
    "triggers": {"requirements": []},
    "publications": {},
}


async def test_without_a_token_nobody_gets_anything(app: FastAPI, client: Client) -> None:
    checked = 0
    async with client() as nobody:
        for method, path in operations(app):
            if path in PUBLIC:
                continue
            answer = await nobody.request(method, filled(path))
            assert answer.status_code == 401, f"{method} {path}: {answer.status_code}"
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["www-authenticate"].startswith("Bearer")
            checked += 1
    assert checked >= 20


@pytest.mark.parametrize("role", ["auditee", "auditing-party", "publisher", "reader", "nothing"])
async def test_a_role_gets_what_it_may_and_nothing_else(app: FastAPI, client: Client, role: str) -> None:
    refused = 0
    async with client(role) as caller:
        for method, path in operations(app):
            if path in PUBLIC or path == "/api/v1/whoami":
                continue
            permission = permission_of(method, path)
            body = BODIES.get(path.rpartition("/")[2]) if method == "post" else None
            answer = await caller.request(method, filled(path), json=body)
            if role in MAY[permission]:
                assert answer.status_code not in {401, 403}, f"{role}: {method} {path}: {answer.text}"
            else:
                assert answer.status_code == 403, f"{role}: {method} {path}: {answer.status_code}"
                refused += 1
    assert refused >= 1


def permission_of(method: str, path: str) -> str:
    """Say what an operation asks for, apart from the code that asks."""
    last = path.rpartition("/")[2]
    if method == "post":
        return {"waivers": "waive", "attestations": "attest", "triggers": "trigger", "publications": "publish"}[last]
    if last == "{digest}":
        return "read-evidence"
    return "read-confidential" if path.endswith("{assessment}/specification") else "read"


async def test_a_token_for_one_subject_does_not_learn_of_others(app: FastAPI, client: Client) -> None:
    async with client("churn") as caller:
        listed = (await caller.get("/api/v1/subjects")).json()["items"]
        assert [item["name"] for item in listed] == [OTHER]
        for method, path in operations(app):
            if "{subject}" in path and path not in PUBLIC and not (method == "post" and "publications" in path):
                there = await caller.request(method, filled(path))
                not_there = await caller.request(method, filled(path).replace(SUBJECT, "no-such-subject"))
                assert there.status_code == not_there.status_code == 403, path
        # An id of another subject's assessment does not help under one's own subject's name.
        leak = await caller.get(f"/api/v1/subjects/{OTHER}/assessments/a-credit-scoring-12")
        assert leak.status_code == 404
        assert (await caller.get("/metrics")).status_code == 403


@pytest.mark.parametrize("role", ["reader", "publisher"])
async def test_confidential_details_stay_hidden(app: FastAPI, client: Client, role: str) -> None:
    seen = 0
    async with client(role) as caller:
        for method, path in operations(app):
            if method != "get" or path in PUBLIC:
                continue
            answer = await caller.get(filled(path), params={"reader": "engineer"})
            assert HIDDEN_VALUE not in answer.text, path
            assert "Internal scanner" not in answer.text, path
            seen += answer.status_code == 200
    assert seen >= 12


async def test_the_auditing_party_sees_confidential_details(client: Client) -> None:
    async with client("auditing-party") as caller:
        answer = await caller.get(f"/api/v1/subjects/{SUBJECT}/assessments/a-credit-scoring-12/observations")
        assert HIDDEN_VALUE in answer.text
    async with client("reader") as caller:
        answer = await caller.get(f"/api/v1/subjects/{SUBJECT}/assessments/a-credit-scoring-12/observations")
        hidden = [item for item in answer.json()["items"] if item["hidden"]]
        assert [item["path"] for item in hidden] == ["security/supply-chain/image/tag"]
        assert hidden[0]["verdict"] == "satisfied"  # the flag never hides that a verdict exists


async def test_the_auditors_report_is_not_for_readers(client: Client) -> None:
    path = f"/api/v1/subjects/{SUBJECT}/assessments/a-credit-scoring-12/report"
    for role, status in (("reader", 403), ("publisher", 403), ("auditee", 200), ("auditing-party", 200)):
        async with client(role) as caller:
            assert (await caller.get(path, params={"reader": "auditor"})).status_code == status, role


async def test_evidence_belongs_to_its_assessment(client: Client) -> None:
    async with client("auditing-party") as caller:
        base = f"/api/v1/subjects/{SUBJECT}/assessments"
        found = (await caller.get(f"{base}/a-credit-scoring-12/observations")).json()["items"][0]
        digest = found["evidence"][0]["digest"]
        mine = await caller.get(f"{base}/a-credit-scoring-12/evidence/{digest}")
        assert mine.status_code == 200
        assert mine.headers["content-type"] == "application/octet-stream"
        assert mine.headers["content-disposition"].startswith("attachment")
        assert (await caller.get(f"{base}/a-credit-scoring-11/evidence/{digest}")).status_code == 404


async def test_parallel_callers_do_not_mix(client: Client) -> None:
    async with client("reader") as one, client("auditing-party") as two:
        path = f"/api/v1/subjects/{SUBJECT}/assessments/a-credit-scoring-12/observations"
        answers = await asyncio.gather(*(caller.get(path) for _ in range(10) for caller in (one, two)))
    assert [HIDDEN_VALUE in answer.text for answer in answers] == [False, True] * 10
