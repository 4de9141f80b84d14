"""Pages of installed packages: below their name, for whom they are, and at nobody else's cost."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from cabc.record.database import DatabaseRecord
from cabc.service import logs, plugins
from cabc.service.access import Permission
from cabc.service.openapi import describe
from cabc.service.plugins import PluginPages
from cabc.service.state import State
from fastapi import APIRouter, FastAPI

from tests.auditor.service.conftest import client_of, login, make_app

pytestmark = pytest.mark.anyio


def answering(_: State, settings: Mapping[str, Any]) -> PluginPages:
    """Return pages that say what they were told."""
    made = PluginPages("Extra", Permission.READ_EVIDENCE, pages=APIRouter(), api=APIRouter())
    made.pages.add_api_route("", lambda: {"told": dict(settings)})
    made.pages.add_api_route("/broken", broken)
    made.api.add_api_route("/thing", lambda: {"told": dict(settings)})
    return made


def broken() -> None:
    raise RuntimeError("a bug of somebody else")


def failing(_: State, settings: Mapping[str, Any]) -> PluginPages:
    msg = f"cannot work with {settings}"
    raise RuntimeError(msg)


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    here = __name__
    points = [
        EntryPoint(name, f"{here}:{function}", plugins.GROUP)
        for name, function in {
            "extra": "answering",
            "failing": "failing",
            "nowhere": "missing",
            "subjects": "answering",
        }.items()
    ]
    monkeypatch.setattr(plugins, "entry_points", lambda group: points if group == plugins.GROUP else [])


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    logs.configure(stream)
    yield stream
    logs.configure(io.StringIO())


async def test_pages_that_the_settings_name_are_served(folder: Path, record: DatabaseRecord) -> None:
    app = make_app(folder, record, pages={"extra": {"a": 1}})
    async with client_of(app) as browser:
        assert (await browser.get("/extra")).status_code == 303, "nobody is logged in"
        await login(browser, "auditing-party")
        assert (await browser.get("/extra")).json() == {"told": {"a": 1}}
        assert '<a href="/extra">Extra</a>' in (await browser.get("/subjects")).text
    async with client_of(app, "auditing-party") as program:
        assert (await program.get("/api/v1/extra/thing")).json() == {"told": {"a": 1}}
        assert (await program.get("/extra")).status_code == 303, "a token is no session"


async def test_pages_are_for_those_with_their_permission(folder: Path, record: DatabaseRecord) -> None:
    app = make_app(folder, record, pages={"extra": {}})
    for role in ("reader", "publisher", "auditee", "nothing"):
        async with client_of(app, role) as program:
            assert (await program.get("/api/v1/extra/thing")).status_code == 403, role
    async with client_of(app) as browser:
        assert (await browser.get("/api/v1/extra/thing")).status_code == 401
        await login(browser, "auditee")
        assert (await browser.get("/extra")).status_code == 403
        assert "/extra" not in (await browser.get("/subjects")).text


async def test_pages_that_nobody_named_are_not_there(folder: Path, record: DatabaseRecord) -> None:
    async with client_of(make_app(folder, record)) as browser:
        await login(browser, "auditing-party")
        assert (await browser.get("/extra")).status_code == 404


@pytest.mark.parametrize("name", ["failing", "nowhere", "unknown", "subjects"])
async def test_what_fails_is_left_out_and_said(
    folder: Path, record: DatabaseRecord, log: io.StringIO, name: str
) -> None:
    app = make_app(folder, record, pages={name: {}, "extra": {}})
    (line,) = [each for each in map(json.loads, log.getvalue().splitlines()) if each["event"] == "pages left out"]
    assert line["pages"] == name
    async with client_of(app) as browser:
        await login(browser, "auditing-party")
        assert (await browser.get("/extra")).status_code == 200
        assert "What is audited" in (await browser.get("/subjects")).text


async def test_no_page_of_the_services_own_can_be_taken(app: FastAPI) -> None:
    paths = describe(app, app.state.cabc.home.settings.service)["paths"]
    assert {path.split("/")[1] for path in paths} <= plugins.RESERVED
    async with client_of(app) as browser:
        await login(browser, "auditing-party")
        links = re.findall(r'(?:href|action)="/([a-z]+)', (await browser.get("/subjects")).text)
    assert set(links) <= plugins.RESERVED


async def test_a_page_that_fails_costs_one_answer(folder: Path, record: DatabaseRecord) -> None:
    async with client_of(make_app(folder, record, pages={"extra": {}})) as browser:
        await login(browser, "auditing-party")
        answer = await browser.get("/extra/broken")
        assert answer.status_code == 500
        assert "somebody else" not in answer.text
        assert (await browser.get("/extra")).status_code == 200
