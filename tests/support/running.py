"""A platform in memory that carries out the example's pipeline the moment its Job is created."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from mlops.loop.cluster import Answer
from tests.support.loop import FakePlatform

__all__ = ["ACCURACY", "AUC", "Running"]

ACCURACY, AUC = 0.9, 0.85


class Running(FakePlatform):
    """Carries out a run the moment its Job is created."""

    passes = True
    failures = 0
    equal = 498
    fails = ""
    gated = False
    """A conformity gate makes champions, and nobody else."""

    def create(self, path: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
        made = super().create(path, manifest)
        if path.endswith("/configmaps"):
            self.arguments = json.loads(manifest["data"]["arguments.json"])
            self.pipeline = manifest["data"]["pipeline.yaml"]
        else:
            self._run(manifest["metadata"]["name"])
        return made

    def _run(self, name: str) -> None:
        self.run, before, version = name, self.served, max(self.registered, default=0) + 1
        self.objects["/api/v1/namespaces/pipelines/pods"] = [
            {"metadata": {"name": "pod-1"}, "status": {"phase": "Running"}}
        ]
        steps: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
            "read": ({"rows": 1989, "sha256": "data"}, {}),
            "validate": ({"Output": 1989}, {}),
            "train": ({"Output": 1491}, {}),
            "evaluate": ({"Output": self.passes}, {"metrics": {"accuracy": ACCURACY, "auc": AUC}}),
        }
        if self.passes and not self.fails:
            self.registered.append(version)
            self.candidate = self.served = version
            if not self.gated:
                self.champion = version
            if self.arguments["unfair"]:
                self.unfair.add(version)
            traffic = {
                "requests": 100 + self.failures,
                "seconds": 9.0,
                "by_version": {str(before): 50, str(version): 50},
                "sequence": [str(before), str(version)],
                "failures": ["after 1.0 s: ConnectError"] * self.failures,
            }
            protocol = {"rows": 498, "equal": self.equal, "run_id": f"run-{version}"}
            sample = [{"row": {"a": 1.0}, "answer": self.outputs([{"a": 1.0}])[0]}]
            steps["register"] = (
                {"version": str(version), "run_id": f"run-{version}", "model_id": "m", "digest": f"sha256:{version}"},
                {},
            )
            steps["deploy"] = (
                {"uri": self.uri(version), "seconds": 9.0, "traffic": traffic if before else {}, "first": not before},
                {},
            )
            steps["predict"] = ({"v1": protocol, "v2": protocol, "sample": sample}, {})
        self.logs = [self._log(name, version, steps)]

    def _log(self, name: str, version: int, steps: Mapping[str, tuple[dict[str, Any], dict[str, Any]]]) -> list[str]:
        events: list[dict[str, Any]] = [{"event": "start", "mlflow_run_id": f"run-{version}"}]
        for step, (parameters, artifacts) in steps.items():
            status, reason = ("FAILURE", "pandera.errors.SchemaError: hrat") if step == self.fails else ("SUCCESS", "")
            events.append(
                {
                    "event": "task",
                    "task": step,
                    "status": status,
                    "seconds": 1.0,
                    "parameters": parameters,
                    "artifacts": artifacts,
                    "reason": reason,
                }
            )
            if status == "FAILURE":
                break
        end = {
            "event": "run",
            "run": name,
            "status": "FAILURE" if self.fails else "SUCCESS",
            "reason": f"{self.fails}: broken",
            "pipeline_sha256": hashlib.sha256(self.pipeline.encode()).hexdigest(),
        }
        return [json.dumps(event) for event in [*events, end]]

    def _mlflow(self, path: str, query: Mapping[str, str]) -> Answer:
        answer = super()._mlflow(path, query)
        if not answer.good or not hasattr(self, "run"):
            return answer
        if path.endswith("runs/get"):
            body = answer.json()
            version = int(query["run_id"].removeprefix("run-"))
            ratio = 0.61 if version in self.unfair else 0.96
            metrics = {"accuracy": ACCURACY, "auc": AUC, "disparate_impact_ratio_black": ratio}
            body["run"]["data"] = {
                "metrics": [{"key": key, "value": value} for key, value in metrics.items()],
                "tags": [{"key": "pipeline.job", "value": self.run}],
            }
            return Answer(200, {}, json.dumps(body))
        if "model_version" in answer.text and "model_versions" not in answer.text:
            body = answer.json()
            tags = {"data.sha256": "data", "code.version": self.arguments["code_version"]}
            body["model_version"]["tags"] += [{"key": key, "value": value} for key, value in tags.items()]
            return Answer(200, {}, json.dumps(body))
        return answer
