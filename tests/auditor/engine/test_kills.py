"""A process that is killed at any moment loses nothing and doubles nothing; the next one goes on."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from cabc.engine.recompute import recompute
from cabc.record.database import DatabaseRecord, open_record
from cabc.record.engines import writing
from cabc.record.schema import leases
from cabc.record.types import Status
from cabc.record.verify import verify
from sqlalchemy import update

from tests.support.cabc_engine import document, leaf, requirement
from tests.support.http_backend import HttpBackend, Reply, Request

LEAVES = 24
COMMAND = [sys.executable, "-c", "from cabc.cli import main; main()", "assess", "spec.json", "--json"]


def reply(request: Request) -> Reply:
    del request
    time.sleep(0.02)
    return Reply(b"1")


def opened(folder: Path) -> DatabaseRecord:
    home = folder / ".cabc"
    return open_record(f"sqlite:///{home / 'record.db'}", keys=home / "keys", anchors=[home / "anchors"])


def start(folder: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "CABC_HOME": str(folder / ".cabc")}
    return subprocess.Popen(COMMAND, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def kill_somewhere(process: subprocess.Popen[bytes], backend: HttpBackend, dice: random.Random) -> None:
    """Kill at any place: while it starts, between two questions, or while it assesses and records."""
    asked, limit = len(backend.requests), time.monotonic() + 60
    wanted = dice.choice([0, dice.randint(1, LEAVES), LEAVES, LEAVES])
    while len(backend.requests) < asked + wanted and process.poll() is None and time.monotonic() < limit:
        time.sleep(0.001)
    time.sleep(dice.uniform(0, 2.0) if wanted == 0 else dice.uniform(0, 0.4))
    process.send_signal(signal.SIGKILL)
    process.communicate()


def expire_leases(book: DatabaseRecord) -> None:
    """Let the killed process's lease run out, as waiting would."""
    with writing(book.engine) as connection:
        connection.execute(update(leases).values(expires=0))


def check(book: DatabaseRecord, folder: Path) -> None:
    """Everything that is recorded is whole."""
    faults = verify(book, keys=book.keys, anchors=[folder / ".cabc" / "anchors"], recompute=recompute(book))
    assert [str(fault) for fault in faults] == []
    for assessment in book.assessments("scoring", limit=500):
        paths = Counter(each.path for each in book.observations(assessment.id))
        assert len(paths) == LEAVES
        assert set(paths.values()) == {1}
        assert len(book.findings(assessment.id)) == 2


@pytest.mark.backend
@pytest.mark.parametrize(
    ("kills", "waits"),
    [
        pytest.param(3, False, id="three"),
        pytest.param(20, True, id="twenty", marks=[pytest.mark.release, pytest.mark.timeout(1200)]),
    ],
)
def test_killed_runs_lose_and_double_nothing(tmp_path: Path, *, kills: int, waits: bool) -> None:
    half = LEAVES // 2
    spec = document(
        requirement("a", *(leaf(f"l{n}") for n in range(half))),
        requirement("b", *(leaf(f"l{n}") for n in range(half, LEAVES))),
        subject={"name": "scoring"},
    )
    (tmp_path / "spec.json").write_bytes(spec.text)
    (tmp_path / ".cabc").mkdir()
    dice = random.Random(kills)  # noqa: S311 (the same places each time)
    with HttpBackend(reply) as backend:
        connection = {"kind": "rest", "url": backend.url, "network": "loopback", "maxConcurrent": 2}
        (tmp_path / ".cabc" / "connections.yaml").write_text(json.dumps({"connections": {"api": connection}}))
        opened(tmp_path).close()
        for _ in range(kills):
            kill_somewhere(start(tmp_path), backend, dice)
            with opened(tmp_path) as book:
                check(book, tmp_path)
                if not waits:
                    expire_leases(book)
        last = start(tmp_path)
        output, errors = last.communicate(timeout=120)

    assert last.returncode == 0, errors.decode()
    assert json.loads(output)["status"]["status"] == "conformant"
    with opened(tmp_path) as book:
        check(book, tmp_path)
        assert book.triggers("scoring") == []
        assert book.pending_collections("scoring") == []
        assert book.status("scoring").status is Status.CONFORMANT  # type: ignore[union-attr]
        collections = [entry.key for entry in book.entries("collect:scoring") if entry.kind == "collection"]
        assessed = [each.collection for each in book.assessments("scoring", limit=500)]
        assert sorted(collections) == sorted(assessed), "each collection has one assessment"
        assert len(book.history("scoring")) == 1, "the status was issued once"


@pytest.mark.backend
def test_interrupt_ends_with_130_and_nothing_half_done(tmp_path: Path) -> None:
    spec = document(requirement("a", leaf("x")), requirement("b", leaf("y")), subject={"name": "scoring"})
    (tmp_path / "spec.json").write_bytes(spec.text)
    (tmp_path / ".cabc").mkdir()

    def slow(request: Request) -> Reply:
        del request
        time.sleep(3)
        return Reply(b"1")

    with HttpBackend(slow) as backend:
        connection = {"kind": "rest", "url": backend.url, "network": "loopback"}
        (tmp_path / ".cabc" / "connections.yaml").write_text(json.dumps({"connections": {"api": connection}}))
        for number, expected in ((signal.SIGINT, 130), (signal.SIGTERM, 130)):
            process = start(tmp_path)
            asked = len(backend.requests)
            while len(backend.requests) == asked and process.poll() is None:
                time.sleep(0.01)
            process.send_signal(number)
            _, errors = process.communicate(timeout=60)
            assert process.returncode == expected
            assert b"interrupted" in errors
            assert b"Traceback" not in errors
    with opened(tmp_path) as book:
        assert book.assessments("scoring") == []
        assert len(book.triggers("scoring")) == 2
        with book.lease("scoring", "collect"):
            pass  # the subject was given back
