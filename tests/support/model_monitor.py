"""A model monitor in memory: its clock, what was logged, what its models were at training."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field

import pandas as pd
import pytest
from platform_runtime.model_monitor import exposition
from platform_runtime.model_monitor.log import LogError, Served
from platform_runtime.model_monitor.monitor import Monitor
from platform_runtime.model_monitor.reference import Profile
from platform_runtime.model_monitor.registry import NoReferenceError, Reference, RegistryError, report_path
from platform_runtime.model_monitor.report import Figure, Report, Window
from platform_runtime.model_monitor.settings import Settings
from prometheus_client.parser import text_string_to_metric_families

from tests.support.loans import Loans, logged

__all__ = ["NOON", "SETTINGS", "Clock", "House", "MemoryLog", "MemoryRuns", "house", "rows"]


NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
SETTINGS = Settings("postgresql://nowhere", "http://nowhere")


@dataclass
class Clock:
    """Stands still until it is told."""

    now: dt.datetime = NOON

    def __call__(self) -> dt.datetime:
        return self.now

    def forward(self, **by: float) -> None:
        self.now += dt.timedelta(**by)


@dataclass
class MemoryLog:
    """A log with the rows that a test put in."""

    clock: Clock
    rows: dict[tuple[str, str], pd.DataFrame] = field(default_factory=dict)
    labelled: dict[tuple[str, str], pd.DataFrame] = field(default_factory=dict)
    last: dict[tuple[str, str], dt.datetime] = field(default_factory=dict)
    windows: list[Window] = field(default_factory=list)
    probe_rows: int = 0
    down: bool = False
    broken: bool = False

    def put(self, version: str, rows: pd.DataFrame, model: str = "loan") -> None:
        self.rows[model, version] = rows
        self.labelled[model, version] = rows.assign(delay=60.0)
        self.last[model, version] = self.clock()

    def served(self, since: dt.datetime) -> list[Served]:
        if self.down:
            raise LogError("the prediction log cannot be read: refused")
        if self.broken:
            raise ValueError("year -1 is out of range")
        return [
            (*key, self.last[key], self.last[key], len(rows))
            for key, rows in self.rows.items()
            if self.last[key] >= since
        ]

    def predictions(self, window: Window) -> Iterator[pd.DataFrame]:
        self.windows.append(window)
        rows = self.rows[window.model, window.version]
        yield from (rows.iloc[first : first + 100] for first in range(0, len(rows), 100))

    def probes(self, _window: Window) -> int:
        return self.probe_rows

    def truths(self, window: Window) -> Iterator[pd.DataFrame]:
        yield self.labelled[window.model, window.version]

    def figures(self, _window: Window, kind: str) -> dict[str, Figure]:
        return {"profit": Figure(rows=4, total=10, mean=2.5)} if kind == "business" else {}


@dataclass
class MemoryRuns:
    """A registry with the profiles that a test put in."""

    profiles: dict[str, Profile | Exception] = field(default_factory=dict)
    stored: list[Report] = field(default_factory=list)
    full: bool = False

    def reference(self, _model: str, version: str) -> Reference:
        found = self.profiles.get(version, NoReferenceError(f"version {version} has no profile"))
        if isinstance(found, Exception):
            raise found
        return Reference(f"run-{version}", found)

    def forget(self, current: set[tuple[str, str]]) -> None:
        self.current = current

    def store(self, report: Report) -> str:
        if self.full:
            raise RegistryError("no space left")
        self.stored.append(report)
        return report_path(report)


@dataclass
class House:
    """A monitor with everything around it."""

    clock: Clock
    log: MemoryLog
    runs: MemoryRuns
    monitor: Monitor

    def samples(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        text = exposition.text(self.monitor).decode()
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float | None:
        return self.samples().get((name, frozenset(labels.items())))


@pytest.fixture
def house(profile: Profile) -> House:
    clock = Clock()
    log, runs = MemoryLog(clock), MemoryRuns({"1": profile, "2": profile})
    return House(clock, log, runs, Monitor(log, runs, SETTINGS, clock))


@pytest.fixture
def rows(loans: Loans) -> pd.DataFrame:
    return logged(loans.held_out, loans.predict(loans.held_out))
