"""Plans of small order forms, and how to read them."""

from __future__ import annotations

import atexit
import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from components._core import paths, plan
from components._core.plan import PlanError

__all__ = ["Plan", "planned", "resources"]

CLUSTER = {"existingCluster": {"context": "somewhere", "storageClass": "fast"}}


class Plan(list[dict[str, Any]]):
    """The resources of one plan."""

    def of(self, kind: str, name: str | None = None) -> dict[str, Any]:
        """Return the one resource of a kind (last part of its type), by its name where there are several."""
        (found,) = self.all(kind, name)
        return found

    def all(self, kind: str, name: str | None = None) -> list[dict[str, Any]]:
        """Return all resources of a kind."""
        return [
            found
            for found in self
            if found["type"].rpartition(":")[2] == kind and (name is None or found["name"] == name)
        ]

    def pods(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the name and the pod spec of every workload."""
        return [
            (found["name"], found["inputs"]["spec"]["template"]["spec"])
            for kind in ("Deployment", "StatefulSet", "Job", "DaemonSet")
            for found in self.all(kind)
        ]

    def waits(self, found: dict[str, Any]) -> set[str]:
        """Return the names of what a resource waits for."""
        return {urn.rpartition("::")[2] for urn in found["dependsOn"]}


def resources(form: str | Path, *, source: str = "registry-only") -> list[dict[str, Any]]:
    """Return what `components._core.plan.resources` does; each order form is planned once, by a process in waiting."""
    file = form if isinstance(form, Path) else plan.stack_file(form)
    found: list[dict[str, Any]] = json.loads(_planned(file, file.read_text(), source))
    return found


def planned(folder: Path, components: dict[str, Any], *, source: str = "registry-only") -> Plan:
    """Plan an order form that asks for these components in a cluster that exists."""
    file = folder / "Pulumi.trial.yaml"
    asked = {**CLUSTER, **components}
    file.write_text(json.dumps({"config": {f"{paths.APPLICATION}:components": asked}}))
    return Plan(resources(file, source=source))


@functools.cache
def _planned(file: Path, _text: str, source: str) -> str:
    planner = _planner()
    assert planner.stdin
    assert planner.stdout
    planner.stdin.write(json.dumps({"form": str(file), "source": source}) + "\n")
    planner.stdin.flush()
    answer = json.loads(planner.stdout.readline())
    if "error" in answer:
        raise PlanError(answer["error"])
    return str(answer["plan"])


@functools.cache
def _planner() -> subprocess.Popen[str]:
    """Start the process that has everything imported and leaves each plan to a copy of itself."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.planner"],
        cwd=paths.CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(process.communicate)
    return process
