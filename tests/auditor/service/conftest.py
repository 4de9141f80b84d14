"""The service over a recorded past, called without a network."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from cabc.record.database import DatabaseRecord
from cabc.service.app import create_app
from fastapi import FastAPI

from tests.support.cabc import record as open_sample
from tests.support.service import HOOK_SECRET, NOW, Paper, make_home, seed, token


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder with a past; copied, never changed."""
    folder = tmp_path_factory.mktemp("seeded")
    make_home(folder)
    # The past is dated in the past, so that waivers and triggers of tests can follow.
    with open_sample(folder) as record:
        seed(record, folder)
    return folder


@pytest.fixture
def folder(seeded: Path, tmp_path: Path) -> Path:
    import shutil

    home = tmp_path / "home"
    shutil.copytree(seeded, home)
    return home


@pytest.fixture
def record(folder: Path) -> Iterator[DatabaseRecord]:
    with open_sample(folder) as found:
        yield found


@pytest.fixture
def app(folder: Path, record: DatabaseRecord, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    """The service; nothing works in its background."""
    monkeypatch.setenv("CABC_TEST_HOOK", HOOK_SECRET.decode())
    return make_app(folder, record)


def make_app(folder: Path, record: DatabaseRecord, **service: Any) -> FastAPI:
    return create_app(
        make_home(folder, **service),
        record=record,
        now=lambda: NOW,
        steps=lambda _: Paper(record),
        work=False,
    )


Client = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def client(app: FastAPI) -> Client:
    """Return a client with a role's token, or without any."""
    return lambda role=None: client_of(app, role)


@asynccontextmanager
async def client_of(app: FastAPI, role: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {token(role)}"} if role else {}
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://cabc.test", headers=headers) as found:
        yield found


@pytest.fixture(autouse=True, scope="session")
def _quiet() -> None:
    """Log as the server does, to nowhere."""
    import io

    from cabc.service import logs

    logs.configure(io.StringIO())


async def login(client: httpx.AsyncClient, role: str) -> str:
    """Log in through the form and return the word that the session's forms repeat."""
    import re

    form = await client.get("/login")
    word = re.search(r'name="csrf" value="([^"]+)"', form.text)
    assert word is not None
    answer = await client.post("/login", data={"csrf": word[1], "token": token(role)})
    assert answer.status_code == 303, answer.text
    page = await client.get("/status")
    csrf = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert csrf is not None
    return csrf[1]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run asynchronous tests on the loop that uvicorn uses."""
    return "asyncio"
