"""Windows of the log as data frames, from a collector that runs with the image's own packages and driver."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
from platform_runtime.prediction_log import reading
from platform_runtime.prediction_log.reading import served, windows

from tests.support.prediction_log import Collector, Database, Server, answer

pytestmark = pytest.mark.backend

SINCE = dt.datetime(2026, 3, 1, 10, tzinfo=dt.UTC)
UNTIL = dt.datetime(2026, 3, 1, 11, tzinfo=dt.UTC)
ROWS = 30


@pytest.fixture(scope="module")
def url(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Log three requests of ten rows, and one of another version; label some; give the reader's address."""
    database = Database(server, server.found.new_database())
    database.run(f"CREATE ROLE reader_of_{database.name} LOGIN")
    own = f"postgresql+psycopg2://{{}}@{server.found.host}:{server.found.port}/{database.name}"
    others = {"PREDICTION_LOG_READER": f"reader_of_{database.name}"}
    collector = Collector(tmp_path_factory.mktemp("collector"), own.format("postgres"), others).start()
    for number in range(3):
        rows = [{"income": 10 * number + row, "home": "own" if row else None} for row in range(10)]
        collector.post("request", f"r{number}", {"instances": rows})
        collector.post("response", f"r{number}", answer(number, rows=10))
    collector.post("request", "other", {"instances": [{"income": 1}]})
    collector.post("response", "other", {**answer(version="4"), "predictions": [0.5]})
    collector.post("request", "unanswered", {"instances": [{"income": 1}]})
    truths: list[dict[str, Any]] = [
        {"request_id": "r0", "value": 0, "attributes": {"race": "a"}},
        {"request_id": "r0", "row": 3, "value": 1, "attributes": {"race": "b"}},
        {"request_id": "r1", "row": 0, "value": 1, "at": "2026-03-01T12:00:00Z"},
        {"request_id": "r1", "row": 0, "value": 0, "at": "2026-03-01T11:00:00Z"},
        {"request_id": "r1", "row": 0, "kind": "business", "value": {"profit": 2.5}},
        {"request_id": "r1", "row": 0, "kind": "feedback", "value": "good"},
    ]
    httpx.post(f"{collector.url}/v1/truths", json=truths, timeout=30).raise_for_status()
    collector.settle()
    yield own.format(f"reader_of_{database.name}")
    collector.stop()


def window(url: str, chunk: int = 7) -> pd.DataFrame:
    parts = list(windows(url, "loan", "3", SINCE, UNTIL, chunk=chunk))
    assert [len(part) for part in parts[:-1]] == [chunk] * (len(parts) - 1)
    return pd.concat(parts).sort_values(["request_id", "row"], ignore_index=True)


def test_served_tells_what_there_is(url: str) -> None:
    found = {(model, version): rows for model, version, _, _, rows in served(url)}
    assert found == {("loan", "3"): ROWS, ("loan", "4"): 1, ("loan", ""): 1}
    (first, last) = next((first, last) for _, version, first, last, _ in served(url) if version == "3")
    assert SINCE <= first <= last < UNTIL


def test_served_reads_no_further_back_than_it_is_asked(url: str) -> None:
    ((_, _, _, last, _),) = [found for found in served(url) if found[1] == "3"]
    assert served(url, SINCE) == served(url)
    assert served(url, last + dt.timedelta(seconds=1)) == []


def test_a_question_that_takes_too_long_is_given_up(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlalchemy

    monkeypatch.setattr(reading, "SECONDS", {"windows": 0.1, "served": 0.1})
    owner = sqlalchemy.create_engine(url.replace(url.partition("://")[2].partition("@")[0], "postgres"))
    with owner.begin() as connection:
        connection.execute(sqlalchemy.text("LOCK TABLE predictions"))
        for ask in (lambda: served(url), lambda: list(windows(url, "loan", "3", SINCE, UNTIL))):
            with pytest.raises(sqlalchemy.exc.OperationalError, match="statement timeout"):
                ask()
    owner.dispose()


@pytest.mark.parametrize("chunk", [7, 1000])
def test_a_window_has_every_row_once(url: str, chunk: int) -> None:
    found = window(url, chunk)
    assert list(zip(found["request_id"], found["row"], strict=True)) == [
        (f"r{number}", row) for number in range(3) for row in range(10)
    ]
    assert found["input.income"].tolist() == [10 * number + row for number in range(3) for row in range(10)]
    assert found["input.home"].isna().sum() == 3
    assert found["output.0"].tolist() == [0.25] * ROWS
    assert found["output.1"].tolist() == [0.75 + number for number in range(3) for _ in range(10)]
    assert found["latency_ms"].unique().tolist() == [150.0]
    assert found["status"].unique().tolist() == [200]


def test_what_is_said_of_a_row_counts_before_what_is_said_of_all(url: str) -> None:
    found = window(url).set_index(["request_id", "row"])
    assert found.loc["r0", "label"].tolist() == [0, 0, 0, 1, 0, 0, 0, 0, 0, 0]
    assert found.loc["r0", "attribute.race"].tolist() == ["a", "a", "a", "b", *"aaaaaa"]
    assert found.loc[("r1", 0), "label"] == 1
    assert found["label"].notna().sum() == 11
    assert found["labelled_at"].notna().tolist() == found["label"].notna().tolist()
    assert found.loc[("r1", 0), "business.profit"] == 2.5
    assert found["feedback"].dropna().tolist() == ["good"]


def test_a_window_without_truths_has_the_same_rows(url: str) -> None:
    parts = list(windows(url, "loan", "3", SINCE, UNTIL, chunk=7, truths=False))
    found = pd.concat(parts).sort_values(["request_id", "row"], ignore_index=True)
    wanted = window(url)
    said = {"label", "labelled_at", "attribute", "feedback", "business"}
    rest = [name for name in wanted if str(name).partition(".")[0] not in said]
    pd.testing.assert_frame_equal(found[rest], wanted[rest])
    assert set(found) == set(rest) < set(wanted)


def test_a_bare_answer_is_its_first_part(url: str) -> None:
    (found,) = windows(url, "loan", "4", SINCE, UNTIL)
    assert found["output.0"].tolist() == [0.5]
    assert found["label"].isna().all()


def test_the_end_of_a_window_is_not_in_it(url: str) -> None:
    at = window(url)["at"].iloc[0].to_pydatetime()
    assert sum(len(part) for part in windows(url, "loan", "3", at, at + dt.timedelta(microseconds=1))) == ROWS
    assert list(windows(url, "loan", "3", SINCE, at)) == []


def test_the_reader_only_reads(url: str) -> None:
    import sqlalchemy
    from sqlalchemy.exc import ProgrammingError

    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    for statement in ("DELETE FROM predictions", "SELECT * FROM dead_letters", "CREATE TABLE x (a int)"):
        with pytest.raises(ProgrammingError, match="permission denied"), engine.connect() as connection:
            connection.execute(sqlalchemy.text(statement))


def test_files_are_written_with_the_images_packages(url: str, tmp_path: Path) -> None:
    import sqlalchemy
    from platform_runtime.prediction_log.archive import Archive, Bucket

    engine = sqlalchemy.create_engine(
        url.replace(url.partition("://")[2].partition("@")[0], "postgres"), poolclass=sqlalchemy.NullPool
    )
    assert Archive(engine, Bucket(tmp_path.as_uri())).run()["truths"] == 6
