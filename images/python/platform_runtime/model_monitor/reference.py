"""What the profile of a model version says: counts and bins, and how well the model did. Built by `profile.build`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pydantic

__all__ = [
    "Category",
    "Fairness",
    "Feature",
    "Interval",
    "Number",
    "Opaque",
    "Outcome",
    "OutcomeKind",
    "Profile",
]

OutcomeKind = Literal["score", "scores", "class", "number"]
"""Probability of the positive class, one probability per class, the class itself, or a quantity."""


class _Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _Counted(_Part):
    name: str
    rows: int
    missing: int = 0
    wrong: int = 0
    """Values of another type."""


class Number(_Counted):
    """A feature of numbers; bin `i` is above edge `i-1` and up to edge `i`, the last one above all edges."""

    kind: Literal["number"] = "number"
    minimum: float
    maximum: float
    mean: float
    deviation: float
    edges: tuple[float, ...]
    counts: tuple[int, ...]


class Category(_Counted):
    """A feature with few different values, in order of their number."""

    kind: Literal["category"] = "category"
    numeric: bool
    """Whether all categories are numbers."""

    categories: tuple[str, ...]
    counts: tuple[int, ...]
    """One per category, then that of all rarer ones."""


class Opaque(_Counted):
    """A feature whose values are lists, mappings or times: only that they are there is looked at."""

    kind: Literal["opaque"] = "opaque"


Feature = Annotated[Number | Category | Opaque, pydantic.Field(discriminator="kind")]


class Outcome(_Part):
    """What the model answers, and how a decision is read from it."""

    kind: OutcomeKind
    columns: tuple[str, ...]
    """Parts of an answer that are read, by their names in the log without `output.`."""

    width: int
    """Parts that an answer has."""

    classes: tuple[str, ...] = ()
    """The positive class comes last where there are two."""

    threshold: float = 0.5
    """A score above it decides for the positive class."""

    distribution: Feature


class Interval(_Part):
    """A figure and where it would be in 95 of 100 samples like this one."""

    value: float
    low: float
    high: float


class Fairness(_Part):
    """Figures of one protected attribute, and rows of each group, also of those that are too small to count."""

    figures: dict[str, Interval]
    groups: dict[str, int]


class Profile(_Part):
    """The reference of one model version."""

    format: Literal[1] = 1
    rows: int
    features: tuple[Feature, ...]
    outcome: Outcome
    attributes: dict[str, tuple[str, ...]] = {}
    """Groups of each protected attribute, the largest first."""

    labelled: int = 0
    performance: dict[str, float] = {}
    calibration_error: float | None = None
    fairness: dict[str, Fairness] = {}

    def to_json(self) -> dict[str, Any]:
        """Return what `mlflow.log_dict` and `json.dumps` take."""
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, document: Mapping[str, Any] | str | bytes) -> Profile:
        """Read what `to_json` returned, also as text. Raises ValueError naming what is wrong."""
        if isinstance(document, str | bytes):
            return cls.model_validate_json(document)
        return cls.model_validate(dict(document))
