"""Measure what is served, again and again."""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from platform_runtime.model_monitor.log import Log, LogError
from platform_runtime.model_monitor.registry import NoReferenceError, Reference, RegistryError
from platform_runtime.model_monitor.report import Report, Window, measure
from platform_runtime.model_monitor.settings import Settings

__all__ = ["Monitor", "References"]

SAY = logging.getLogger("model_monitor")

Key = tuple[str, str]
"""Model and version."""


class References(Protocol):
    """Where profiles come from and reports go to."""

    def reference(self, model: str, version: str) -> Reference:
        """Return a profile; raises NoReferenceError or RegistryError."""

    def forget(self, current: set[Key]) -> None:
        """Keep only the profiles of these versions."""

    def store(self, report: Report) -> str:
        """Keep a report; raises RegistryError."""


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class Monitor:
    """The latest report of every version that answered within the last window, and how measuring goes."""

    def __init__(
        self, log: Log, references: References, settings: Settings, now: Callable[[], dt.datetime] = _now
    ) -> None:
        self.settings = settings
        self.failures: Counter[str] = Counter(log=0, registry=0, no_reference=0, measure=0)
        self.last_success: dt.datetime | None = None
        self.last_attempt = now()
        self.seconds = 0.0
        self._log = log
        self._references = references
        self._now = now
        self._reports: dict[Key, Report] = {}
        self._stored: dict[Key, dt.datetime] = {}
        self._one_at_a_time = threading.Lock()

    @property
    def reports(self) -> list[Report]:
        """The latest reports, by model and version."""
        return [report for _, report in sorted(self._reports.copy().items())]

    def report(self, model: str, version: str) -> Report | None:
        """Return the latest report of one version."""
        return self._reports.get((model, version))

    def run(self, model: str | None = None, version: str | None = None, *, store: bool = False) -> list[Report]:
        """Measure what answered within the last window; with names only that. Return the reports.

        `store` keeps each report in MLflow now, and not only when it is time. A version that cannot be measured costs
        none of the others their report; what went wrong is logged and counted.
        """
        with self._one_at_a_time:
            started, end = time.monotonic(), self._now()
            self.last_attempt = end
            before = self._failed()
            try:
                served = self._log.served(end - self.settings.window)
            except LogError as error:
                self._count("log", str(error))
                return []
            current = {(name, number) for name, number, _, last, _ in served if last >= end - self.settings.window}
            wanted = sorted(
                key for key in current if (model is None or key[0] == model) and (version is None or key[1] == version)
            )
            found = [report for key in wanted if (report := self._measure(key, end, store=store))]
            self._reports = {key: kept for key, kept in self._reports.items() if key in current}
            self._stored = {key: kept for key, kept in self._stored.items() if key in current}
            self._references.forget(current)
            self.seconds = time.monotonic() - started
            if self._failed() == before and wanted == sorted(current):
                self.last_success = end
            return found

    def _failed(self) -> int:
        # A version without a profile is its owner's matter; measuring works.
        return sum(number for reason, number in self.failures.items() if reason != "no_reference")

    def _measure(self, key: Key, end: dt.datetime, *, store: bool) -> Report | None:
        model, version = key
        window = Window(
            model=model,
            version=version,
            start=end - self.settings.window,
            end=end,
            labels_since=end - max(self.settings.label_window, self.settings.window),
        )
        try:
            report = self._read(window)
        except LogError as error:
            self._count("log", str(error))
        except RegistryError as error:
            self._count("registry", str(error))
        except Exception:  # noqa: BLE001 (logged with its place and counted)
            # Whatever one version's data does to us, the others are measured.
            SAY.exception("model %s version %s cannot be measured", model, version)
            self.failures["measure"] += 1
        else:
            self._reports[key] = report
            if report.judged and (store or self._is_time(key, end)):
                self._store(key, report)
            return report
        return None

    def _read(self, window: Window) -> Report:
        try:
            reference = self._references.reference(window.model, window.version)
        except NoReferenceError as error:
            self._count("no_reference", str(error))
            rows = sum(len(chunk) for chunk in self._log.predictions(window))
            return Report(
                window=window,
                rows=rows,
                probe_rows=self._log.probes(window),
                minimum_rows=self.settings.limits.minimum_rows,
            )
        return measure(
            window,
            reference.profile,
            self._log.predictions(window),
            self._log.truths(window),
            limits=self.settings.limits,
            probe_rows=self._log.probes(window),
            figures={kind: self._log.figures(window, kind) for kind in ("business", "feedback")},
            run_id=reference.run_id,
        )

    def _is_time(self, key: Key, end: dt.datetime) -> bool:
        return key not in self._stored or end - self._stored[key] >= self.settings.report_interval

    def _store(self, key: Key, report: Report) -> None:
        try:
            path = self._references.store(report)
        except RegistryError as error:
            self._count("registry", str(error))
        else:
            self._stored[key] = report.window.end
            SAY.info("model %s version %s: %s rows, %s", *key, report.rows, path)

    def _count(self, reason: str, text: str) -> None:
        self.failures[reason] += 1
        SAY.warning("%s", text)
