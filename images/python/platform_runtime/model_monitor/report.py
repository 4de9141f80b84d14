"""What one window of one version says: the text that is kept in MLflow and the source of all metrics."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import pydantic

from platform_runtime.model_monitor import drift, fairness
from platform_runtime.model_monitor.reference import Category, Fairness, Number, Opaque, Profile
from platform_runtime.model_monitor.sketch import AnySketch, WindowSketch
from platform_runtime.model_monitor.truth import TruthSketch

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DriftReport", "FeatureReport", "Figure", "Limits", "Report", "Window", "measure", "quality"]


class _Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, allow_inf_nan=False)


class Figure(_Part):
    """Numbers that came as truths of one kind, by decision."""

    rows: int
    total: float
    mean: float


class DriftReport(_Part):
    """How far a feature has moved, by which method, from how many values."""

    method: str
    score: float
    threshold: float
    detected: bool
    rows: int
    reference_rows: int


class FeatureReport(_Part):
    """One feature, or the prediction."""

    name: str
    rows: int
    quality: dict[str, float]
    drift: DriftReport | None = None


class Window(_Part):
    """What is measured."""

    model: str
    version: str
    start: dt.datetime
    end: dt.datetime
    labels_since: dt.datetime
    """Predictions from here on count for what needs labels: labels come later than predictions."""


class Limits(_Part):
    """How much is enough."""

    minimum_rows: int = 100
    """Rows, and labelled rows, below which nothing is said about them."""

    minimum_group: int = fairness.MINIMUM
    thresholds: drift.Thresholds = drift.Thresholds()


class Report(_Part):
    """Everything measured. A part that cannot be said is empty: no profile, too few rows, no labels."""

    window: Window
    run_id: str = ""
    rows: int = 0
    probe_rows: int = 0
    """Rows of the window that are left out of everything, because the ids of their requests are those of probes."""

    labelled_rows: int = 0
    minimum_rows: int = 0
    reference_rows: int = 0
    """0 when the version has no profile."""

    features: tuple[FeatureReport, ...] = ()
    prediction: FeatureReport | None = None
    drift_share: float | None = None
    performance: dict[str, float] = {}
    reference_performance: dict[str, float] = {}
    calibration_error: float | None = None
    label_delay_seconds: float | None = None
    foreign_labels: int = 0
    """Labels that are no class of the model."""

    fairness: dict[str, Fairness] = {}
    fairness_drift: dict[str, dict[str, float]] = {}
    """Figures now minus those at training."""

    business: dict[str, Figure] = {}
    feedback: dict[str, Figure] = {}

    @property
    def judged(self) -> bool:
        """Tell whether there was enough to say something about features."""
        return self.prediction is not None


def measure(
    window: Window,
    profile: Profile,
    predictions: Iterable[pd.DataFrame],
    truths: Iterable[pd.DataFrame],
    *,
    limits: Limits,
    probe_rows: int = 0,
    figures: Mapping[str, dict[str, Figure]] | None = None,
    run_id: str = "",
) -> Report:
    """Read both streams to their ends, a chunk at a time, and say what they show beside the profile."""
    counted, truth = WindowSketch(profile), TruthSketch(profile)
    for chunk in predictions:
        counted.update(chunk)
    delays, delayed = 0.0, 0
    for chunk in truths:
        truth.update(chunk)
        if "delay" in chunk.columns:
            delays += float(chunk["delay"].sum())
            delayed += int(chunk["delay"].notna().sum())
    found = Report(
        window=window,
        run_id=run_id,
        rows=counted.rows,
        probe_rows=probe_rows,
        labelled_rows=truth.labelled,
        minimum_rows=limits.minimum_rows,
        reference_rows=profile.rows,
        reference_performance=profile.performance,
        label_delay_seconds=delays / delayed if delayed else None,
        foreign_labels=truth.foreign,
        **(figures or {}),
    )
    changes: dict[str, object] = {}
    if counted.rows >= limits.minimum_rows:
        changes |= _features(counted, limits)
    if truth.labelled >= limits.minimum_rows:
        changes |= {"performance": truth.performance(), "calibration_error": truth.calibration_error()}
    groups = truth.fairness(limits.minimum_group)
    changes |= {"fairness": groups, "fairness_drift": _fairness_drift(groups, profile.fairness)}
    return found.model_copy(update=changes)


def quality(sketch: AnySketch) -> dict[str, float]:
    """Return the share of values that are missing, of another type, beyond the range, or of a new category."""
    rows, usable = max(1, sketch.rows), max(1, sketch.usable)
    found = {"missing": sketch.missing / rows, "type": sketch.wrong / rows}
    match sketch.reference:
        case Number():
            found["range"] = sketch.outside / usable
        case Category(counts=counts):
            # The rare ones that the profile does not tell apart are no news.
            rare = counts[-1] / max(1, sum(counts))
            found["category"] = max(0.0, sketch.outside / usable - rare)
        case Opaque():
            pass
    return found


def _features(counted: WindowSketch, limits: Limits) -> dict[str, object]:
    together = len(counted.features) + 1
    features = tuple(_feature(name, sketch, limits, together) for name, sketch in counted.features.items())
    judged = [feature.drift.detected for feature in features if feature.drift]
    return {
        "features": features,
        "prediction": _feature("prediction", counted.prediction, limits, together),
        "drift_share": sum(judged) / len(judged) if judged else None,
    }


def _feature(name: str, sketch: AnySketch, limits: Limits, together: int) -> FeatureReport:
    found = drift.judge(sketch, limits.thresholds, together)
    told = found and DriftReport(
        method=found.method,
        score=found.score,
        threshold=found.threshold,
        detected=found.detected,
        rows=found.rows,
        reference_rows=found.reference_rows,
    )
    return FeatureReport(name=name, rows=sketch.rows, quality=quality(sketch), drift=told)


def _fairness_drift(now: Mapping[str, Fairness], before: Mapping[str, Fairness]) -> dict[str, dict[str, float]]:
    return {
        attribute: {
            name: figure.value - before[attribute].figures[name].value
            for name, figure in found.figures.items()
            if name in before[attribute].figures
        }
        for attribute, found in now.items()
        if attribute in before
    }
