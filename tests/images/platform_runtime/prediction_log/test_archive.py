"""Every row is in a file before it is old, in a real bucket; files bring back what a database has lost."""

from __future__ import annotations

import datetime as dt
import json
import os
import socket
import subprocess
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow.fs
import pytest
import sqlalchemy
from platform_runtime.prediction_log import archive as archiving
from platform_runtime.prediction_log import schema
from platform_runtime.prediction_log.archive import Archive, Bucket
from platform_runtime.prediction_log.housekeeping import Housekeeping, retain
from platform_runtime.prediction_log.replay import replay_archive
from platform_runtime.prediction_log.settings import Settings
from pyarrow import parquet
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from mlops import toolchain
from tests.support.logged_predictions import KEY, log, tell
from tests.support.prediction_log import Database

pytestmark = pytest.mark.backend

DAY = dt.date(2026, 3, 1)
FAR = {"since": dt.date.min, "until": dt.date.max}
EVER = {"model": None, "version": None, **FAR}


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Run the platform's own S3 server; give the variables that name it."""
    folder = tmp_path_factory.mktemp("s3")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {"ROOT_ACCESS_KEY_ID": "root", "ROOT_SECRET_ACCESS_KEY": "secret-of-root"}
    process = subprocess.Popen(
        [
            toolchain.binary("versitygw"),
            f"--port=127.0.0.1:{port}",
            "--health=/health",
            "--quiet",
            "posix",
            str(folder),
        ],
        env={"PATH": os.environ["PATH"], **environment},
        stdout=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/health").raise_for_status()
            except httpx.HTTPError:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
            else:
                break
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "root",
            "AWS_SECRET_ACCESS_KEY": "secret-of-root",
            "folder": str(folder),
        }
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(params=["folder", "s3"])
def bucket(request: pytest.FixtureRequest, tmp_path: Path, database: Database) -> Bucket:
    """Return an empty bucket, in a folder and in the S3 server."""
    if request.param == "folder":
        return Bucket(tmp_path.as_uri())
    server = request.getfixturevalue("s3")
    name = database.name.replace("_", "-")
    (Path(server["folder"]) / name).mkdir()
    return Bucket(f"s3://{name}", server)


@pytest.fixture
def archive(engine: sqlalchemy.Engine, bucket: Bucket) -> Archive:
    return Archive(engine, bucket)


def settings(**others: Any) -> Settings:
    return Settings(database="x", key=KEY.decode(), archive="file:///x", **others)  # type: ignore[arg-type]


def test_files_are_partitioned_by_what_people_ask_for(engine: sqlalchemy.Engine, archive: Archive) -> None:
    log(engine, "a", "b")
    log(engine, "c", model_version="4")
    tell(engine, "a", 1)
    assert archive.run() == {"predictions": 6, "truths": 1}
    found = archive.bucket.find("predictions", **EVER)
    assert {(file.model, file.version, file.day) for file in found} == {("loan", "3", DAY), ("loan", "4", DAY)}
    (third,) = [file for file in found if file.version == "3"]
    assert third.path.startswith("predictions/model=loan/version=3/day=2026-03-01/20")
    rows = list(archive.bucket.read(third.path))
    assert [(row["request_id"], row["row"]) for row in rows] == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    assert json.loads(rows[0]["inputs"]) == {"income": 2.5, "race": "a"}
    assert json.loads(rows[0]["output"]) == [0.25, 1.75]
    assert rows[0]["latency_ms"] == 150.0
    (of_truths,) = archive.bucket.find("truths", **EVER)
    assert json.loads(next(archive.bucket.read(of_truths.path))["attributes"]) == {"race": "a"}
    assert archive.run() == {"predictions": 0, "truths": 0}


def test_names_that_people_chose_are_no_paths(engine: sqlalchemy.Engine, archive: Archive) -> None:
    log(engine, "a", model_name="../../loan/x", model_version="..")
    archive.run()
    (file,) = archive.bucket.find("predictions", **EVER)
    assert (file.model, file.version) == ("../../loan/x", "..")
    assert file.path.startswith("predictions/model=%2E%2E%2F%2E%2E%2Floan%2Fx/version=%2E%2E/day=")


def test_who_dies_between_bucket_and_database_writes_the_same_object_again(
    engine: sqlalchemy.Engine, archive: Archive, database: Database
) -> None:
    log(engine, "a")
    archive.run()
    (before,) = archive.bucket.find("predictions", **EVER)
    database.run("UPDATE archives SET object = NULL")
    assert archive.run() == {"predictions": 2, "truths": 0}
    assert archive.bucket.find("predictions", **EVER) == [before]


