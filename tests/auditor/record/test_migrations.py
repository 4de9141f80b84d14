"""Migrations make the tables that the program uses, and bring an older database there without losing a row."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from cabc.errors import CabcError
from cabc.record import engines, schema
from cabc.record.engines import connect, migrate, reading, resolve_url, revision, writing
from sqlalchemy import create_engine, inspect, text

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


def test_migrations_and_models_agree(url: str) -> None:
    engine = connect(resolve_url(url))
    migrate(engine)
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), schema.metadata)
        assert differences == []
        indexes = {
            index["name"] for table in schema.metadata.tables for index in inspect(connection).get_indexes(table)
        }
        assert indexes == {"entries_key", "entries_latest", "entries_parent"}
    engine.dispose()


def test_the_program_wants_the_last_migration() -> None:
    config = Config()
    config.set_main_option("script_location", "cabc.record:migrations")
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [schema.REVISION]


def test_every_migration_is_one_step_from_the_one_before() -> None:
    config = Config()
    config.set_main_option("script_location", "cabc.record:migrations")
    config.set_main_option("path_separator", "os")
    steps = list(ScriptDirectory.from_config(config).walk_revisions())
    assert [step.down_revision for step in steps] == [*[step.revision for step in steps[1:]], None]


def test_an_interrupted_first_start_is_begun_again(url: str, tmp_path: Path) -> None:
    """A database without the mark of a migration has no tables: both come in one transaction."""
    engine = connect(resolve_url(url))

    def begin() -> None:
        with writing(engine) as connection:
            engines._upgrade(connection, None)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        begin()
    with reading(engine) as connection:
        assert revision(connection) is None
        assert not inspect(connection).has_table("entries")
    engine.dispose()
    with sample.record(tmp_path, url=url) as book:
        sample.run(book)


def test_many_that_start_at_once_make_the_tables_once(url: str) -> None:
    def start(_: int) -> None:
        engine = connect(resolve_url(url))
        migrate(engine)
        engine.dispose()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(start, range(8)))
    engine = create_engine(resolve_url(url))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM alembic_version")).scalar() == 1
    engine.dispose()


def test_a_database_of_a_newer_version_is_refused(url: str, tmp_path: Path) -> None:
    with sample.record(tmp_path, url=url) as book:
        sample.run(book)
        with book.engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(CabcError, match="newer version of cabc"):
        sample.record(tmp_path, url=url)
    with pytest.raises(CabcError, match="tables of revision 9999"):
        sample.record(tmp_path, url=url, role="read")


def test_opening_again_keeps_every_row(url: str, tmp_path: Path) -> None:
    with sample.record(tmp_path, url=url) as book:
        sample.run(book)
        before = list(book.entries(f"assess:{SUBJECT}"))
    with sample.record(tmp_path, url=url) as book:
        assert list(book.entries(f"assess:{SUBJECT}")) == before
