"""One holder per subject and purpose: renewed while held, taken over when its holder is gone."""

from __future__ import annotations

import logging
import multiprocessing
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cabc.record.database import DatabaseRecord
from cabc.record.store import RunBusyError
from sqlalchemy import text

from tests.support import cabc as sample
from tests.support.cabc import SUBJECT
from tests.support.postgresql import PostgreSQL


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.backend)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the URL of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'record.db'}"
    server: PostgreSQL = request.getfixturevalue("postgresql")
    return server.url(server.new_database())


def test_somebody_else_waits_until_it_is_given_back(url: str, tmp_path: Path) -> None:
    with sample.record(tmp_path, url=url) as one, sample.record(tmp_path, url=url) as other:
        with one.lease(SUBJECT, "collect"):
            with pytest.raises(RunBusyError), other.lease(SUBJECT, "collect"):
                pass
            with other.lease(SUBJECT, "publish"), other.lease("another", "collect"):
                pass
        with other.lease(SUBJECT, "collect"):
            pass


def test_it_is_renewed_while_held(url: str, tmp_path: Path) -> None:
    with (
        sample.record(tmp_path, url=url) as one,
        sample.record(tmp_path, url=url) as other,
        one.lease(SUBJECT, "collect", seconds=2),
    ):
        time.sleep(3)
        with pytest.raises(RunBusyError), other.lease(SUBJECT, "collect"):
            pass


def test_it_is_given_back_when_the_work_fails(url: str, tmp_path: Path) -> None:
    with sample.record(tmp_path, url=url) as book:
        with pytest.raises(ZeroDivisionError), book.lease(SUBJECT, "collect"):
            raise ZeroDivisionError
        with book.lease(SUBJECT, "collect"):
            pass


def test_of_many_at_once_one_gets_it(url: str, tmp_path: Path) -> None:
    with sample.record(tmp_path, url=url) as book:
        barrier, over = threading.Barrier(16), threading.Event()

        def take() -> bool:
            barrier.wait()
            try:
                with book.lease(SUBJECT, "collect"):
                    over.wait(5)
                    return True
            except RunBusyError:
                return False

        with ThreadPoolExecutor(16) as pool:
            jobs = [pool.submit(take) for _ in range(16)]
            while sum(job.done() for job in jobs) < 15:
                time.sleep(0.01)
            over.set()
            assert sum(job.result() for job in jobs) == 1


def _hold_and_die(url: str, folder: Path, ready: multiprocessing.synchronize.Event) -> None:
    with sample.record(folder, url=url) as book, book.lease(SUBJECT, "collect", seconds=3):
        ready.set()
        time.sleep(60)


def test_the_lease_of_a_killed_process_is_taken_over_once_it_has_expired(url: str, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_hold_and_die, args=(url, tmp_path, ready))
    process.start()
    assert ready.wait(60)
    with sample.record(tmp_path, url=url) as book:
        process.kill()
        process.join()
        with pytest.raises(RunBusyError), book.lease(SUBJECT, "collect"):
            pass
        time.sleep(3.2)
        with book.lease(SUBJECT, "collect"):
            pass


def test_a_holder_that_lost_it_says_so_and_leaves_the_new_holder_alone(
    url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with sample.record(tmp_path, url=url) as one, sample.record(tmp_path, url=url) as other:
        with caplog.at_level(logging.WARNING), one.lease(SUBJECT, "collect", seconds=3):
            _expire(other)  # it is renewed a second later
            with other.lease(SUBJECT, "collect"):
                deadline = time.monotonic() + 30
                while "expired and somebody else took it" not in caplog.text:
                    assert time.monotonic() < deadline
                    time.sleep(0.1)
        with other.lease(SUBJECT, "collect"):
            pass


def _expire(book: DatabaseRecord) -> None:
    with book.engine.begin() as connection:
        connection.execute(text("UPDATE leases SET expires = 0"))
