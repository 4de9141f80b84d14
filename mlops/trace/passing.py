"""The way of a trace from outside: requests that the API server passes on, its errors as those of a trace."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from cabc_platform.trace.errors import TraceError

from mlops.errors import OperationError
from mlops.loop.cluster import NOT_FOUND, Answer

__all__ = ["Passing", "told"]

SECONDS = 120


class Asks(Protocol):
    """Whoever passes one request on, as a cluster does."""

    def ask(self, url: str, path: str, *, query: Mapping[str, str] | None = None, timeout: float = SECONDS) -> Answer:
        """Return what a service says."""
        ...


@contextmanager
def told() -> Iterator[None]:
    """Tell what goes wrong outside in the words of a trace."""
    try:
        yield
    except OperationError as error:
        raise TraceError(error.message, fix=error.fix) from error


class Passing:
    """Services of the cluster, asked from outside it."""

    def __init__(self, cluster: Asks) -> None:
        self._cluster = cluster

    def ask(self, url: str, path: str, *, query: Mapping[str, str] | None = None) -> Any:
        """Return what a service says in JSON, None where it has nothing. Raises TraceError for all else."""
        answer = self._get(url, path, query)
        if answer.status == NOT_FOUND:
            return None
        if not answer.good:
            msg = f"{url} answers with HTTP {answer.status}: {' '.join(answer.text.split())[:200]}"
            raise TraceError(msg)
        try:
            return answer.json()
        except ValueError as error:
            msg = f"{url} answers with something that is no JSON"
            raise TraceError(msg) from error

    def fetch(self, url: str, path: str, take: Callable[[bytes], object]) -> None:
        """Give a file to `take`, whole. Raises TraceError."""
        answer = self._get(url, path, None)
        if not answer.good:
            msg = f"{url} does not hand out {path}: HTTP {answer.status}"
            raise TraceError(msg)
        take(answer.content)

    def _get(self, url: str, path: str, query: Mapping[str, str] | None) -> Answer:
        with told():
            return self._cluster.ask(url, path, query=query, timeout=SECONDS)
