"""What the environment says."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pydantic

from platform_runtime.model_monitor.drift import Thresholds
from platform_runtime.model_monitor.report import Limits

__all__ = ["Settings", "SettingsError"]

_PREFIX = "MODEL_MONITOR_"


class SettingsError(Exception):
    """A variable is missing or wrong. The text names it."""


@dataclass(frozen=True)
class Settings:
    """Where things are, and how often they are looked at."""

    database_url: str
    tracking_uri: str
    interval: dt.timedelta = dt.timedelta(minutes=1)
    window: dt.timedelta = dt.timedelta(hours=1)
    label_window: dt.timedelta = dt.timedelta(days=7)
    report_interval: dt.timedelta = dt.timedelta(minutes=15)
    limits: Limits = field(default_factory=Limits)
    max_features: int = 50
    """Features that get series of their own; the rest is one, called `other`."""

    port: int = 8080

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read PREDICTION_LOG_DATABASE_URL, MLFLOW_TRACKING_URI and MODEL_MONITOR_… (seconds and numbers)."""
        found: dict[str, Any] = {}
        for name, variable in (
            ("database_url", "PREDICTION_LOG_DATABASE_URL"),
            ("tracking_uri", "MLFLOW_TRACKING_URI"),
        ):
            if not environment.get(variable):
                msg = f"{variable} is not set"
                raise SettingsError(msg)
            found[name] = environment[variable]
        for name in ("interval", "window", "label_window", "report_interval"):
            if text := environment.get(f"{_PREFIX}{name.upper()}_SECONDS"):
                found[name] = dt.timedelta(seconds=_number(f"{name.upper()}_SECONDS", text))
        for name in ("max_features", "port"):
            if text := environment.get(f"{_PREFIX}{name.upper()}"):
                found[name] = _number(name.upper(), text)
        limits: dict[str, Any] = {
            name: _number(name.upper(), text)
            for name in ("minimum_rows", "minimum_group")
            if (text := environment.get(f"{_PREFIX}{name.upper()}"))
        }
        if text := environment.get(f"{_PREFIX}THRESHOLDS"):
            try:
                limits["thresholds"] = Thresholds.model_validate_json(text)
            except pydantic.ValidationError as error:
                first = error.errors()[0]
                msg = f"{_PREFIX}THRESHOLDS: {'.'.join(map(str, first['loc'])) or text}: {first['msg']}"
                raise SettingsError(msg) from error
        return cls(**found, limits=Limits(**limits))


def _number(name: str, text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        msg = f"{_PREFIX}{name}: found {text!r}, wanted a whole number above 0"
        raise SettingsError(msg)
    return int(text)
