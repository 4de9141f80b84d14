"""Sessions and forms against forgery; what pages of the wrong people do not give."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path

import pytest
from cabc.record.database import DatabaseRecord
from cabc.service import logs
from fastapi import FastAPI

from tests.auditor.service.conftest import Client, client_of, login, make_app
from tests.support.service import HIDDEN_VALUE, NOW, OTHER, SUBJECT, token

pytestmark = pytest.mark.anyio
WAIVER = {"requirement": "data-governance/bias", "reason": "retraining is under way", "expires": "2026-11-24T13:00"}
HTML = {"Accept": "text/html"}


@pytest.mark.parametrize("path", ["/subjects", f"/subjects/{SUBJECT}", f"/subjects/{SUBJECT}/waive?requirement=a/b"])
async def test_pages_ask_for_a_login_and_come_back(client: Client, path: str) -> None:
    async with client() as browser:
        answer = await browser.get(path)
        assert answer.status_code == 303
        form = await browser.get(answer.headers["location"])
    assert f'name="next" value="{path}"' in form.text


async def test_a_token_in_a_header_is_no_session(client: Client) -> None:
    async with client("auditing-party") as browser:
        assert (await browser.get("/subjects")).status_code == 303


async def test_a_session_is_no_token_for_the_api(client: Client) -> None:
    async with client() as browser:
        await login(browser, "auditing-party")
        assert (await browser.get("/api/v1/subjects")).status_code == 401


async def test_the_cookie_is_guarded(folder: Path, record: DatabaseRecord) -> None:
    secure = make_app(folder, record, public_url="https://audit.example")
    async with client_of(secure) as browser:
        form = await browser.get("/login")
        cookie = form.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Secure" in cookie
    assert "max-age" in form.headers["strict-transport-security"]


@pytest.mark.parametrize(
    "where",
    ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/a\r\nSet-Cookie: x=y"],
)
async def test_a_login_leads_to_no_other_site(client: Client, where: str) -> None:
    async with client() as browser:
        form = await browser.get("/login", params={"next": where})
        word = form.text.partition('name="csrf" value="')[2].partition('"')[0]
        answer = await browser.post("/login", data={"csrf": word, "token": token("reader"), "next": where})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/subjects"


async def test_a_login_needs_the_forms_word(client: Client) -> None:
    async with client() as browser:
        assert (await browser.post("/login", data={"token": token("reader")})).status_code == 403
        await browser.get("/login")
        answer = await browser.post("/login", data={"token": token("reader"), "csrf": "guess"})
        assert answer.status_code == 403
        assert "cabc_session" not in browser.cookies


async def test_guessing_tokens_is_slowed_down(client: Client) -> None:
    async with client() as browser:
        answers = [await browser.post("/login", data={"token": f"guess-{number}"}) for number in range(8)]
    assert [answer.status_code for answer in answers] == [403] * 5 + [429] * 3
    assert int(answers[-1].headers["retry-after"]) > 0


async def test_a_form_of_another_site_does_nothing(client: Client, record: DatabaseRecord) -> None:
    async with client() as browser:
        word = await login(browser, "auditing-party")
        path = f"/subjects/{SUBJECT}/waive"
        without = await browser.post(path, data=WAIVER)
        wrong = await browser.post(path, data={**WAIVER, "csrf": "guess"})
        foreign = await browser.post(path, data={**WAIVER, "csrf": word}, headers={"Sec-Fetch-Site": "cross-site"})
        assert [without.status_code, wrong.status_code, foreign.status_code] == [403, 403, 403]
        assert record.waivers(SUBJECT) == []
        right = await browser.post(path, data={**WAIVER, "csrf": word})
        assert right.status_code == 303
    (waiver,) = record.waivers(SUBJECT)
    assert waiver.approver == "auditing-party-person"


ATTESTATION = {"value": "yes", "statement": "looked at by two people", "valid_until": "2026-11-25T12:00"}


@pytest.mark.parametrize(
    ("form", "changed", "field"),
    [
        ("waive", {"expires": "2026-11-23T12:00"}, "expires"),
        ("waive", {"requirement": "no/such"}, "requirement"),
        ("attest", {"valid_until": "2026-11-23T12:00"}, "valid_until"),
        ("attest", {"path": "no/such"}, "path"),
    ],
)
async def test_a_mistake_in_a_form_is_told_at_its_field(
    client: Client, form: str, changed: dict[str, str], field: str
) -> None:
    given = WAIVER if form == "waive" else {**ATTESTATION, "path": "data-governance/data-card/reviewed/answer"}
    async with client() as browser:
        word = await login(browser, "auditing-party" if form == "waive" else "auditee")
        answer = await browser.post(f"/subjects/{SUBJECT}/{form}", data={**given, **changed, "csrf": word})
    assert answer.status_code == 422
    assert f'id="{field}-error"' in answer.text
    assert answer.text.count('-error"') == 2, "the mistake and the field that refers to it"


@pytest.mark.parametrize(
    ("role", "path", "body"),
    [
        ("auditee", "waive", WAIVER),
        ("reader", "run", {}),
        ("publisher", "run", {}),
        ("reader", "attest", {}),
        ("auditing-party", "publish", {}),
        ("auditee", "publish", {}),
    ],
)
async def test_forms_of_the_wrong_role_do_nothing(
    client: Client, record: DatabaseRecord, role: str, path: str, body: dict[str, str]
) -> None:
    async with client() as browser:
        word = await login(browser, role)
        answer = await browser.post(f"/subjects/{SUBJECT}/{path}", data={**body, "csrf": word})
    assert answer.status_code == 403
    assert record.waivers(SUBJECT) == record.triggers(SUBJECT) == record.publications(SUBJECT) == []


@pytest.mark.parametrize("path", ["", "/history", "/findings/security/supply-chain", "/waive", "/attest"])
async def test_a_session_for_one_subject_does_not_open_another(client: Client, path: str) -> None:
    async with client() as browser:
        await login(browser, "churn")
        assert (await browser.get(f"/subjects/{SUBJECT}{path}")).status_code == 403
        assert (await browser.get(f"/subjects/no-such{path}")).status_code == 403
        board = await browser.get("/subjects")
    assert OTHER in board.text
    assert SUBJECT not in board.text


@pytest.mark.parametrize("role", ["reader", "publisher"])
async def test_pages_hide_confidential_details(client: Client, role: str) -> None:
    async with client() as browser:
        await login(browser, role)
        for path in ("", "/history", "/findings/security/supply-chain", "/assessments/a-credit-scoring-12/report"):
            page = await browser.get(f"/subjects/{SUBJECT}{path}")
            assert page.status_code == 200, path
            assert HIDDEN_VALUE not in page.text
            assert "Internal scanner" not in page.text
        digest = "sha256:" + "0" * 64
        evidence = await browser.get(f"/subjects/{SUBJECT}/assessments/a-credit-scoring-12/evidence/{digest}")
        assert evidence.status_code == 403
        auditor = await browser.get(f"/subjects/{SUBJECT}/assessments/a-credit-scoring-12/report?reader=auditor")
        assert auditor.status_code == 403


async def test_what_people_write_is_text_and_nothing_else(client: Client) -> None:
    async with client() as browser:
        word = await login(browser, "auditing-party")
        evil = '<script>alert(1)</script><img src=x onerror=alert(1)> "quoted" \u202e'
        data = {**WAIVER, "csrf": word, "reason": evil}
        assert (await browser.post(f"/subjects/{SUBJECT}/waive", data=data)).status_code == 303
        page = await browser.get(f"/subjects/{SUBJECT}/history")
        board = await browser.get("/subjects", params={"q": evil})
    for text in (page.text, board.text):
        assert "<script" not in text
        assert "<img src=x" not in text
    assert "&lt;script&gt;" in page.text
    assert "\u202e" not in page.text


async def test_errors_of_people_are_pages_and_of_programs_problems(client: Client) -> None:
    async with client() as browser:
        page = await browser.get("/nowhere", headers=HTML)
        problem = await browser.get("/nowhere", headers={"Accept": "application/json"})
        api = await browser.get("/api/v1/nowhere", headers=HTML)
    assert page.status_code == problem.status_code == api.status_code == 404
    assert page.headers["content-type"].startswith("text/html")
    assert problem.headers["content-type"] == api.headers["content-type"] == "application/problem+json"


async def test_logging_out_ends_the_session(app: FastAPI) -> None:
    async with client_of(app) as browser:
        word = await login(browser, "reader")
        cookie = browser.cookies["cabc_session"]
        assert (await browser.post("/logout", data={"csrf": word})).status_code == 303
        browser.cookies.set("cabc_session", cookie)
        assert (await browser.get("/subjects")).status_code == 303


async def test_anybody_reads_what_is_published_and_nothing_more(
    client: Client, app: FastAPI, record: DatabaseRecord
) -> None:
    from cabc.report.publish import publish

    publish(record, OTHER, app.state.cabc.home.published, record.keys, now=NOW)
    async with client() as anybody:
        overview = await anybody.get("/status")
        page = await anybody.get(f"/status/{OTHER}")
        unpublished = await anybody.get(f"/status/{SUBJECT}")
    assert OTHER in overview.text
    assert SUBJECT not in overview.text
    assert (page.status_code, unpublished.status_code) == (200, 404)
    assert "statement.dsse.json" in page.text
    assert "certified" not in page.text.lower()  # self-assessment never says it


def test_logs_hold_no_secrets() -> None:
    stream = io.StringIO()
    logs.configure(stream)
    log = logging.getLogger("cabc.test")
    log.warning("sent Bearer abc.def-ghi to postgresql://ann:pass%40word@db/x")
    log.warning("token eyJhbGciOi.eyJzdWIi.c2ln seen")
    import structlog

    fields = {
        "authorization": "Basic abc",
        "nested": {"api_key": "k1", "fine": "kept"},
        "hook_secret": "s1",
        "token": "t1",
    }
    structlog.stdlib.get_logger("cabc.test").info("event", **fields)
    try:
        raise ValueError("password in postgresql://ann:hunter2@db/x")
    except ValueError:
        log.exception("failed")
    text = stream.getvalue()
    lines = [json.loads(line) for line in text.splitlines()]
    assert len(lines) == 4
    for secret in ("abc.def", "pass%40word", "eyJhbGci", "Basic abc", "k1", "s1", '"t1"', "hunter2"):
        assert secret not in text, secret
    assert "kept" in text
    assert "Traceback" in lines[3]["exception"]
    logs.configure(io.StringIO())
