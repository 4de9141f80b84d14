"""A Prometheus that has seen a platform."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.synthetic_platform import running


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("story")) as url:
        yield url
