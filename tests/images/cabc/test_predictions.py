"""The page of one prediction: who may open it, what it shows, what it withstands."""

from __future__ import annotations

import io
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from cabc.record.archive import verify_archive
from cabc.record.database import DatabaseRecord
from cabc.service import logs
from cabc_platform.trace.collected import RECORD, Collected
from cabc_platform.trace.judging import judge
from fastapi import FastAPI

from tests.support.http_backend import HttpBackend
from tests.support.predictions import SETTINGS, connections, predictions_app
from tests.support.service import token
from tests.support.trace import (
    FILES,
    MODEL,
    REQUEST,
    Past,
    log_server,
    prediction,
    registered,
    registry_server,
    truth,
)

pytestmark = pytest.mark.anyio

STRANGE = "a/b c?d#e%&é<script>alert(1)</script>"
"""An id that a caller may well send."""

OTHERS = "of-another-team"

HTML = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def past(tmp_path: Path) -> Past:
    return Past(tmp_path, registered())


@pytest.fixture
def record(past: Past, tmp_path: Path) -> Iterator[DatabaseRecord]:
    with past.record(tmp_path) as found:
        yield found


@pytest.fixture
def log() -> Iterator[HttpBackend]:
    """Give a log of three requests, one of them answered by somebody else's model."""
    known = [
        prediction(registered(), truths=(truth(1, 1),)),
        prediction(registered(), request_id=STRANGE),
        {**prediction(registered(), request_id=OTHERS), "model": "theirs"},
    ]
    with log_server(*known) as server:
        yield server


@pytest.fixture
def registry() -> Iterator[HttpBackend]:
    with registry_server(registered()) as server:
        yield server


@pytest.fixture
def known(past: Past, log: HttpBackend, registry: HttpBackend, tmp_path: Path) -> dict[str, Any]:
    return connections(tmp_path, past, log=log.url, mlflow=registry.url)


@pytest.fixture
def app(tmp_path: Path, record: DatabaseRecord, known: dict[str, Any]) -> FastAPI:
    return predictions_app(tmp_path, record, known)


def caller(app: FastAPI, role: str | None = None) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {token(role)}"} if role else {}
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://cabc.test", headers=headers)


@asynccontextmanager
async def signed_in(app: FastAPI, role: str = "auditing-party") -> AsyncIterator[httpx.AsyncClient]:
    async with caller(app) as browser:
        form = await browser.get("/login")
        word = re.search(r'name="csrf" value="([^"]+)"', form.text)
        assert word is not None
        answer = await browser.post("/login", data={"csrf": word[1], "token": token(role)})
        assert answer.status_code == 303
        yield browser


def states(trace: Any) -> dict[str, str]:
    return {hop["name"]: hop["state"] for hop in trace["hops"]}


async def test_every_hop_is_on_the_page(app: FastAPI) -> None:
    async with signed_in(app) as browser:
        page = await browser.get(f"/predictions/{REQUEST}", headers=HTML)
    assert page.status_code == 200, page.text
    assert "Every hop is verified" in page.text
    for name in ("prediction", "model", "image", "run", "status", "infrastructure", "truth"):
        assert f'<article class="card" id="{name}">' in page.text
    assert page.text.count("sha256:") > 7
    assert f'href="/subjects/{MODEL}/assessments/a12/report"' in page.text
    assert page.headers["cache-control"] == "no-store"


async def test_the_form_leads_to_the_page_and_lists_the_last_requests(app: FastAPI) -> None:
    async with signed_in(app) as browser:
        board = await browser.get("/subjects")
        assert '<a href="/predictions">Predictions</a>' in board.text
        form = await browser.get("/predictions")
        assert f'<a href="/predictions/{REQUEST}">' in form.text
        assert OTHERS in form.text
        led = await browser.get("/predictions", params={"request": f" {STRANGE} ", "row": "1"})
        assert led.status_code == 303
        page = await browser.get(led.headers["location"])
    assert page.status_code == 200
    assert "row 1" in page.text


async def test_programs_get_the_same_trace(app: FastAPI) -> None:
    async with caller(app, "auditing-party") as program, signed_in(app) as browser:
        answer = await program.get(f"/api/v1/predictions/{REQUEST}", params={"row": 1})
        page = await browser.get(f"/predictions/{REQUEST}", params={"row": 1, "format": "json"})
    assert answer.json() == page.json()
    assert answer.json()["verified"] is True
    assert [each["row"] for each in answer.json()["hops"][0]["facts"]["rows"]] == [1]
    assert answer.headers["cache-control"] == "no-store"


