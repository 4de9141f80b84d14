"""What a dashboard consists of, said once: Grafana and `mlops dash` draw the same panels from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = [
    "Dashboard",
    "Kind",
    "Level",
    "Panel",
    "Query",
    "Row",
    "Thresholds",
    "Unit",
    "above",
    "below",
    "one",
    "words",
]


class Kind(StrEnum):
    """How a panel shows its series."""

    STAT = "stat"
    """The latest values, large."""

    LINES = "lines"
    """Values over time."""

    BARS = "bars"
    """The latest value of each series, side by side."""

    TABLE = "table"
    """The latest value of each series in a row, its labels in columns."""


class Unit(StrEnum):
    """What a value is in; the text is Grafana's name for it."""

    NUMBER = "short"
    SCORE = "none"
    """A number whose decimals matter: a metric of a model, a price."""
    RATIO = "percentunit"
    SECONDS = "s"
    BYTES = "bytes"
    PER_SECOND = "ops"
    CORES = "suffix: cores"
    STATE = "string"
    """One of the panel's words."""


class Level(StrEnum):
    """How good a value is."""

    GOOD = "good"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True)
class Thresholds:
    """From which value on which level holds."""

    base: Level
    """Of values below every step."""

    steps: tuple[tuple[float, Level], ...]
    """Rising."""

    def level(self, value: float) -> Level:
        """Return how good a value is."""
        found = self.base
        for start, level in self.steps:
            if value >= start:
                found = level
        return found


def above(warn: float | None, bad: float | None = None) -> Thresholds:
    """Return thresholds of what should be small: from `warn` and from `bad` on it is not."""
    steps = ((warn, Level.WARN), (bad, Level.BAD))
    return Thresholds(Level.GOOD, tuple((start, level) for start, level in steps if start is not None))


def below(warn: float | None, bad: float | None = None) -> Thresholds:
    """Return thresholds of what should be large: below `warn` and below `bad` it is not."""
    ends = [(end, level) for end, level in ((bad, Level.BAD), (warn, Level.WARN)) if end is not None]
    better = [*(level for _, level in ends[1:]), Level.GOOD]
    return Thresholds(ends[0][1], tuple((end, level) for (end, _), level in zip(ends, better, strict=True)))


@dataclass(frozen=True)
class Query:
    """One question to Prometheus."""

    expression: str
    """PromQL with its windows written out, so that it means the same wherever it is asked."""

    legend: str
    """Name of a series; `{{label}}` stands for the value of a label."""

    judged: bool = True
    """False where the panel's thresholds are not about this series, such as the end of an interval."""


@dataclass(frozen=True)
class Panel:
    """One thing to look at."""

    title: str
    description: str
    """What it shows and when to worry, for somebody who did not write it."""

    kind: Kind
    unit: Unit
    queries: tuple[Query, ...]
    thresholds: Thresholds | None = None
    words: Mapping[float, tuple[str, Level]] = field(default_factory=dict)
    """What single values are called, and how good they are. Given for the unit STATE."""

    def level(self, value: float) -> Level | None:
        """Return how good a value is; None where the panel does not judge."""
        if value in self.words:
            return self.words[value][1]
        return self.thresholds.level(value) if self.thresholds else None


def one(expression: str, legend: str = "") -> tuple[Query, ...]:
    """Return the queries of a panel that asks one question."""
    return (Query(expression, legend),)


def words(**known: tuple[float, Level]) -> dict[float, tuple[str, Level]]:
    """Return what values are called, from their names; `_` stands for a space."""
    return {value: (name.replace("_", " "), level) for name, (value, level) in known.items()}


@dataclass(frozen=True)
class Row:
    """Panels that belong together. Numbers come first, so that panels of one height stand side by side."""

    title: str
    panels: tuple[Panel, ...]

    def __post_init__(self) -> None:
        ordered = sorted(self.panels, key=lambda panel: panel.kind is not Kind.STAT)
        object.__setattr__(self, "panels", tuple(ordered))


@dataclass(frozen=True)
class Dashboard:
    """One page."""

    name: str
    """What it is asked for by: `mlops dash <name>`."""

    title: str
    description: str
    rows: tuple[Row, ...]

    def panels(self) -> Iterator[Panel]:
        """Give every panel in the order of the page."""
        for row in self.rows:
            yield from row.panels
