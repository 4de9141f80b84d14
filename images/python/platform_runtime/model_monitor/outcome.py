"""Read decisions from what a model answered, at training and from the log alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from platform_runtime.model_monitor import values
from platform_runtime.model_monitor.reference import Outcome
from platform_runtime.model_monitor.values import Floats, Integers

__all__ = ["Decided", "frame_of", "read"]

UNDECIDED = -1


@dataclass(frozen=True)
class Decided:
    """What was answered, row by row."""

    values: pd.Series[Any]
    """What drift of the prediction is measured on: the score, the quantity, or the name of the class."""

    scores: Floats | None
    """Probability of the positive class; NaN where there is none."""

    decisions: Integers | None
    """Place of the class in the outcome's classes, or UNDECIDED; None where answers are quantities."""


def frame_of(answers: Any) -> pd.DataFrame:
    """Return answers as the log has them: one column per part, called by its name or its place."""
    if isinstance(answers, pd.DataFrame):
        return answers.rename(columns=str).reset_index(drop=True)
    array = np.asarray(answers)
    if array.ndim > 2:  # noqa: PLR2004 (rows of parts)
        array = array.reshape(len(array), -1)
    return pd.DataFrame(array.reshape(len(array), -1)).rename(columns=str)


def read(outcome: Outcome, frame: pd.DataFrame) -> Decided:
    """Read the columns `output.…` of a frame. Answers of another shape are no answers."""
    there = [str(name) for name in frame.columns if str(name).startswith("output.")]
    wanted = [f"output.{name}" for name in outcome.columns]
    if not set(wanted) <= set(there):
        # One part has no name of its own, whatever the protocol calls it.
        wanted = there if len(there) == outcome.width == len(wanted) == 1 else []
    if not wanted:
        nothing = pd.Series(np.full(len(frame), np.nan), dtype=object)
        undecided = None if outcome.kind == "number" else np.full(len(frame), UNDECIDED, dtype=np.int64)
        return Decided(nothing, np.full(len(frame), np.nan) if outcome.kind == "score" else None, undecided)
    if outcome.kind == "class":
        decisions = values.codes(frame[wanted[0]], outcome.classes)
        return Decided(
            frame[wanted[0]].reset_index(drop=True), None, np.where(_known(decisions, outcome), decisions, UNDECIDED)
        )
    parts = np.column_stack([values.numbers(frame[name])[0] for name in wanted])
    if outcome.kind == "number":
        return Decided(pd.Series(parts[:, 0]), None, None)
    there_rows = ~np.isnan(parts).any(axis=1)
    if outcome.kind == "score":
        decisions = np.where(there_rows, (parts[:, 0] > outcome.threshold).astype(np.int64), UNDECIDED)
        return Decided(pd.Series(parts[:, 0]), parts[:, 0], decisions)
    decisions = np.where(there_rows, np.nan_to_num(parts).argmax(axis=1), UNDECIDED)
    names = np.array([*outcome.classes, None], dtype=object)
    return Decided(pd.Series(names[decisions], dtype=object), None, decisions)


def _known(decisions: Integers, outcome: Outcome) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return (decisions >= 0) & (decisions < len(outcome.classes))