async def test_the_download_is_what_the_command_verifies(app: FastAPI, tmp_path: Path) -> None:
    async with signed_in(app) as browser:
        page = await browser.get(f"/predictions/{REQUEST}?row=1")
        (link,) = re.findall(r'href="([^"]*format=zip[^"]*)"', page.text)
        answer = await browser.get(link.replace("&amp;", "&"))
    assert answer.headers["content-disposition"] == f'attachment; filename="prediction-{REQUEST}.zip"'
    file = tmp_path / "decision.zip"
    file.write_bytes(answer.content)
    found, told, manifest = Collected.read(file)
    assert manifest == answer.headers["x-manifest-digest"]
    assert json.loads(json.dumps(judge(found, 1).plain())) == told
    (tmp_path / RECORD).write_bytes(found.files[RECORD])
    assert verify_archive(tmp_path / RECORD) == []


async def test_only_who_may_see_confidential_details_comes_in(app: FastAPI) -> None:
    for role, status, export in (
        ("reader", 403, 403),
        ("publisher", 403, 403),
        ("auditee", 200, 403),
        ("auditing-party", 200, 200),
    ):
        async with caller(app, role) as program, signed_in(app, role) as browser:
            for path in (f"/predictions/{REQUEST}", "/predictions"):
                assert (await browser.get(path)).status_code == status, (role, path)
            assert ("/predictions" in (await browser.get("/subjects")).text) == (status == 200)
            assert (await browser.get(f"/predictions/{REQUEST}?format=zip")).status_code == export, role
            assert (await program.get(f"/api/v1/predictions/{REQUEST}")).status_code == status, role
            assert (await program.get(f"/api/v1/predictions/{REQUEST}?format=zip")).status_code == export, role
    async with caller(app) as nobody:
        assert (await nobody.get(f"/predictions/{REQUEST}")).status_code == 303
        assert (await nobody.get(f"/api/v1/predictions/{REQUEST}")).status_code == 401


async def test_a_prediction_of_another_model_is_as_if_it_were_not_there(app: FastAPI) -> None:
    async with caller(app, "churn") as program, signed_in(app, "churn") as browser:
        theirs = await program.get(f"/api/v1/predictions/{OTHERS}")
        nowhere = await program.get("/api/v1/predictions/nowhere")
        listed = await browser.get("/predictions")
    assert theirs.status_code == nowhere.status_code == 404
    assert theirs.json()["detail"] == nowhere.json()["detail"]
    assert OTHERS not in listed.text
    assert REQUEST not in listed.text


async def test_every_opening_is_written_down(app: FastAPI) -> None:
    stream = io.StringIO()
    logs.configure(stream)
    try:
        async with signed_in(app) as browser:
            await browser.get(f"/predictions/{REQUEST}")
            export = await browser.get(f"/predictions/{REQUEST}?format=zip")
            await browser.get("/predictions/nowhere")
    finally:
        logs.configure(io.StringIO())
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    told = [line for line in lines if line["event"].startswith("prediction ")]
    assert [(each["event"], each["prediction"], each["caller"], each["wanted"]) for each in told] == [
        ("prediction shown", REQUEST, "auditing-party-person", "html"),
        ("prediction shown", REQUEST, "auditing-party-person", "zip"),
        ("prediction not shown", "nowhere", "auditing-party-person", "html"),
    ]
    assert told[1]["manifest"] == export.headers["x-manifest-digest"]
    assert "81.5" not in stream.getvalue(), "what was asked is a person's, and no log's"


@pytest.mark.parametrize(
    ("request_id", "status"),
    [
        (STRANGE, 200),
        ("<script>alert(1)</script>", 404),
        ("../../etc/passwd", 404),
        ("..%2F..%2Fv1%2Fdead-letters", 404),
        ("../v1/dead-letters", 404),
        ("a//b", 404),
        ("\x00", 404),
        ("\r\nSet-Cookie: a=b", 404),
        ("日本語 \u202e🙂", 404),
        ("a" * 200, 404),
        ("a" * 10_000, 422),
    ],
)
async def test_strange_ids_are_text(app: FastAPI, log: HttpBackend, request_id: str, status: int) -> None:
    from urllib.parse import quote

    async with signed_in(app) as browser, caller(app, "auditing-party") as program:
        page = await browser.get(f"/predictions/{quote(request_id, safe='')}", headers=HTML)
        answer = await program.get(f"/api/v1/predictions/{quote(request_id, safe='')}")
        led = await browser.get("/predictions", params={"request": request_id})
    assert (page.status_code, answer.status_code) == (status, status), page.text
    assert led.status_code in {303, 422}
    assert "set-cookie" not in led.headers
    assert "<script" not in page.text
    asked = [each.path for each in log.requests]
    assert all(path.startswith("/v1/") and ".." not in path for path in asked), asked


