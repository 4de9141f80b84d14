"""Profile a model at training: the reference that windows of the prediction log are compared with.

A training step builds it from rows the model has not seen and stores it with the version's run:

    mlflow.log_dict(build(frame, features, probability, label, attributes).to_json(), PATH)

It has counts and bins and no rows, so it is small and tells little about anybody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from platform_runtime.model_monitor import values
from platform_runtime.model_monitor.outcome import frame_of, read
from platform_runtime.model_monitor.reference import Category, Number, Opaque, Outcome, OutcomeKind, Profile
from platform_runtime.model_monitor.sketch import sketch_of
from platform_runtime.model_monitor.truth import TruthSketch

__all__ = ["PATH", "Profile", "build"]

PATH = "monitoring/reference.json"
"""Where in a run the profile is."""

EDGES = 100
"""Bins of a feature of numbers at most."""

FEW = 10
"""Numbers with no more different values than this are categories: flags, grades."""

CATEGORIES = 100
"""Categories that are told apart; what is rarer counts together."""

GROUPS = 20
"""Groups of a protected attribute that are told apart; the rest is one group."""

CLASSES = 50
"""Most classes of a label; more different whole numbers than that are quantities."""


def build(
    frame: pd.DataFrame,
    features: Sequence[str],
    prediction: Any,
    label: Any = None,
    attributes: pd.DataFrame | Mapping[str, Any] | None = None,
) -> Profile:
    """Profile rows the model has not seen: its features, what it answers, what is true, and protected attributes.

    `prediction` is what the served model answers for the rows, in that shape: `predict_proba` of two columns, one
    column of probabilities, classes or quantities. Attributes need not be features. The same rows give the same
    profile, byte for byte.
    """
    answers = frame_of(prediction)
    labels = None if label is None else pd.Series(np.asarray(label), name="label")
    groups = pd.DataFrame(attributes if attributes is not None else {}).reset_index(drop=True)
    lengths = {"frame": len(frame), "prediction": len(answers)}
    lengths |= {} if labels is None else {"label": len(labels)}
    lengths |= {"attributes": len(groups)} if len(groups.columns) else {}
    if len(set(lengths.values())) > 1 or not len(frame):
        found = ", ".join(f"{name} {length}" for name, length in lengths.items())
        msg = f"wanted as many rows everywhere, and at least one; found {found}"
        raise ValueError(msg)
    if absent := [name for name in features if name not in frame.columns]:
        msg = f"the frame lacks the features {', '.join(absent)}"
        raise ValueError(msg)
    outcome = _outcome(answers, labels)
    bare = Profile(
        rows=len(frame),
        features=tuple(_feature(name, frame[name]) for name in features),
        outcome=outcome,
        attributes={str(name): _groups(groups[name]) for name in groups.columns},
    )
    if labels is None and not len(groups.columns):
        return bare
    seen = pd.concat(
        [
            answers.add_prefix("output."),
            groups.add_prefix("attribute."),
            *([] if labels is None else [labels]),
        ],
        axis=1,
    )
    truth = TruthSketch(bare)
    truth.update(seen)
    return bare.model_copy(
        update={
            "labelled": truth.labelled,
            "performance": truth.performance(),
            "calibration_error": truth.calibration_error(),
            "fairness": truth.fairness(),
        }
    )


def _feature(name: str, column: pd.Series[Any]) -> Number | Category | Opaque:
    """Decide of what kind a feature is, then count it as a window is counted."""
    bare = _bare(name, column)
    counted = sketch_of(bare)
    counted.update(column)
    return counted.feature()


def _bare(name: str, column: pd.Series[Any]) -> Number | Category | Opaque:
    plain = pd.api.types.is_numeric_dtype(column)
    there = column.dropna()
    nested = not plain and there.map(lambda value: isinstance(value, list | dict)).any()
    if nested or pd.api.types.is_datetime64_any_dtype(column):
        return Opaque(name=name, rows=0)
    found, _, wrong = values.numbers(column)
    found = found[np.isfinite(found)]
    # A text that looks like a number is a code, of a town or of a product.
    numeric = wrong == 0 and bool(found.size) and (plain or not there.map(lambda value: isinstance(value, str)).any())
    if numeric:
        different = np.unique(found)
        if different.size > FEW:
            edges = different
            if different.size > EDGES:
                edges = np.unique(np.quantile(found, np.linspace(0, 1, EDGES + 1), method="inverted_cdf"))
            return Number(
                name=name,
                rows=0,
                minimum=float(found.min()),
                maximum=float(found.max()),
                mean=float(found.mean()),
                deviation=float(found.std()),
                edges=tuple(edges.tolist()),
                counts=(0,) * (edges.size + 1),
            )
    numbered, names = values.texts(column)
    counts = np.bincount(numbered[numbered >= 0], minlength=len(names))
    # By number, then by name: the order of rows must not show.
    ordered = sorted(range(len(names)), key=lambda place: (-int(counts[place]), names[place]))[:CATEGORIES]
    categories = tuple(names[place] for place in ordered)
    return Category(
        name=name,
        rows=0,
        numeric=numeric,
        categories=categories,
        counts=(0,) * (len(categories) + 1),
    )


def _outcome(answers: pd.DataFrame, labels: pd.Series[Any] | None) -> Outcome:
    """Read from the answers, and from the labels where the answers leave it open, what kind of model this is."""
    columns, width = tuple(str(name) for name in answers.columns), answers.shape[1]
    known = () if labels is None else _classes(labels)
    parts = [values.numbers(answers[name]) for name in answers.columns]
    numeric = all(wrong == 0 for _, _, wrong in parts)
    shares = numeric and all(
        np.nanmin(part, initial=0.0) >= 0 and np.nanmax(part, initial=0.0) <= 1 for part, *_ in parts
    )
    if width > 1:
        if not shares or not np.allclose(np.nansum([part for part, *_ in parts], axis=0), 1, atol=1e-3):
            msg = f"an answer has {width} parts ({', '.join(columns)}) that are no probabilities of classes"
            raise ValueError(msg)
        classes = known if len(known) == width else tuple(str(place) for place in range(width))
        kind: OutcomeKind = "score" if width == 2 else "scores"  # noqa: PLR2004 (no and yes)
        columns = columns[-1:] if kind == "score" else columns
    else:
        different = np.unique(parts[0][0][np.isfinite(parts[0][0])]) if numeric else np.array([])
        whole = bool(different.size) and bool((different == np.round(different)).all())
        quantities = numeric and (not whole or different.size > CLASSES)
        if shares and not whole and len(known) in {0, 2}:
            kind, classes = "score", known or ("0", "1")
        elif quantities or (numeric and labels is not None and not known):
            kind, classes = "number", ()
        else:
            kind, classes = "class", tuple(sorted({*known, *_classes(answers.iloc[:, 0])}))
    bare = Outcome(
        kind=kind,
        columns=columns,
        width=width,
        classes=classes,
        distribution=Opaque(name="prediction", rows=0),
    )
    return bare.model_copy(update={"distribution": _distribution(bare, answers)})


def _distribution(outcome: Outcome, answers: pd.DataFrame) -> Number | Category | Opaque:

    decided = read(outcome, answers.add_prefix("output."))
    if outcome.kind in {"score", "number"}:
        return _feature("prediction", decided.values)
    bare = Category(
        name="prediction",
        rows=0,
        numeric=False,
        categories=outcome.classes,
        counts=(0,) * (len(outcome.classes) + 1),
    )
    counted = sketch_of(bare)
    counted.update(decided.values)
    return counted.feature()


def _classes(column: pd.Series[Any]) -> tuple[str, ...]:
    """Return the classes in order, or none where the values are quantities."""
    numbered, names = values.texts(column)
    there = numbered[numbered >= 0]
    if len(names) > CLASSES or not there.size:
        return ()
    found, _, wrong = values.numbers(column)
    if wrong == 0 and (found[np.isfinite(found)] % 1 != 0).any():
        return ()
    return tuple(sorted(names, key=lambda name: (0, float(name), name) if wrong == 0 else (1, 0.0, name)))


def _groups(column: pd.Series[Any]) -> tuple[str, ...]:
    numbered, names = values.texts(column)
    counts = np.bincount(numbered[numbered >= 0], minlength=len(names))
    ordered = sorted(range(len(names)), key=lambda place: (-int(counts[place]), names[place]))
    return tuple(names[place] for place in ordered[:GROUPS])