def test_an_answer_is_waited_for_but_not_for_ever(
    engine: sqlalchemy.Engine, archive: Archive, database: Database
) -> None:
    log(engine, "a", kinds=("request",))
    assert archive.run()["predictions"] == 0
    database.run("UPDATE requests SET stored_at = now() - interval '2 minutes'")
    assert archive.run()["predictions"] == 2
    log(engine, "a", kinds=("response",))
    assert archive.run()["predictions"] == 2
    newest = list(archive.bucket.read(archive.bucket.find("predictions", **EVER)[0].path))
    assert all(row["output"] for row in newest)
    database.run("TRUNCATE requests CASCADE")
    assert replay_archive(engine, archive.bucket, **EVER)["restored"] == 1
    assert database.query("SELECT status FROM requests") == [(200,)]


def test_a_bucket_that_is_away_is_waited_for(engine: sqlalchemy.Engine, database: Database, tmp_path: Path) -> None:
    log(engine, "a")
    away = tmp_path / "file"
    away.touch()
    with pytest.raises(OSError, match="file"):
        Archive(engine, Bucket((away / "bucket").as_uri())).run()
    assert retain(engine, Archive(engine, Bucket(tmp_path.as_uri())), settings(), NEVER)["requests"] == 0
    assert Archive(engine, Bucket(tmp_path.as_uri())).run()["predictions"] == 2
    assert database.query("SELECT count(*) FROM archives") == [(1,)]


NEVER = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)


def test_what_is_old_goes_first_from_the_database_then_from_the_bucket(
    engine: sqlalchemy.Engine, archive: Archive, database: Database
) -> None:
    log(engine, "a", "b")
    tell(engine, "a", 1)
    assert retain(engine, archive, settings(), NEVER) == {"requests": 0, "truths": 0, "dead_letters": 0, "files": 0}
    archive.run()
    today = dt.datetime.now(dt.UTC)
    log(engine, "late")
    kept = settings(retention_days=90)
    soon = dt.datetime(2026, 3, 1, tzinfo=dt.UTC) + dt.timedelta(days=89)
    assert retain(engine, archive, kept, soon)["requests"] == 0
    later = max(soon, today) + dt.timedelta(days=100)
    assert retain(engine, archive, kept, later) == {"requests": 2, "truths": 1, "dead_letters": 0, "files": 0}
    # What is in no file stays, however old it is.
    assert database.query("SELECT request_id FROM requests") == [("late",)]
    assert database.query("SELECT count(*) FROM predictions") == [(2,)]
    assert len(archive.bucket.find("predictions", **EVER)) == 1
    assert retain(engine, archive, kept, NEVER)["files"] == 2
    assert archive.bucket.find("predictions", **EVER) == []


def test_a_lost_database_is_filled_from_the_files(
    engine: sqlalchemy.Engine, archive: Archive, database: Database
) -> None:
    log(engine, "a", "b")
    log(engine, "c", kinds=("request",))
    tell(engine, "a", 1)
    database.run("UPDATE requests SET stored_at = now() - interval '2 minutes'")
    archive.run()
    before = contents(database)
    tables = "archives, requests, predictions, truths, dead_letters, log, schema_version"
    database.run(f"DROP TABLE {tables}")
    with engine.begin() as connection:
        schema.upgrade(connection, "")
    done = replay_archive(engine, archive.bucket, **EVER)
    assert done == {"files": 3, "restored": 3, "present": 0, "damaged": 0, "truths": 1}
    assert contents(database) == before
    assert replay_archive(engine, archive.bucket, **EVER)["present"] == 3
    # It is all in files: a new database has no other names for them, and overwrites none.
    assert archive.run() == {"predictions": 0, "truths": 0}
    log(engine, "d")
    archive.run()
    assert len(archive.bucket.find("predictions", **EVER)) == 3


def contents(database: Database) -> list[Any]:
    ours = "SELECT to_jsonb(r) - 'archive' - 'stored_at' FROM requests r ORDER BY request_id"
    return [
        database.query(ours),
        database.query("SELECT * FROM predictions ORDER BY request_id, row"),
        database.query("SELECT to_jsonb(t) - 'archive' - 'id' FROM truths t"),
    ]


def test_a_file_that_was_changed_is_not_believed(
    engine: sqlalchemy.Engine, archive: Archive, database: Database
) -> None:
    log(engine, "a", "b")
    archive.run()
    (file,) = archive.bucket.find("predictions", **EVER)
    rows = list(archive.bucket.read(file.path))
    rows[0]["output"] = "[1.0, 0.0]"
    archive.bucket.write(file.path, [pyarrow.Table.from_pylist(rows)])
    database.run("TRUNCATE requests CASCADE")
    done = replay_archive(engine, archive.bucket, **EVER)
    assert (done["restored"], done["damaged"]) == (1, 1)
    assert database.query("SELECT request_id FROM requests") == [("b",)]


