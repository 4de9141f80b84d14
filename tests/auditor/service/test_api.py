"""The API: problems, pages of lists, entity tags, acts; and every operation called with what it should not get."""

from __future__ import annotations

import datetime as dt
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from cabc.record.database import DatabaseRecord
from cabc.record.types import Status
from cabc.service.limits import RateLimit
from cabc.service.metrics import Metrics
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks

from tests.auditor.service.conftest import Client, client_of, make_app
from tests.support.server import metric
from tests.support.service import NOW, OTHER, SUBJECT, token

load_all_checks()
pytestmark = pytest.mark.anyio
BASE = f"/api/v1/subjects/{SUBJECT}"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/none", 404),
        ("DELETE", "/api/v1/subjects", 405),
        ("GET", "/api/v1/subjects/NOT_A_SLUG", 404),
        ("GET", "/api/v1/subjects?limit=0", 422),
        ("GET", f"{BASE}/assessments?cursor=%00", 400),
        ("GET", f"{BASE}/assessments?cursor=bm9uZQ", 404),
        ("GET", f"{BASE}/assessments/none", 404),
        ("GET", f"{BASE}/assessments/a-churn-1", 404),
        ("POST", f"{BASE}/waivers", 422),
        ("GET", "/api/v1/published/none", 404),
        ("GET", f"/api/v1/published/{SUBJECT}/..%2f..%2frecord.db", 404),
        ("PUT", "/hooks/ci", 405),
    ],
)
async def test_every_error_is_a_problem(client: Client, method: str, path: str, status: int) -> None:
    async with client("auditing-party") as caller:
        answer = await caller.request(method, path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["title"]
    assert body["instance"] == f"urn:request:{answer.headers['x-request-id']}"
    if status == 405:
        assert answer.headers["allow"]


async def test_mistakes_in_a_body_are_named(client: Client) -> None:
    body = {"requirement": 5, "reason": "short", "expires": 1700000000, "approver": "me"}
    async with client("auditing-party") as caller:
        answer = await caller.post(f"{BASE}/waivers", json=body)
        broken = await caller.post(f"{BASE}/waivers", content=b"{", headers={"Content-Type": "application/json"})
    places = {item["place"] for item in answer.json()["errors"]}
    assert places == {"body.requirement", "body.reason", "body.expires", "body.approver"}
    assert broken.status_code == 422


async def test_a_failure_of_ours_tells_nothing(app: FastAPI, client: Client) -> None:
    class Broken:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("password=hunter2")

    app.state.cabc.record = Broken()
    async with client("reader") as caller:
        answer = await caller.get("/api/v1/subjects")
        ready = await caller.get("/readyz")
    assert answer.status_code == 500
    assert "hunter2" not in answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (ready.status_code, ready.json()["checks"]["database"]) == (503, "failed")


async def test_a_list_is_read_page_by_page(client: Client) -> None:
    async with client("reader") as caller:
        whole = (await caller.get(f"{BASE}/assessments")).json()["items"]
        found: list[str] = []
        cursor = None
        for _ in range(20):
            query = {"limit": 5, **({"cursor": cursor} if cursor else {})}
            page = (await caller.get(f"{BASE}/assessments", params=query)).json()
            found += [item["id"] for item in page["items"]]
            assert len(page["items"]) <= 5
            cursor = page["next"]
            if cursor is None:
                break
    assert found == [item["id"] for item in whole]
    assert len(found) == 12


@pytest.mark.parametrize("last", ["observations", "findings"])
async def test_parts_of_an_assessment_are_read_page_by_page(client: Client, last: str) -> None:
    path = f"{BASE}/assessments/a-credit-scoring-12/{last}"
    async with client("reader") as caller:
        whole = (await caller.get(path)).json()["items"]
        first = (await caller.get(path, params={"limit": 2})).json()
        rest = (await caller.get(path, params={"limit": 500, "cursor": first["next"]})).json()
    assert first["items"] + rest["items"] == whole
    assert rest["next"] is None


async def test_an_unchanged_answer_is_not_sent_again(client: Client) -> None:
    async with client("reader") as caller:
        first = await caller.get(BASE)
        tag = first.headers["etag"]
        again = await caller.get(BASE, headers={"If-None-Match": f'"other", W/{tag}'})
        other = await caller.get(BASE, headers={"If-None-Match": '"other"'})
        missing = await caller.get(f"{BASE}/assessments/none", headers={"If-None-Match": "*"})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert "no-store" not in first.headers["cache-control"]
    assert "Authorization" in first.headers["vary"]
    assert other.status_code == 200
    assert (missing.status_code, "etag" in missing.headers) == (404, False)


async def test_the_tag_changes_with_what_the_reader_may_see(client: Client) -> None:
    path = f"{BASE}/assessments/a-credit-scoring-12/observations"
    async with client("reader") as one, client("auditing-party") as two:
        tag = (await one.get(path)).headers["etag"]
        assert (await two.get(path, headers={"If-None-Match": tag})).status_code == 200


async def test_the_board_is_searched(client: Client) -> None:
    async with client("reader") as caller:

        async def names(**query: Any) -> list[str]:
            return [item["name"] for item in (await caller.get("/api/v1/subjects", params=query)).json()["items"]]

        assert await names() == [SUBJECT, OTHER]  # what fails comes first
        assert await names(failing=True) == [SUBJECT]
        assert await names(q="CHU") == [OTHER]
        assert await names(status="conformant") == [OTHER]


async def test_the_specification_is_a_tree_with_verdicts(client: Client) -> None:
    async with client("reader") as caller:
        found = (await caller.get(f"{BASE}/specification")).json()
    governance = found["dimensions"][0]
    assert (governance["path"], governance["verdict"]) == ("data-governance", "not-satisfied")
    bias = governance["children"][0]
    assert (bias["level"], bias["finding"]["risks"], bias["assessment"]) == (
        "requirement",
        ["R1"],
        "a-credit-scoring-12",
    )
    leaf = bias["children"][0]["children"][0]
    assert (leaf["leaf"]["found"], leaf["verdict"]) == ("0.665", "not-satisfied")


async def test_waivers_and_attestations_carry_the_callers_name(client: Client, record: DatabaseRecord) -> None:
    until = (NOW + dt.timedelta(hours=1)).isoformat()
    async with client("auditing-party") as caller:
        body = {"requirement": "data-governance/bias", "reason": "retraining \x1b[31mnow\u202e", "expires": until}
        made = await caller.post(f"{BASE}/waivers", json=body)
        assert made.status_code == 201
        listed = (await caller.get(f"{BASE}/waivers", params={"only": "in-force"})).json()
    (waiver,) = record.waivers(SUBJECT)
    assert waiver.approver == "auditing-party-person"
    assert waiver.reason == "retraining now"
    assert [item["id"] for item in listed] == [waiver.id]
    async with client("auditee") as caller:
        answer = {"path": "data-governance/data-card/reviewed/answer", "statement": "two people read it", "value": True}
        made = await caller.post(f"{BASE}/attestations", json={**answer, "validUntil": until})
        assert made.status_code == 201, made.text
        automatic = {**answer, "path": "security/accuracy/auc/auc-test", "validUntil": until}
        assert (await caller.post(f"{BASE}/attestations", json=automatic)).status_code == 422
    (attestation,) = record.attestations(SUBJECT)
    assert (attestation.party, attestation.value) == ("auditee-person", True)


@pytest.mark.parametrize("away", [dt.timedelta(0), dt.timedelta(days=-1), dt.timedelta(days=400)])
async def test_an_end_in_the_past_or_too_far_is_refused(
    client: Client, record: DatabaseRecord, away: dt.timedelta
) -> None:
    body = {
        "requirement": "data-governance/bias",
        "reason": "retraining is under way",
        "expires": (NOW + away).isoformat(),
    }
    async with client("auditing-party") as caller:
        assert (await caller.post(f"{BASE}/waivers", json=body)).status_code == 422
        naive = {**body, "expires": "2026-11-24T13:00:00"}
        assert (await caller.post(f"{BASE}/waivers", json=naive)).status_code == 422  # no time zone, no instant
        unknown = {**body, "requirement": "no/such", "expires": (NOW + dt.timedelta(hours=1)).isoformat()}
        assert (await caller.post(f"{BASE}/waivers", json=unknown)).status_code == 422
    assert record.waivers(SUBJECT) == []


async def test_a_process_refuses_what_another_has_to_do(folder: Any, record: DatabaseRecord) -> None:
    app = make_app(folder, record)
    app.state.cabc.role = "assess"
    async with client_of(app, "auditing-party") as caller:
        answer = await caller.post(f"{BASE}/triggers", json={})
    assert answer.status_code == 503
    assert "process collect" in answer.json()["detail"]


@pytest.mark.parametrize("format_", ["html", "pdf", "md", "json", "csv"])
async def test_reports_come_in_every_format_and_run_nothing(client: Client, format_: str) -> None:
    async with client("reader") as caller:
        answer = await caller.get(f"{BASE}/assessments/a-credit-scoring-12/report", params={"format": format_})
    assert answer.status_code == 200
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.content.startswith(b"%PDF" if format_ == "pdf" else answer.content[:1])
    assert len(answer.content) > 500


async def test_metrics_tell_states_and_stay_bounded(client: Client, record: DatabaseRecord) -> None:
    async with client("reader") as caller:
        text = (await caller.get("/metrics")).text
    assert metric(text, "compliance_state", subject=SUBJECT, dimension="", requirement="") == 2
    assert metric(text, "compliance_state", subject=OTHER, dimension="", requirement="") == 0
    assert metric(text, "compliance_state", dimension="data-governance", requirement="") == 2
    assert metric(text, "compliance_state", requirement="data-governance/data-card") == 1
    assert metric(text, "compliance_state", requirement="security/accuracy") == 0
    assert metric(text, "cabc_evidence_age_seconds", subject=SUBJECT) == dt.timedelta(days=1).total_seconds()
    assert metric(text, "cabc_queue", subject=SUBJECT, what="triggers") == 0
    from cabc.service import metrics

    assert record.status(SUBJECT).status is Status.SUSPENDED  # type: ignore[union-attr]
    bounded = Metrics(record, lambda: [SUBJECT], lambda: NOW)
    assert bounded.text().count(b"compliance_state{") == 1 + 3 + 5
    assert metrics.SERIES >= 1000


async def test_published_files_are_given_only_as_they_were_recorded(
    folder: Any, record: DatabaseRecord, client: Client, app: FastAPI
) -> None:
    from cabc.report.publish import publish

    publish(record, SUBJECT, app.state.cabc.home.published, record.keys, now=NOW)
    async with client() as nobody:
        found = await nobody.get(f"/api/v1/published/{SUBJECT}")
        files = found.json()["files"]
        assert set(files) == {"status.json", "badge.json", "badge.svg", "statement.dsse.json", "feed.atom"}
        for name in files:
            answer = await nobody.get(f"/api/v1/published/{SUBJECT}/{name}")
            assert answer.status_code == 200
            assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
            assert "Internal scanner" not in answer.text
        for name in ("report.html", "restricted", "auditor.html"):
            assert (await nobody.get(f"/api/v1/published/{SUBJECT}/{name}")).status_code == 404
        file = folder / "published" / SUBJECT / "status.json"
        file.write_text(file.read_text().replace("suspended", "conformant"))
        forged = await nobody.get(f"/api/v1/published/{SUBJECT}/status.json")
        assert forged.status_code == 503
        assert "conformant" not in forged.text


CHECKS = [
    schemathesis.checks.not_a_server_error,
    getattr(schemathesis.checks, "status_code_conformance"),  # noqa: B009 (registered when loaded)
    getattr(schemathesis.checks, "content_type_conformance"),  # noqa: B009 (registered when loaded)
    getattr(schemathesis.checks, "response_schema_conformance"),  # noqa: B009 (registered when loaded)
]


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["right", "wrong"])
def test_no_call_breaks_the_server(app: FastAPI, mode: GenerationMode) -> None:
    """Call every operation with generated input, right and wrong: no server error, every answer as described.

    Making up the input takes longer than the calls, so everybody makes the same ones.
    """
    app.state.cabc.hook_limit = RateLimit(1_000_000, 0.001)
    callers = [{"Authorization": f"Bearer {token(role)}"} for role in ("auditing-party", "publisher")] + [{}]
    called: set[str] = set()

    def call(operation: Any) -> None:
        @settings(
            max_examples=8, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case: Any) -> None:
            if "{subject}" in operation.path and len(called) % 2:
                case.path_parameters["subject"] = SUBJECT  # or nearly every call would end at an unknown name
            called.add(operation.label)
            for headers in callers:
                case.validate_response(case.call(headers=headers), checks=CHECKS)

        with suppress(Unsatisfiable):  # an operation that takes nothing has no wrong input
            check()

    for result in schemathesis.openapi.from_asgi("/api/v1/openapi.json", app).get_all_operations():
        call(result.ok())
    assert len(called) >= (26 if mode is GenerationMode.POSITIVE else 18)
