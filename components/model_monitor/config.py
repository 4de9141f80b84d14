"""What an order form may say about the model monitor."""

from __future__ import annotations

import pydantic

from components._core.config import ComponentConfig, Resources, Settings

__all__ = ["Limits", "ModelMonitorConfig", "Thresholds"]


class Thresholds(Settings):
    """Drift that matters in practice, by method. Chance is always taken into account beside it."""

    ks: float = pydantic.Field(default=0.1, gt=0, lt=1)
    """Kolmogorov-Smirnov distance: numbers, in windows or profiles of fewer than 1000 values."""

    psi: float = pydantic.Field(default=0.2, gt=0)
    """Population stability index: numbers, in larger ones."""

    jensenshannon: float = pydantic.Field(default=0.1, gt=0, lt=0.83)
    """Jensen-Shannon distance: categories."""


class Limits(Settings):
    """When people are told. The metrics are there in any case."""

    drift_share: float = pydantic.Field(default=0.5, gt=0, lt=1)
    """Share of the features that has drifted: above it the inputs as a whole are others."""

    quality: float = pydantic.Field(default=0.05, gt=0, lt=1)
    """Share of a feature's values that are missing, of another type, beyond the range or of a new category."""

    performance_drop: float = pydantic.Field(default=0.1, gt=0, lt=1)
    """Loss of accuracy or of area under the curve since training."""

    disparate_impact: float = pydantic.Field(default=0.8, gt=0, lt=1)
    """Least rate of favourable decisions by the largest: below it with 95 % certainty a model counts as unfair."""

    parity_difference: float = pydantic.Field(default=0.2, gt=0, lt=1)
    """Largest rate of favourable decisions minus the least: above it with 95 % certainty a model counts as unfair."""

    fairness_drift: float = pydantic.Field(default=0.1, gt=0, lt=1)
    """Change of a fairness figure for the worse since training, beyond its interval."""


class ModelMonitorConfig(ComponentConfig):
    """One program that measures every served version, again and again."""

    interval_seconds: int = pydantic.Field(default=60, ge=10)
    """Time between two measurements."""

    window_seconds: int = pydantic.Field(default=3600, ge=60)
    """Predictions of this long count for data quality and drift; a version not asked for longer is forgotten."""

    label_window_seconds: int = pydantic.Field(default=7 * 86400, ge=60)
    """Predictions of this long count for performance, calibration, fairness and business figures: labels come late."""

    report_interval_seconds: int = pydantic.Field(default=900, ge=60)
    """Time between two reports that are kept in MLflow."""

    minimum_rows: int = pydantic.Field(default=100, ge=1)
    """Predictions, and labels, below which nothing is said about them."""

    minimum_group: int = pydantic.Field(default=30, ge=1)
    """Rows that a group of people must have to be compared with others."""

    max_features: int = pydantic.Field(default=50, ge=1)
    """Features that get series of their own; the others are one, called `other`."""

    thresholds: Thresholds = Thresholds()
    """When a feature counts as drifted."""

    alerts: Limits = Limits()
    """When people are told."""

    resources: Resources = Resources.model_validate(
        {"cpu": "50m", "memory": "320Mi", "cpuLimit": "2", "memoryLimit": "1Gi"}
    )
    """Requests and limits. A window of a million predictions takes no more memory than one of thousands."""
