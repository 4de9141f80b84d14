"""Find exactly the predictions that were sent, and their latency, in Prometheus."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mlops.loop.ledger import Ledger, StageError
from mlops.loop.metrics import STAGE, Prometheus
from mlops.loop.serving import Serving

__all__ = ["Counts", "Monitoring"]

METRIC = "model_request_seconds"

CONFIGURATION_SECONDS = 120.0
"""A new monitor reaches Prometheus through a mounted Secret, which the kubelet refreshes about once a minute."""

SCRAPE_SECONDS = 45.0
"""A counter that has changed is scraped within this time; the interval is 5 s by default."""

_OWN = re.compile(rf"^{METRIC}_count{{(?P<labels>[^}}]*)}} (?P<value>\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Counts:
    """Answered requests of one version by protocol, and the seconds they took together."""

    requests: dict[str, int]
    seconds: float


class Monitoring:
    """What Prometheus knows of one InferenceService."""

    def __init__(
        self,
        prometheus: Prometheus,
        serving: Serving,
        *,
        pause: float = 0.5,
        configured: float = CONFIGURATION_SECONDS,
        scraped: float = SCRAPE_SECONDS,
    ) -> None:
        self._prometheus = prometheus
        self._serving = serving
        self._pause = pause
        self._configured = configured
        self._scraped = scraped

    def check(self) -> None:
        """Raise StageError when Prometheus could not see a model server now."""
        self._prometheus.check()
        namespace = self._serving.namespace
        prefixes = tuple(f"{kind}/{namespace}/" for kind in ("podMonitor", "serviceMonitor"))
        if not self._until(
            lambda: any(pool.startswith(prefixes) for pool in self._prometheus.pools()), self._configured
        ):
            raise StageError(
                STAGE,
                f"Prometheus {self._prometheus.url}",
                f"scrapes nothing in namespace {namespace}: it has no PodMonitor there",
                fix="`pulumi up` repairs what was changed by hand",
            )
        for pod in self._serving.pods():
            if pod.get("status", {}).get("phase") == "Running":
                self.target(pod["metadata"]["name"])

    def target(self, pod: str) -> dict[str, Any]:
        """Return the healthy target of a pod. Raises StageError when there is none in time."""
        found: list[dict[str, Any]] = []

        def healthy() -> bool:
            targets = self._prometheus.targets(self._serving.namespace)
            found[:] = [target for target in targets if target["labels"].get("pod") == pod]
            return any(target["health"] == "up" for target in found)

        if not self._until(healthy, self._configured):
            subject = f"Prometheus {self._prometheus.url}"
            if not found:
                raise StageError(STAGE, subject, f"has no target for pod {self._serving.namespace}/{pod}")
            raise StageError(STAGE, subject, f"cannot read {found[0]['scrapeUrl']}: {found[0]['lastError']}")
        return found[0]

    def settled(self, version: str) -> Counts:
        """Return the counts once Prometheus has all that the servers have counted. Raises StageError."""
        if not self._serving.pods():
            raise StageError(STAGE, self._serving.subject, "has no pod")
        for pod in self._serving.pods():
            self.target(pod["metadata"]["name"])
        counts = Counts({}, 0.0)

        def same() -> bool:
            nonlocal counts
            counts = self._counts(version)
            return counts.requests == self._own(version)

        if not self._until(same, self._scraped):
            raise StageError(
                STAGE,
                self._serving.subject,
                f"counts {self._own(version)} answered requests, Prometheus {counts.requests}",
            )
        return counts

    def counted(self, ledger: Ledger, version: str, before: Counts, sent: dict[str, int]) -> Counts:
        """Assert that Prometheus counts exactly what was `sent` since `before`, by protocol."""
        wanted = {protocol: before.requests.get(protocol, 0) + number for protocol, number in sent.items()}
        after = before

        def arrived() -> bool:
            nonlocal after
            after = self._counts(version)
            return all(after.requests.get(protocol, 0) >= number for protocol, number in wanted.items())

        self._until(arrived, self._scraped)
        for protocol, number in sent.items():
            counted = after.requests.get(protocol, 0) - before.requests.get(protocol, 0)
            ledger.that(
                STAGE,
                f"{protocol} predictions counted",
                counted == number,
                found=counted,
                wanted=number,
                source=f"Prometheus {self._prometheus.url}",
                reason=f"counts {counted} {protocol} predictions of version {version}, {number} were sent",
            )
        took = after.seconds - before.seconds
        ledger.that(
            STAGE,
            "latency, seconds per prediction",
            took > 0,
            found=round(took / sum(sent.values()), 6),
            wanted="more than 0",
            source=f"Prometheus {self._prometheus.url}",
            reason=f"has no latency for the {sum(sent.values())} predictions sent",
        )
        return after

    def up(self, ledger: Ledger) -> None:
        """Assert that every pod's last scrape went well."""
        for pod in self._serving.pods():
            name = pod["metadata"]["name"]
            query = f'up{{namespace="{self._serving.namespace}",pod="{name}"}}'
            values = [sample.value for sample in self._prometheus.query(query)]
            ledger.that(
                STAGE,
                f"up of pod {name}",
                values == [1.0],
                found=values,
                wanted=[1.0],
                source=f"Prometheus {self._prometheus.url}",
                reason=f"has no target for pod {self._serving.namespace}/{name}" if not values else None,
            )

    def _selector(self, version: str) -> str:
        return (
            f'namespace="{self._serving.namespace}",model_name="{self._serving.name}",'
            f'model_version="{version}",outcome="answered"'
        )

    def _counts(self, version: str) -> Counts:
        pods = "|".join(sorted(pod["metadata"]["name"] for pod in self._serving.pods()))
        selector = f'{{{self._selector(version)},pod=~"{pods}"}}'
        counted = self._prometheus.query(f"sum by (protocol) ({METRIC}_count{selector})")
        seconds = self._prometheus.query(f"sum ({METRIC}_sum{selector})")
        return Counts(
            {sample.labels["protocol"]: int(sample.value) for sample in counted},
            sum(sample.value for sample in seconds),
        )

    def _own(self, version: str) -> dict[str, int]:
        """Return the same counts from the servers themselves."""
        counted: dict[str, int] = {}
        for pod in self._serving.pods():
            for found in _OWN.finditer(self._serving.counters(pod["metadata"]["name"])):
                labels = dict(re.findall(r'(\w+)="([^"]*)"', found["labels"]))
                if labels["model_version"] == version and labels["outcome"] == "answered":
                    counted[labels["protocol"]] = counted.get(labels["protocol"], 0) + int(float(found["value"]))
        return counted

    def _until(self, true: Callable[[], bool], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not true():
            if time.monotonic() > deadline:
                return False
            time.sleep(self._pause)
        return True
