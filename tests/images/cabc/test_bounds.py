"""One trace costs the auditor's process a thread, some seconds and some bytes, and no more."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cabc.interfaces.connections import RestConnection
from cabc.record.archive import export
from cabc.record.database import DatabaseRecord
from cabc.service.problems import ProblemError
from cabc_platform.predictions import asking
from cabc_platform.predictions.asking import Connected, Excerpt
from cabc_platform.predictions.bounds import ANSWER_BYTES, Deadline, OneAtATime
from cabc_platform.trace.errors import TraceError
from cabc_platform.trace.record import Record

from tests.support.http_backend import HttpBackend, Reply
from tests.support.trace import MODEL, Past, registered


@pytest.fixture
def record(tmp_path: Path) -> Iterator[DatabaseRecord]:
    with Past(tmp_path, registered()).record(tmp_path) as found:
        yield found


class Clock:
    """A time that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def over() -> Deadline:
    """Return a deadline that has passed."""
    clock = Clock()
    deadline = Deadline(5, clock=clock)
    clock.now = 6
    return deadline


def connection(url: str, **changes: Any) -> RestConnection:
    told = {"kind": "rest", "url": url, "network": "loopback", "paths": ["/"], **changes}
    return RestConnection.model_validate_json(json.dumps(told))


def test_a_deadline_says_what_is_left() -> None:
    clock = Clock()
    deadline = Deadline(5, clock=clock)
    clock.now = 3
    assert deadline.left() == 2
    clock.now = 5
    with pytest.raises(TraceError, match="5 s"):
        deadline.left()


def test_one_at_a_time_and_not_too_many_waiting() -> None:
    turn, begun, go, seen = OneAtATime(waiting=1), threading.Event(), threading.Event(), []

    def work(name: str) -> str:
        seen.append(name)
        begun.set()
        assert go.wait(30)
        return name

    async def run() -> None:
        first = asyncio.create_task(turn.run(lambda: work("first")))
        second = asyncio.create_task(turn.run(lambda: work("second")))
        assert await asyncio.to_thread(begun.wait, 30)
        with pytest.raises(ProblemError) as refused:
            await turn.run(lambda: work("third"))
        assert refused.value.status == 503
        assert refused.value.headers["Retry-After"]
        assert seen == ["first"], "the loop goes on while one is at work, and the other waits"
        go.set()
        assert await asyncio.gather(first, second) == ["first", "second"]
        assert await turn.run(lambda: "fourth") == "fourth", "whoever is done makes room"

    asyncio.run(run())


def test_work_that_fails_makes_room_too() -> None:
    turn = OneAtATime(waiting=0)

    async def run() -> None:
        for _ in range(3):
            with pytest.raises(ValueError, match="no"):
                await turn.run(_fail)

    asyncio.run(run())


def _fail() -> None:
    raise ValueError("no")


def test_nobody_is_asked_after_the_deadline() -> None:
    with HttpBackend({"/": Reply()}) as server, Connected([connection(server.url)], over()) as services:
        for asked in (lambda: services.ask(server.url, "/"), lambda: services.fetch(server.url, "/", bytes)):
            with pytest.raises(TraceError, match="they are over"):
                asked()
        assert server.requests == []


def test_a_service_that_does_not_end_its_answer_is_left() -> None:
    stop = threading.Event()

    def endless() -> Iterator[bytes]:
        while not stop.is_set():
            yield b" "
            time.sleep(0.05)

    with (
        HttpBackend({"/": Reply(chunks=endless)}) as server,
        Connected([connection(server.url)], Deadline(1)) as services,
    ):
        with pytest.raises(TraceError):
            services.ask(server.url, "/")
        stop.set()


def test_an_answer_that_is_too_large_is_not_read() -> None:
    body = b'"' + b"a" * ANSWER_BYTES + b'"'
    with (
        HttpBackend({"/": Reply(body)}) as server,
        Connected([connection(server.url)], Deadline()) as services,
        pytest.raises(TraceError, match="larger than"),
    ):
        services.ask(server.url, "/")


def test_a_file_is_handed_on_in_parts() -> None:
    parts: list[bytes] = []
    body = bytes(range(256)) * 4096
    with HttpBackend(lambda _: Reply(body)) as server:
        with Connected([connection(server.url, maxBytes=10)], Deadline()) as services:
            services.fetch(server.url, "/a b", parts.append)
        assert server.requests[0].path == "/a%20b"
    assert b"".join(parts) == body
    assert len(parts) > 1


@pytest.mark.parametrize("body", [b"", b"nothing", b'{"a":', b"[" * 100_000])
def test_what_is_no_json_is_said(body: bytes) -> None:
    with (
        HttpBackend({"/": Reply(body)}) as server,
        Connected([connection(server.url)], Deadline()) as services,
        pytest.raises(TraceError),
    ):
        services.ask(server.url, "/")


def archived(record: DatabaseRecord, folder: Path, *, whole: bool, **limits: Any) -> bytes:
    file = folder / f"{whole}.zip"
    export(Excerpt(record, MODEL, Deadline(), whole=whole, **limits), MODEL, file, keys=record.keys)
    return file.read_bytes()


def test_an_excerpt_says_what_the_whole_says(record: DatabaseRecord, tmp_path: Path) -> None:
    part, whole = (Record(archived(record, tmp_path, whole=each), MODEL) for each in (False, True))
    assert part.entries == whole.entries
    assert part.key_id == whole.key_id
    names = set(_members(tmp_path / "True.zip")) - set(_members(tmp_path / "False.zip"))
    assert any(name.startswith("evidence/") for name in names)
    assert f"entries/collect.{MODEL}.jsonl" in names


@pytest.mark.parametrize("whole", [False, True])
def test_a_record_that_is_too_large_is_refused(record: DatabaseRecord, tmp_path: Path, whole: bool) -> None:  # noqa: FBT001 (pytest gives it by name)
    with pytest.raises(TraceError, match="export it with `mlops trace`"):
        archived(record, tmp_path, whole=whole, most=500)
    assert not (tmp_path / f"{whole}.zip").exists()


def test_an_export_ends_with_the_time(record: DatabaseRecord, tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="they are over"):
        export(Excerpt(record, MODEL, over(), whole=True), MODEL, tmp_path / "a.zip", keys=record.keys)


def test_a_connection_of_another_kind_is_named() -> None:
    from cabc.errors import CabcError

    with pytest.raises(CabcError, match="the connection nowhere"):
        asking.connection_of({}, "nowhere", RestConnection)
    assert asking.connection_of({}, None, RestConnection) is None


def _members(file: Path) -> list[str]:
    import zipfile

    with zipfile.ZipFile(file) as archive:
        return archive.namelist()
