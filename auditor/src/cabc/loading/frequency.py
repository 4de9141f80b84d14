"""How often: an ISO 8601 duration, a five-field cron expression in UTC, or `on-event`."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from functools import lru_cache

from croniter import CroniterError, croniter

from cabc.document.durations import parse_duration

__all__ = ["ON_EVENT", "Cron", "Every", "Frequency", "OnEvent", "parse_frequency"]

ON_EVENT = "on-event"
_FIELDS = re.compile(r"[0-9A-Za-z*/,#-]+( [0-9A-Za-z*/,#-]+){4}\Z")
_YEARS = 9
"""29 February comes at least once in so many years."""


@dataclass(frozen=True, slots=True)
class OnEvent:
    """Whenever a trigger says that something happened, and not before."""


@dataclass(frozen=True, slots=True)
class Every:
    """Again when so much time has gone by."""

    interval: dt.timedelta

    def following(self, moment: dt.datetime) -> dt.datetime:
        """Return when it is due next after a moment at which it was done."""
        return moment + self.interval


@dataclass(frozen=True, slots=True)
class Cron:
    """At the times that the expression names, in UTC."""

    expression: str

    def following(self, moment: dt.datetime) -> dt.datetime:
        """Return when it is due next after a moment."""
        times = croniter(self.expression, moment.astimezone(dt.UTC), max_years_between_matches=_YEARS)
        found: dt.datetime = times.get_next(dt.datetime)
        return found


Frequency = OnEvent | Every | Cron


@lru_cache(maxsize=4096)
def parse_frequency(text: str) -> Frequency:
    """Return what a frequency means; ValueError with what is wrong, behind a semicolon with what to write."""
    if text == ON_EVENT:
        return OnEvent()
    if text.startswith("P"):
        return Every(parse_duration(text))
    if not _FIELDS.match(text):
        msg = f"{text!r} is no frequency; write a duration (PT15M, P1D), five fields of cron (0 6 * * 1) or on-event"
        raise ValueError(msg)
    cron = Cron(text)
    try:
        cron.following(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    except (CroniterError, ValueError, KeyError) as error:
        never = "next date" in str(error)
        msg = f"{text!r} is no cron expression{' that ever comes true' if never else ''}; write minute, hour, day of "
        raise ValueError(msg + "month, month, day of week, like `0 6 * * 1`") from error
    return cron
