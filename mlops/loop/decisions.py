"""Ask the served model about rows of which it is known what was decided and whom they are about."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mlops.loop import predictions
from mlops.loop.ledger import Ledger, StageError
from mlops.loop.registry import Registered, Registry
from mlops.loop.sample import Sample
from mlops.loop.serving import Serving

__all__ = ["HELD_OUT", "Case", "Decision", "ask", "held_out", "truths"]

HELD_OUT = "evaluation/held-out.json"
"""Artefact of a version's run: the rows that the model has not seen, `columns` and `data`."""

BATCH = 20
"""Rows per request."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One row of the held-out data."""

    features: Row
    label: Any
    attributes: Row
    """What people are protected for; never sent to the model. What is unknown of somebody is left out."""


@dataclass(frozen=True)
class Decision:
    """What the served model answered about one case."""

    request_id: str
    row: int
    case: Case
    answer: Any


def held_out(registry: Registry, registered: Registered, sample: Sample) -> list[Case]:
    """Return the rows that a version has not seen. Raises StageError when its run does not have them."""
    found = registry.run_document(registered, HELD_OUT)
    if found is None:
        raise StageError("log", f"MLflow run {registered.run_id}", f"has no artefact {HELD_OUT}")
    rows = [dict(zip(found["columns"], row, strict=True)) for row in found["data"]]
    return [
        Case(
            features={name: row[name] for name in sample.features},
            label=row[sample.label],
            attributes={name: row[name] for name in sample.attributes if row[name] is not None},
        )
        for row in rows
    ]


def ask(
    serving: Serving,
    registered: Registered,
    cases: Sequence[Case],
    *,
    stage: str,
    change: Callable[[Row], Row] = lambda row: row,
) -> list[Decision]:
    """Ask about all cases, each request with an id of its own. Raises StageError when another version answers."""
    made: list[Decision] = []
    for first in range(0, len(cases), BATCH):
        batch = cases[first : first + BATCH]
        rows = [change(case.features) for case in batch]
        request_id = f"loop-{secrets.token_hex(12)}"
        answer = serving.predict_v1(rows, request_id=request_id)
        predictions.identified(Ledger(), stage, serving, registered, answer)
        made += [
            Decision(request_id, number, Case(row, case.label, case.attributes), told)
            for number, (row, case, told) in enumerate(zip(rows, batch, answer.json()["predictions"], strict=True))
        ]
    return made


def truths(decisions: Sequence[Decision], at: str) -> list[dict[str, Any]]:
    """Return what turned out to be true of each decision, as the prediction log wants it."""
    return [
        {
            "request_id": decision.request_id,
            "row": decision.row,
            "kind": "label",
            "value": decision.case.label,
            "attributes": decision.case.attributes,
            "at": at,
            "source": "mlops loop",
        }
        for decision in decisions
    ]
