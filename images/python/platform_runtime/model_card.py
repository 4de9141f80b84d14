"""The facts of a model card that are known when a version is registered, kept under the version's run.

`mlops card` adds what is known later (monitoring, conformity) and writes the card for readers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DECLARED", "FACTS", "CardError", "facts"]

FACTS = "card/facts.json"
"""Artefact of the run."""

DECLARED = (
    *("title", "owner", "license", "overview", "architecture", "intendedUse", "outOfScope", "oversight"),
    *("users", "limitations", "ethics"),
)
"""What people have to say of every model; `data` besides."""


class CardError(ValueError):
    """People have not said what a card needs. The text names the keys."""


def facts(
    declared: Mapping[str, Any],
    name: str,
    version: str,
    run_id: str,
    code_version: str,
    *,
    data: Mapping[str, Any],
    metrics: Mapping[str, float],
) -> dict[str, Any]:
    """Return what people declared together with what was measured. Raises CardError where something is not said."""
    lacking = [key for key in (*DECLARED, "data") if not declared.get(key)]
    if lacking:
        msg = f"the card of model {name} does not say {', '.join(lacking)}"
        raise CardError(msg)
    return {
        "schema": "model-card-facts/1",
        "model": {"name": name, "version": version, "runId": run_id, "codeVersion": code_version},
        "declared": {key: declared[key] for key in DECLARED},
        "data": {**declared["data"], **data},
        "metrics": dict(sorted(metrics.items())),
    }
