"""Compare what a model answered with what turned out to be true, in counts that do not grow with the rows."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from sklearn import metrics
from sklearn.exceptions import UndefinedMetricWarning

from platform_runtime.model_monitor import fairness, values
from platform_runtime.model_monitor.outcome import UNDECIDED, read
from platform_runtime.model_monitor.reference import Fairness, Profile

__all__ = ["TruthSketch"]

RESOLUTION = 10_000
"""Bins of scores that the area under the curve is computed from; it is off by less than one of them."""

CALIBRATION_BINS = 10
"""Bins of equal width of the expected calibration error."""

REST = "other"
"""Groups of an attribute that the profile does not tell apart."""


class TruthSketch:
    """Counts of labelled rows, and of rows with protected attributes."""

    def __init__(self, profile: Profile) -> None:
        self._outcome = profile.outcome
        size = len(profile.outcome.classes)
        self.labelled = 0
        self.foreign = 0
        """Labels that are no class of the model."""

        self._confusion = np.zeros((size, size), dtype=np.int64)
        self._scores = np.zeros((RESOLUTION, 2), dtype=np.int64)
        self._calibration = np.zeros((CALIBRATION_BINS, 3))
        """Per bin: rows, sum of scores, sum of labels."""

        self._squares = 0.0
        self._absolute = 0.0
        self._attributes = profile.attributes if size == 2 else {}  # noqa: PLR2004 (no and yes)
        self._cells = {
            name: np.zeros((len(groups) + 1, *fairness.CELLS), dtype=np.int64)
            for name, groups in self._attributes.items()
        }

    def update(self, frame: pd.DataFrame) -> None:
        """Count rows with columns `output.…`, `label` (missing where unknown) and `attribute.…`."""
        if frame.empty:
            return
        decided = read(self._outcome, frame)
        label = frame["label"] if "label" in frame.columns else pd.Series([None] * len(frame), dtype=object)
        if decided.decisions is None:
            self._count_quantities(decided.values, label)
            return
        classes = values.codes(label, self._outcome.classes)
        unknown = classes == len(self._outcome.classes)
        self.foreign += int(unknown.sum())
        classes = np.where(unknown | (classes < 0), UNDECIDED, classes)
        both = (classes != UNDECIDED) & (decided.decisions != UNDECIDED)
        self.labelled += int(both.sum())
        np.add.at(self._confusion, (classes[both], decided.decisions[both]), 1)
        if decided.scores is not None:
            self._count_scores(decided.scores[both], classes[both])
        for name, groups in self._attributes.items():
            if f"attribute.{name}" in frame.columns:
                group = values.codes(frame[f"attribute.{name}"], groups)
                there = (group >= 0) & (decided.decisions != UNDECIDED)
                known = np.where(classes == UNDECIDED, fairness.UNLABELLED, classes)
                np.add.at(self._cells[name], (group[there], known[there], decided.decisions[there]), 1)

    def performance(self) -> dict[str, float]:
        """Return the figures that can be had: none without labels, no AUC while all labels are the same."""
        if not self.labelled:
            return {}
        if self._outcome.kind == "number":
            return {
                "mae": self._absolute / self.labelled,
                "rmse": float(np.sqrt(self._squares / self.labelled)),
            }
        true, decided = np.nonzero(self._confusion)
        weight = self._confusion[true, decided]
        binary = len(self._outcome.classes) == 2  # noqa: PLR2004 (no and yes)
        options: dict[str, Any] = {"pos_label": 1, "average": "binary"} if binary else {"average": "macro"}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            precision, recall, f1, _ = metrics.precision_recall_fscore_support(
                true, decided, sample_weight=weight, zero_division=0, **options
            )
        found = {
            "accuracy": float(metrics.accuracy_score(true, decided, sample_weight=weight)),
            "precision": float(precision),
            "recall": float(recall),
            "f1": float(f1),
        }
        if self._outcome.kind == "score":
            found["brier"] = self._squares / self.labelled
            if self._scores.any(axis=0).all():
                place, label = np.nonzero(self._scores)
                found["auc"] = float(metrics.roc_auc_score(label, place, sample_weight=self._scores[place, label]))
        return found

    def calibration_error(self) -> float | None:
        """Return the expected calibration error: how far scores are from shares, in the mean over the rows."""
        rows, scores, labels = self._calibration.T
        filled = rows > 0
        if not filled.any():
            return None
        return float((np.abs(scores - labels)[filled]).sum() / rows.sum())

    def fairness(self, minimum: int = fairness.MINIMUM) -> dict[str, Fairness]:
        """Return the figures of each attribute; groups of fewer rows than `minimum` are counted and not compared."""
        return {
            name: fairness.measure(dict(zip((*groups, REST), self._cells[name], strict=True)), minimum)
            for name, groups in self._attributes.items()
        }

    def _count_scores(self, scores: values.Floats, classes: values.Integers) -> None:
        clipped = np.clip(scores, 0, 1)
        np.add.at(self._scores, (np.minimum((clipped * RESOLUTION).astype(np.int64), RESOLUTION - 1), classes), 1)
        bins = np.minimum((clipped * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
        for place, weights in enumerate((None, clipped, classes)):
            self._calibration[:, place] += np.bincount(bins, weights=weights, minlength=CALIBRATION_BINS)
        self._squares += float(((scores - classes) ** 2).sum())

    def _count_quantities(self, answered: pd.Series[Any], label: pd.Series[Any]) -> None:
        difference = values.numbers(answered)[0] - values.numbers(label)[0]
        difference = difference[np.isfinite(difference)]
        self.labelled += difference.size
        self._squares += float((difference**2).sum())
        self._absolute += float(np.abs(difference).sum())
