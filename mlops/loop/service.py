"""One HTTP service of the platform, asked for JSON; when it does not answer, its workload says why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NoReturn
from urllib.parse import urlencode

from mlops.loop.cluster import Answer, Cluster, place
from mlops.loop.diagnosis import service_trouble
from mlops.loop.ledger import StageError

__all__ = ["NOT_FOUND", "Service"]

NOT_FOUND = 404

SECONDS = 60
"""Longest time for one answer: measuring a window is part of it."""


class Service:
    """A service at an in-cluster URL. A subclass gives its name and the stage that needs it."""

    name: str
    stage: str
    direct: ClassVar[bool] = False
    """It wants an `Authorization` of its own, so it is not asked through the API server's proxy."""

    def __init__(self, cluster: Cluster, url: str) -> None:
        self._cluster = cluster
        self.url = url

    @property
    def source(self) -> str:
        """Name the service as a source of facts."""
        return f"{self.name} {self.url}"

    def get(self, path: str, **query: str) -> Any:
        """Return what is at a path, None when there is nothing. Raises StageError when it does not answer."""
        answer = self._ask(path, None, query)
        if answer.status == NOT_FOUND:
            return None
        return self._body(path, answer)

    def post(self, path: str, body: Any, **query: str) -> Any:
        """Return the answer to a body. Raises StageError when it is not taken."""
        return self._body(path, self._ask(path, body, query))

    def check(self) -> None:
        """Raise StageError when it cannot do its work now."""
        self.get("/readyz")

    def headers(self) -> Mapping[str, str]:
        """Return what goes with every request."""
        return {}

    def _ask(self, path: str, body: Any, query: Mapping[str, str]) -> Answer:
        if self.direct:
            full = f"{path}?{urlencode(query)}" if query else path
            return self._cluster.ask_pod(self.url, full, body, headers=self.headers(), timeout=SECONDS)
        return self._cluster.ask(self.url, path, body, query=query, headers=self.headers(), timeout=SECONDS)

    def _body(self, path: str, answer: Answer) -> Any:
        if not answer.good:
            self.silent(path, answer)
        return answer.json() if answer.text else None

    def silent(self, path: str, answer: Answer) -> NoReturn:
        """Raise StageError for an answer that is none."""
        namespace, service, _ = place(self.url)
        trouble = service_trouble(self._cluster, namespace, service)
        reason = f"does not answer: {trouble}" if trouble else f"answers {path} with HTTP {answer.status}"
        told = "" if trouble else f": {' '.join(answer.text.split())[:300]}"
        raise StageError(self.stage, self.source, f"{reason}{told}", fix=f"kubectl -n {namespace} get pods")
