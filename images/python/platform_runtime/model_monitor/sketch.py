"""Count a window in the bins of the profile: what is kept does not grow with the rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

import numpy as np
import pandas as pd

from platform_runtime.model_monitor import values
from platform_runtime.model_monitor.outcome import read
from platform_runtime.model_monitor.reference import Category, Number, Opaque, Profile

__all__ = ["AnySketch", "CategorySketch", "NumberSketch", "OpaqueSketch", "WindowSketch", "sketch_of"]


FeatureT = TypeVar("FeatureT", bound=Number | Category | Opaque)


class Sketch(ABC, Generic[FeatureT]):
    """Counts of one feature."""

    def __init__(self, reference: FeatureT) -> None:
        self.reference: FeatureT = reference
        self.rows = 0
        self.missing = 0
        self.wrong = 0
        self.outside = 0
        """Numbers beyond the range, or categories that are new."""

        self.counts = np.zeros(0, dtype=np.int64)

    @abstractmethod
    def update(self, column: pd.Series[Any]) -> None:
        """Count some more rows."""

    @abstractmethod
    def feature(self) -> FeatureT:
        """Return the feature with these counts as its own."""

    @property
    def usable(self) -> int:
        """Values that are there and of the right type."""
        return self.rows - self.missing - self.wrong


class NumberSketch(Sketch[Number]):
    """Counts numbers between fixed edges."""

    def __init__(self, reference: Number) -> None:
        super().__init__(reference)
        self._edges = np.array(reference.edges)
        self.counts = np.zeros(len(reference.counts), dtype=np.int64)

    def update(self, column: pd.Series[Any]) -> None:
        found, missing, wrong = values.numbers(column)
        self.rows += len(column)
        self.missing += missing
        self.wrong += wrong
        found = found[~np.isnan(found)]
        self.outside += int(((found < self.reference.minimum) | (found > self.reference.maximum)).sum())
        self.counts += np.bincount(np.searchsorted(self._edges, found, side="left"), minlength=self.counts.size)

    def feature(self) -> Number:
        return self.reference.model_copy(update=_counted(self))


class CategorySketch(Sketch[Category]):
    """Counts fixed categories, and all others together."""

    def __init__(self, reference: Category) -> None:
        super().__init__(reference)
        self.counts = np.zeros(len(reference.categories) + 1, dtype=np.int64)

    def update(self, column: pd.Series[Any]) -> None:
        self.rows += len(column)
        if self.reference.numeric:
            # A text where numbers are wanted is of another type, not a new category.
            found, missing, wrong = values.numbers(column)
            self.missing += missing
            self.wrong += wrong
            column = pd.Series(found[~np.isnan(found)])
        placed = values.codes(column, self.reference.categories)
        self.missing += int((placed == values.MISSING).sum())
        self.wrong += int((placed == values.UNREADABLE).sum())
        self.counts += np.bincount(placed[placed >= 0], minlength=self.counts.size)
        self.outside = int(self.counts[-1])

    def feature(self) -> Category:
        return self.reference.model_copy(update=_counted(self))


class OpaqueSketch(Sketch[Opaque]):
    """Counts only whether there is a value."""

    def update(self, column: pd.Series[Any]) -> None:
        self.rows += len(column)
        self.missing += int(column.isna().sum())

    def feature(self) -> Opaque:
        return self.reference.model_copy(update={"rows": self.rows, "missing": self.missing})


AnySketch = NumberSketch | CategorySketch | OpaqueSketch


class WindowSketch:
    """Counts of all features and of the prediction."""

    def __init__(self, profile: Profile) -> None:
        self._outcome = profile.outcome
        self.rows = 0
        self.features = {feature.name: sketch_of(feature) for feature in profile.features}
        self.prediction = sketch_of(profile.outcome.distribution)

    def update(self, frame: pd.DataFrame) -> None:
        """Count a chunk of the log; a feature without a column is missing in every row."""
        self.rows += len(frame)
        for place, (name, sketch) in enumerate(self.features.items()):
            # A client may send rows without names, in the order of the features.
            given = [frame[column] for column in (f"input.{name}", f"input.{place}") if column in frame.columns]
            nothing = pd.Series([None] * len(frame), dtype=object)
            sketch.update(given[0].combine_first(given[1]) if len(given) > 1 else given[0] if given else nothing)
        self.prediction.update(read(self._outcome, frame).values)


def sketch_of(feature: Number | Category | Opaque) -> AnySketch:
    """Return an empty sketch in the bins of a feature."""
    match feature:
        case Number():
            return NumberSketch(feature)
        case Category():
            return CategorySketch(feature)
        case Opaque():
            return OpaqueSketch(feature)


def _counted(sketch: Sketch[Any]) -> dict[str, Any]:
    return {
        "rows": sketch.rows,
        "missing": sketch.missing,
        "wrong": sketch.wrong,
        "counts": tuple(sketch.counts.tolist()),
    }
