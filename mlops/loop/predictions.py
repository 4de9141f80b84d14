"""Ask the served model from outside, and hold its answers against the model's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mlops.loop.cluster import Answer
from mlops.loop.ledger import Ledger
from mlops.loop.registry import Registered
from mlops.loop.serving import Serving

__all__ = ["Expected", "answers", "identified"]

TOLERANCE = 1e-12
"""Largest difference of two probabilities that are the same: the last bits depend on how rows are batched."""


@dataclass(frozen=True)
class Expected:
    """One row and what the registered model answers; None when only the server is asked."""

    row: dict[str, Any]
    answer: Any


def answers(ledger: Ledger, serving: Serving, registered: Registered, sample: list[Expected], protocol: str) -> int:
    """Ask for every row of `sample` by itself; assert who answers and what. Return the number of requests."""
    stage = f"predict-{protocol}"
    ask, read = (serving.predict_v1, _v1) if protocol == "v1" else (serving.predict_v2, _v2)
    equal = 0
    for number, expected in enumerate(sample):
        answer = ask([expected.row])
        identified(ledger if number == 0 else Ledger(), stage, serving, registered, answer)
        served = read(answer.json())
        if expected.answer is None or _close(served, expected.answer):
            equal += 1
            continue
        ledger.same(
            stage,
            f"answer to row {number}",
            found=served,
            wanted=expected.answer,
            source=f"{serving.subject} over {protocol}",
        )
    ledger.same(
        stage,
        "rows answered as the registered model does" if sample[0].answer is not None else "rows answered",
        found=equal,
        wanted=len(sample),
        source=f"{serving.subject} over {protocol}",
    )
    return len(sample)


def identified(ledger: Ledger, stage: str, serving: Serving, registered: Registered, answer: Answer) -> None:
    """Assert that an answer comes from exactly this version, by what the server read from the artefacts."""
    headers = answer.headers
    found = headers.get("x-model-version", "") or "unknown"
    told = f"answers version {found} (run {headers.get('x-model-run-id') or 'unknown'}), expected {registered.version}"
    for name, value, wanted in (
        ("version in the answer", headers.get("x-model-version", ""), registered.version),
        ("run id in the answer", headers.get("x-model-run-id", ""), registered.run_id),
        ("digest in the answer", headers.get("x-model-digest", ""), registered.tags.get("digest", "")),
    ):
        reason = told if name != "digest in the answer" else f"serves files {value}, registered are {wanted}"
        ledger.that(stage, name, value == wanted, found=value, wanted=wanted, source=serving.subject, reason=reason)


def _v1(body: Any) -> Any:
    return body["predictions"][0]


def _v2(body: Any) -> Any:
    output = body["outputs"][0]
    width = output["shape"][1] if len(output["shape"]) > 1 else None
    return output["data"][:width] if width else output["data"][0]


def _close(found: Any, wanted: Any) -> bool:
    if isinstance(found, list) and isinstance(wanted, list):
        return len(found) == len(wanted) and all(_close(a, b) for a, b in zip(found, wanted, strict=True))
    if isinstance(found, int | float) and isinstance(wanted, int | float):
        return abs(found - wanted) <= TOLERANCE
    return bool(found == wanted)
