"""The auditor in a plan: what asks for it, and how its pods are read."""

from __future__ import annotations

from typing import Any

from components.cabc_auditor.objects import NAME
from tests.support.plans import Plan

__all__ = ["FORM", "READER", "SPECIFICATION", "home", "named", "pod", "secret_items", "verifying"]

SPECIFICATION = "auditor/src/cabc/templates/eu-ai-act-high-risk/specification.yaml"
FORM = {
    "postgres": {},
    "objectStore": {},
    "mlflow": {},
    "kserve": {},
    "prometheus": {},
    "cabcAuditor": {"specifications": {"loans": SPECIFICATION}, "documents": ["SECURITY.md"]},
}


READER = "[cabc-auditor-token-reader.value]"
"""What stands for the generated token in a plan."""


def named(plan: Plan, kind: str, name: str) -> dict[str, Any]:
    """Return what an object of the cluster is asked to be, by its name there."""
    (found,) = (each["inputs"] for each in plan.all(kind) if each["inputs"]["metadata"].get("name") == name)
    return dict(found)


def pod(plan: Plan, name: str) -> dict[str, Any]:
    return dict(named(plan, "Deployment", name)["spec"]["template"]["spec"])


def home(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the sources of a pod's home."""
    (volume,) = (volume for volume in spec["volumes"] if volume["name"] == "home")
    return list(volume["projected"]["sources"])


def verifying(plan: Plan) -> dict[str, Any]:
    """Return the pod that verifies the record."""
    return dict(named(plan, "CronJob", f"{NAME}-verify")["spec"]["jobTemplate"]["spec"]["template"]["spec"])


def secret_items(spec: dict[str, Any]) -> tuple[str, set[str]]:
    (secret,) = (source["secret"] for source in home(spec) if "secret" in source)
    return secret["name"], {item["key"] for item in secret["items"]}
