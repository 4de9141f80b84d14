"""A platform in memory on which scenarios are played: who judges, who acts, who is told."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from cabc.record.database import DatabaseRecord
from cabc.record.types import Status, Verdict

from mlops.loop.cluster import Answer
from mlops.loop.scenarios import broken
from tests.support.auditing import NAME, AuditorPart
from tests.support.loop import FakePlatform
from tests.support.loop_parts import Part
from tests.support.running import Running
from tests.support.watching import Watched

__all__ = ["AlertsPart", "GatePart", "Judge", "Played"]


BIAS = "data-governance/fair-at-training/disparity/fpr-ratio"


class Judge(AuditorPart):
    """Finds what the platform says is unfair, by a clock that goes on when somebody waits for a waiver to end."""

    def __init__(self, folder: Path, record: DatabaseRecord, platform: Played) -> None:
        self.platform = platform
        self.late = dt.timedelta()
        super().__init__(folder, record)

    def now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC) + self.late

    def waiver(self) -> str | None:
        """Return the id of the waiver that is in force."""
        made = self.record.waivers(NAME)
        return next((each.id for each in made if each.expires > self.now()), None)

    def assess(self) -> str:
        version = self.platform.candidate or self.platform.champion
        bad = version in self.platform.unfair
        drifted = self.platform.drifted
        self.version = str(version)
        self.values = {BIAS: (0.61, Verdict.NOT_SATISFIED)} if bad else {}
        worse = Status.CONDITIONAL if self.waiver() else Status.SUSPENDED
        self.status = worse if bad else Status.CONDITIONAL if drifted else Status.CONFORMANT
        self.seeder.numbers += 1  # names differ, also from those of a minute ago
        at = self.now()
        self.seeder.cycle(at, self.status, self.values, version=self.version)
        return f"t-{NAME}-{self.seeder.numbers}"

    def answer(self, platform: FakePlatform, path: str, body: Any, query: Mapping[str, str]) -> Answer:
        if path.endswith("/waivers") and body is None:
            self.late = dt.timedelta(hours=1)
        return super().answer(platform, path, body, query)


class GatePart(Part):
    """Makes champions of what conforms and rolls back what is suspended, when it is asked what it decided."""

    name = "conformity-gate"

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.made: list[dict[str, Any]] = []
        self.good: int | None = None
        self.sleeps = False

    def said(self, platform: FakePlatform, path: str, body: Any, query: Mapping[str, str]) -> Any:
        del body, query
        assert isinstance(platform, Played)
        if not self.sleeps:
            self.look(platform)
        if path == "/v1/models":
            return {"mode": "enforce"}
        return {"decisions": self.made}

    def look(self, platform: Played) -> None:
        """Decide once; have assessed what is served and was not."""
        if int(self.judge.version) != platform.served:
            self.judge.assess()
        if self.judge.status is Status.SUSPENDED and self.good:
            self.decide("rollback", platform.served, self.good)
            platform.served = platform.candidate = platform.champion = self.good
            return
        if self.judge.status is Status.CONFORMANT:
            self.good = platform.served
        if platform.served != platform.champion:
            self.decide("promote", platform.champion, platform.served)
            platform.champion = cast("int", platform.served)

    def decide(self, kind: str, source: Any, target: Any) -> None:
        """Remember a decision."""
        requirements = ["data-governance/fair-at-training"] if kind == "rollback" else []
        cause = {"status": self.judge.status.value, "requirements": requirements, "risks": ["unfair-decisions"]}
        told = {"kind": kind, "source": str(source), "target": str(target), "end": "done", "id": f"d-{len(self.made)}"}
        self.made.insert(0, {**told, "at": "2026-11-30T12:00:00Z", "cause": cause})


class AlertsPart(Part):
    """Has what Prometheus fires, and tells the auditor."""

    name = "alertmanager"

    def __init__(self) -> None:
        self.labels: dict[str, str] = {}

    def said(self, platform: FakePlatform, path: str, body: Any, query: Mapping[str, str]) -> Any:
        del platform, body, query
        assert path == "/api/v2/alerts"
        return [{"labels": self.labels, "receivers": [{"name": "cabc-auditor"}]}] if self.labels else []


class Played(Running, Watched):
    """A platform on which all of it runs."""

    drifted = False
    heard = False
    unseen: str | None = None
    """The alert that no rule raises."""

    keeps = True
    """The model server keeps what the prediction log does not take."""

    asked_before = 0
    alert: Mapping[str, str] = {"severity": "warning", "owner": "models"}

    def outputs(self, rows: list[dict[str, Any]]) -> list[Any]:
        if any(row.get("appinc", 0.0) > 60 for row in rows):
            self.drifted = True
        return super().outputs(rows)

    def _prometheus(self, path: str, query: Mapping[str, str]) -> Any:
        expression = query.get("query", "")
        if not expression.startswith("ALERTS"):
            return super()._prometheus(path, query)
        if 'alertname="FeatureDrift"' not in expression:
            return {"data": {"result": self._missing(expression)}}
        fires = self.drifted and bool(self.alert) and 'alertstate="firing"' in expression
        labels = {"alertname": "FeatureDrift", "model": NAME, "version": str(self.served), **self.alert}
        return {"data": {"result": [{"metric": labels, "value": [0, "1"]}] if fires else []}}

    def _missing(self, expression: str) -> list[dict[str, Any]]:
        """Return the alert of a part that nobody reads any more."""
        names = {name.replace(" ", "-"): alert for name, alert in broken.ALERTS.items()}
        return [
            {"metric": {"alertname": alert, "alertstate": "pending"}, "value": [0, "1"]}
            for part in self.watching
            if (alert := names.get(part.name.removeprefix("cabc-"))) and f'"{alert}"' in expression
            if not part.replicas and alert != self.unseen
        ]

    def _mlflow(self, path: str, query: Mapping[str, str]) -> Answer:
        # The gate looks every few seconds; here, as soon as somebody asks who is champion.
        for part in self.watching:
            if isinstance(part, GatePart) and path.endswith("/alias") and not part.sleeps:
                part.look(self)
        return super()._mlflow(path, query)

    def patch(self, path: str, change: Mapping[str, Any]) -> dict[str, Any]:
        for part in self.watching:
            if path.endswith(f"/{part.name}"):
                if part is self.collector and not part.replicas and not self.keeps:
                    part.lost |= set(range(self.asked_before, len(self.answered)))
                self.asked_before = len(self.answered)
                part.replicas = change["spec"]["replicas"]
                return {}
        return super().patch(path, change)
