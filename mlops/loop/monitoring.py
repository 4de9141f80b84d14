"""Find exactly the predictions that were sent, and their latency, in Prometheus."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mlops.loop.cluster import Cluster, place
from mlops.loop.ledger import Ledger, StageError
from mlops.loop.metrics import Prometheus
from mlops.loop.monitors import FIX, STAGE, Endpoint, Monitors
from mlops.loop.serving import Serving

__all__ = ["Counts", "Monitoring"]

METRIC = "model_request_seconds"

CONFIGURATION_SECONDS = 300.0
"""A new monitor reaches Prometheus through a mounted Secret: the kubelet refreshes it within a minute or two, and the
reloader looks at it every three minutes."""

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
        cluster: Cluster,
        prometheus: Prometheus,
        serving: Serving,
        *,
        pause: float = 0.5,
        configured: float = CONFIGURATION_SECONDS,
        scraped: float = SCRAPE_SECONDS,
    ) -> None:
        self._prometheus = prometheus
        self._monitors = Monitors(cluster, place(prometheus.url)[0])
        self._serving = serving
        self._pause = pause
        self._configured = configured
        self._scraped = scraped

    def now(self) -> float:
        """Return the time by the clock that samples are stamped with."""
        return self._prometheus.query("vector(time())")[0].value

    def check(self) -> None:
        """Raise StageError when Prometheus could not see a model server now, or would not see the next one."""
        self._prometheus.check()
        pods = [pod for pod in self._serving.pods() if pod.get("status", {}).get("phase") == "Running"]
        for pod in pods:
            self.target(pod)
        if not pods:
            self._monitors.of(self._serving.namespace)

    def target(self, pod: Mapping[str, Any]) -> Endpoint:
        """Return by which monitor a pod is read. Raises StageError when none selects it, or it is not read in time.

        Prometheus learns of a changed monitor minutes later: what it still reads by the one before does not count.
        """
        endpoints = self._monitors.endpoints(pod)
        found: list[dict[str, Any]] = []
        read: list[Endpoint] = []

        def healthy() -> bool:
            targets = self._prometheus.targets(self._serving.namespace)
            found[:] = [target for target in targets if target["labels"].get("pod") == pod["metadata"]["name"]]
            up = [target for target in found if target["health"] == "up"]
            read[:] = [endpoint for endpoint in endpoints if any(map(endpoint.reads, up))]
            return bool(read)

        if not self._until(healthy, self._configured):
            subject, name = (
                f"Prometheus {self._prometheus.url}",
                f"{pod['metadata']['namespace']}/{pod['metadata']['name']}",
            )
            by = f"{endpoints[0].monitor} wants it read at :{endpoints[0].port}{endpoints[0].path}"
            if not found:
                raise StageError(STAGE, subject, f"has no target for pod {name}: {by}", fix=FIX)
            if found[0]["health"] != "up":
                reason = f"cannot read {found[0]['scrapeUrl']}: {found[0]['lastError']}"
                raise StageError(STAGE, subject, reason, fix=FIX)
            raise StageError(STAGE, subject, f"reads {found[0]['scrapeUrl']} of pod {name}: {by}", fix=FIX)
        return read[0]

    def settled(self, version: str) -> Counts:
        """Return the counts once Prometheus has all that the servers have counted. Raises StageError."""
        if not self._serving.pods():
            raise StageError(STAGE, self._serving.subject, "has no pod")
        for pod in self._serving.pods():
            self.target(pod)
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

    def watched(self, ledger: Ledger, *, since: float) -> None:
        """Assert of every pod that a monitor selects it, and that it was read well after a moment of `now`."""
        source = f"Prometheus {self._prometheus.url}"
        for pod in self._serving.pods():
            name, subject = pod["metadata"]["name"], f"pod {self._serving.namespace}/{pod['metadata']['name']}"
            monitors = sorted({endpoint.monitor for endpoint in self._monitors.endpoints(pod)})
            ledger.that(
                STAGE,
                f"monitor of pod {name}",
                bool(monitors),
                found=", ".join(monitors),
                wanted="a monitor that Prometheus reads",
                source=subject,
            )
            series = f'up{{namespace="{self._serving.namespace}",pod="{name}"}}'
            age = -since

            def fresh(query: str = f"min(timestamp({series}))") -> bool:
                nonlocal age
                age = max((sample.value for sample in self._prometheus.query(query)), default=0.0) - since
                return age > 0

            ledger.that(
                STAGE,
                f"sample of pod {name}, seconds after the last prediction",
                self._until(fresh, self._scraped),
                found=round(age, 3),
                wanted="more than 0",
                source=source,
                reason=f"has not read {subject} since the predictions of this run: something stopped it",
                fix=FIX,
            )
            values = [sample.value for sample in self._prometheus.query(f"min({series})")]
            reason = f"has no target for {subject}" if not values else f"cannot read {subject}"
            ledger.that(
                STAGE, f"up of pod {name}", values == [1.0], found=values, wanted=[1.0], source=source, reason=reason
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