def test_only_what_is_asked_for_is_brought_back(
    engine: sqlalchemy.Engine, archive: Archive, database: Database
) -> None:
    log(engine, "a")
    log(engine, "b", model_version="4")
    archive.run()
    database.run("TRUNCATE requests CASCADE")
    assert replay_archive(engine, archive.bucket, model="loan", version="4", **FAR)["restored"] == 1
    before = {"since": dt.date.min, "until": DAY - dt.timedelta(days=1)}
    assert replay_archive(engine, archive.bucket, model=None, version=None, **before)["files"] == 0
    assert database.query("SELECT request_id FROM requests") == [("b",)]


def test_a_file_is_written_and_read_in_parts(
    engine: sqlalchemy.Engine, archive: Archive, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiving, "PART_ROWS", 3)
    log(engine, *"abcdefg")
    tell(engine, "a", 1)
    tell(engine, "b", 2)
    assert archive.run() == {"predictions": 14, "truths": 2}
    assert sorted(database.query("SELECT kind, rows FROM archives")) == [("predictions", 14), ("truths", 2)]
    (file,) = archive.bucket.find("predictions", **EVER)
    with parquet.ParquetFile(file.path, filesystem=archive.bucket.files) as found:
        assert [found.metadata.row_group(group).num_rows for group in range(found.num_row_groups)] == [3, 3, 3, 3, 2]
    before = contents(database)
    database.run("TRUNCATE requests, truths, archives CASCADE")
    done = replay_archive(engine, archive.bucket, **EVER)
    assert done == {"files": 2, "restored": 7, "present": 0, "damaged": 0, "truths": 2}
    assert contents(database) == before
    assert sorted(database.query("SELECT kind, rows FROM archives")) == [("predictions", 14), ("truths", 2)]


def test_memory_does_not_grow_with_a_files_rows(
    engine: sqlalchemy.Engine, tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiving, "PART_BYTES", 1 << 20)
    log(engine, "many")
    database.run(
        "INSERT INTO predictions SELECT request_id, number, at, model, version,"
        " jsonb_build_object('text', repeat('x', 2000)), output FROM predictions, generate_series(2, 7999) AS number"
        " WHERE row = 0"
    )
    archive = Archive(engine, Bucket(tmp_path.as_uri()))
    tracemalloc.start()
    try:
        assert archive.run()["predictions"] == 8000
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
        tracemalloc.reset_peak()
        (file,) = archive.bucket.find("predictions", **EVER)
        assert sum(1 for _ in archive.bucket.read(file.path)) == 8000
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_a_file_that_is_not_finished_is_not_there(tmp_path: Path) -> None:
    def parts() -> Iterator[pyarrow.Table]:
        yield pyarrow.table({"a": [1]})
        raise ConnectionError("the database is away")

    bucket = Bucket(tmp_path.as_uri())
    with pytest.raises(ConnectionError):
        bucket.write("predictions/a.parquet", parts())
    assert list(tmp_path.rglob("*.parquet")) == []


@pytest.mark.timeout(60)
def test_work_goes_on_whatever_goes_wrong(
    engine: sqlalchemy.Engine, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log(engine, "a")
    upgraded = threading.Event()
    upgraded.set()
    archive = Archive(engine, Bucket(tmp_path.as_uri()))
    worker = Housekeeping(engine, archive, settings(archive_seconds=0.01), upgraded)
    troubles: list[Exception] = [ValueError("year 10000 is out of range"), PoolTimeoutError("no connection")]
    run = archive.run

    def run_later() -> dict[str, int]:
        if troubles:
            raise troubles.pop()
        return run()

    monkeypatch.setattr(archive, "run", run_later)
    # What is only counted fails each time, as under a statement timeout, and nothing else waits for it.
    database.run("INSERT INTO dead_letters VALUES ('k', 'request', 'a', 's', 'r', now(), '')")
    database.run("ALTER TABLE dead_letters RENAME TO elsewhere")
    database.run("CREATE VIEW dead_letters AS SELECT * FROM elsewhere WHERE 1 / (random() * 0)::int = 1")
    worker.start()
    while worker.is_alive() and not database.query("SELECT object FROM archives WHERE object IS NOT NULL"):
        pass
    assert worker.is_alive()
    worker.stop()
