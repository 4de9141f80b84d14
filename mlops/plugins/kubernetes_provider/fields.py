"""Hand the fields of an object from client-side field managers to the one that applies from now on.

Creation is recorded under `pulumi-kubernetes` with operation Update. Unless those fields move to the manager of later
applies, an apply that leaves a field out would not remove it. The same is done for what `kubectl` wrote, so that an
edit by hand is repaired and not met with a conflict.
"""

from __future__ import annotations

from typing import Any

from mlops.plugins.kubernetes_provider.names import CREATOR
from mlops.plugins.kubernetes_provider.objects import dig

__all__ = ["handed_over", "needs_hand_over", "owned_by", "relinquished"]

_TAKEN = (
    ("kubectl", "Apply"),
    ("kubectl", "Update"),
    ("before-first-apply", "Update"),
    (CREATOR, "Update"),
    ("pulumi-resource-kubernetes", "Update"),
)
"""(prefix of the manager, operation) of entries taken over before an update."""


def _taken(entry: dict[str, Any], manager: str) -> bool:
    if entry.get("subresource"):
        return False
    name, operation = str(entry.get("manager", "")), entry.get("operation")
    return any(name.startswith(prefix) and operation == wanted for prefix, wanted in _TAKEN) and not (
        name == manager and operation == "Apply"
    )


def needs_hand_over(live: dict[str, Any], manager: str) -> bool:
    """Say whether another entry's fields must move to the manager."""
    return any(_taken(entry, manager) for entry in dig(live, "metadata", "managedFields", default=[]))


def handed_over(live: dict[str, Any], manager: str) -> list[dict[str, Any]]:
    """Return managedFields in which the manager's Apply entry has taken over all that `_TAKEN` names."""
    entries: list[dict[str, Any]] = dig(live, "metadata", "managedFields", default=[])
    taken = [entry for entry in entries if _taken(entry, manager)]
    own = [
        e for e in entries if e.get("manager") == manager and e.get("operation") == "Apply" and not e.get("subresource")
    ]
    rest = [entry for entry in entries if entry not in taken and entry not in own]
    merged: dict[str, Any] = {}
    for entry in [*own, *taken]:
        merged = _union(merged, entry.get("fieldsV1", {}))
    template = (own or taken)[0]
    entry = {key: template[key] for key in ("apiVersion", "fieldsType", "time") if key in template}
    return [{**entry, "manager": manager, "operation": "Apply", "fieldsV1": merged}, *rest]


def _union(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    result = dict(left)
    for key, value in right.items():
        result[key] = _union(result.get(key, {}), value)
    return result


def relinquished(live: dict[str, Any]) -> dict[str, Any]:
    """Return the smallest object whose apply by a manager gives up all its fields."""
    return {
        "apiVersion": live["apiVersion"],
        "kind": live["kind"],
        "metadata": {key: live["metadata"][key] for key in ("name", "namespace") if key in live["metadata"]},
    }


def owned_by(live: dict[str, Any], path: tuple[str, ...], manager: str) -> tuple[bool, bool]:
    """Say whether the manager, and whether anyone else, owns the field at a path of map keys."""
    mine = theirs = False
    for entry in dig(live, "metadata", "managedFields", default=[]):
        node = entry.get("fieldsV1", {})
        for step in path:
            node = node.get(f"f:{step}") if isinstance(node, dict) else None
        if node is None:
            continue
        if entry.get("manager") == manager:
            mine = True
        else:
            theirs = True
    return mine, theirs
