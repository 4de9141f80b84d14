"""A prediction whose every hop is there: the registry is a real MLflow where a test asks for it, else its answers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cabc_platform.trace.collected import Collected
from cabc_platform.trace.collecting import collect

from components._core import paths
from tests.support.http_backend import HttpBackend
from tests.support.registered_version import version_in_mlflow
from tests.support.trace import REQUEST, Past, log_server, prediction, registered, registry_server, sources

# The digests of the log are compared with the collector's own, which is not a package of the project.
sys.path.insert(0, str(paths.CHECKOUT / "images" / "python"))


@pytest.fixture(scope="session")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    """Give a real MLflow of the image's environment, and a version that was registered as the pipeline does it."""
    with version_in_mlflow(tmp_path_factory.mktemp("mlflow")) as found:
        yield found


@pytest.fixture
def model() -> dict[str, str]:
    """Give the identity of the version that a registry of the test's own has."""
    return registered()


@pytest.fixture
def registry(model: dict[str, str]) -> Iterator[HttpBackend]:
    """Give a server that answers as MLflow does."""
    with registry_server(model) as server:
        yield server


@pytest.fixture
def past(tmp_path: Path, model: dict[str, str]) -> Past:
    return Past(tmp_path, model)


@pytest.fixture
def collected(past: Past, model: dict[str, str], registry: HttpBackend) -> Callable[..., Collected]:
    """Return what is collected of a prediction; keywords change what the log says."""

    def run(**changes: Any) -> Collected:
        with log_server({**prediction(model), **changes}) as log:
            return collect(sources(past, log.url, registry.url), REQUEST, stack="local")

    return run