@pytest.mark.parametrize("row", ["-1", "x", "1e3", "9" * 30])
async def test_a_row_is_a_number(app: FastAPI, row: str) -> None:
    async with signed_in(app) as browser:
        assert (await browser.get(f"/predictions/{REQUEST}", params={"row": row})).status_code == 422
        assert (await browser.get("/predictions", params={"request": "a", "row": row})).status_code == 422


async def test_hops_of_parts_that_are_not_there_are_missing(
    tmp_path: Path, record: DatabaseRecord, known: dict[str, Any]
) -> None:
    app = predictions_app(tmp_path, record, known, pages={"predictions": {"predictionLog": "collector"}})
    async with caller(app, "auditing-party") as program:
        found = states((await program.get(f"/api/v1/predictions/{REQUEST}")).json())
    assert found == {
        "prediction": "verified",
        "model": "missing",
        "run": "missing",
        "image": "missing",
        "infrastructure": "missing",
        "status": "verified",
        "truth": "verified",
    }


async def test_parts_that_are_away_are_missing_and_say_why(
    tmp_path: Path, record: DatabaseRecord, known: dict[str, Any]
) -> None:
    known["mlflow"]["url"] = "http://127.0.0.1:9"
    known["infrastructure"]["file"] = str(tmp_path / "nothing.jsonl")
    app = predictions_app(tmp_path, record, known)
    async with signed_in(app) as browser:
        page = await browser.get(f"/predictions/{REQUEST}")
    assert page.status_code == 200
    assert "Not verified: Model version (missing)" in page.text
    assert "the request failed" in page.text


async def test_without_the_log_all_of_it_is_missing(
    tmp_path: Path, record: DatabaseRecord, known: dict[str, Any]
) -> None:
    known["collector"]["url"] = "http://127.0.0.1:9"
    app = predictions_app(tmp_path, record, known)
    async with signed_in(app) as browser:
        form = await browser.get("/predictions")
        page = await browser.get(f"/predictions/{REQUEST}?format=json")
    assert "cannot be asked" in form.text
    assert set(states(page.json()).values()) == {"missing"}


async def test_a_model_that_nobody_audits_has_no_status(
    tmp_path: Path, record: DatabaseRecord, known: dict[str, Any]
) -> None:
    app = predictions_app(tmp_path, record, known)
    async with caller(app, "auditing-party") as program:
        found = (await program.get(f"/api/v1/predictions/{OTHERS}")).json()
    status = next(hop for hop in found["hops"] if hop["name"] == "status")
    assert status["summary"] == "missing: the record knows no subject 'theirs'"


async def test_changed_artefacts_are_found(tmp_path: Path, record: DatabaseRecord, known: dict[str, Any]) -> None:
    with registry_server(registered(), {**FILES, "model.pkl": b"another"}) as other:
        known["mlflow"]["url"] = other.url
        app = predictions_app(tmp_path, record, known)
        async with signed_in(app) as browser:
            page = await browser.get(f"/predictions/{REQUEST}")
    assert "Not verified: Model version (unverified)" in page.text


async def test_connections_that_are_wrong_are_named(
    tmp_path: Path, record: DatabaseRecord, known: dict[str, Any]
) -> None:
    pages = {"predictions": {**SETTINGS, "registry": "infrastructure"}}
    app = predictions_app(tmp_path, record, known, pages=pages)
    async with caller(app, "auditing-party") as program:
        answer = await program.get(f"/api/v1/predictions/{REQUEST}")
    assert answer.status_code == 409
    assert "connection infrastructure" in answer.json()["detail"]


async def test_a_process_that_does_not_judge_names_the_one_that_does(
    tmp_path: Path, record: DatabaseRecord, known: dict[str, Any]
) -> None:
    app = predictions_app(tmp_path, record, known, role="collect")
    async with caller(app, "auditing-party") as program:
        answer = await program.get(f"/api/v1/predictions/{REQUEST}")
    assert answer.status_code == 503
    assert "ask the process assess" in answer.json()["detail"]


async def test_the_api_describes_itself(app: FastAPI) -> None:
    async with caller(app, "auditing-party") as program:
        found = (await program.get("/api/v1/openapi.json")).json()["paths"]["/api/v1/predictions/{request}"]["get"]
    assert found["security"] == [{"bearer": []}]
    assert {"401", "403", "404", "422"} <= found["responses"].keys()
