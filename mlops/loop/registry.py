"""The model registry, asked over its own HTTP interface: what the loop knows of it does not come from the Job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

import yaml

from mlops.loop.cluster import Cluster, place
from mlops.loop.diagnosis import service_trouble
from mlops.loop.ledger import StageError

__all__ = ["Registered", "Registry"]

STAGE = "register"

NOT_FOUND = 404

_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"


@dataclass(frozen=True)
class Registered:
    """One version of a model, as the registry tells it."""

    name: str
    version: str
    run_id: str
    model_id: str
    experiment_id: str
    tags: dict[str, str]
    aliases: tuple[str, ...]
    address: str
    """Where the artefacts are, in the registry's words (`mlflow-artifacts:/…`) or as `s3://…`."""

    def uri(self, artefact_root: str) -> str:
        """Return the `s3://` path of the artefacts."""
        scheme = "mlflow-artifacts:"
        if self.address.startswith(scheme):
            return f"{artefact_root.rstrip('/')}/{self.address.removeprefix(scheme).lstrip('/')}"
        return self.address


class Registry:
    """MLflow at an in-cluster URL."""

    def __init__(self, cluster: Cluster, url: str) -> None:
        self._cluster = cluster
        self.url = url

    def check(self) -> str:
        """Return the server's version. Raises StageError when it does not answer, with the workload's state."""
        answer = self._cluster.ask(self.url, "/version")
        if not answer.good:
            self._silent(answer.status, answer.text)
        return answer.text.strip()

    def champion(self, name: str, alias: str = "champion") -> Registered | None:
        """Return the version behind an alias, None when there is none."""
        found = self._get("registered-models/alias", name=name, alias=alias)
        return self.version(name, found["model_version"]["version"]) if found else None

    def version(self, name: str, version: str) -> Registered | None:
        """Return one version, None when there is none."""
        found = self._get("model-versions/get", name=name, version=version)
        address = self._get("model-versions/get-download-uri", name=name, version=version)
        if not found or not address:
            return None
        told = found["model_version"]
        run = self.run(told["run_id"])
        return Registered(
            name=name,
            version=str(told["version"]),
            run_id=told["run_id"],
            model_id=str(told.get("source", "")).rpartition("/")[2],
            experiment_id=run["info"]["experiment_id"],
            tags={tag["key"]: tag["value"] for tag in told.get("tags", [])},
            aliases=tuple(told.get("aliases", [])),
            address=address["artifact_uri"],
        )

    def versions(self, name: str) -> list[int]:
        """Return the numbers of all versions, ascending."""
        found = self._get("model-versions/search", filter=f"name='{name}'", max_results="1000") or {}
        return sorted(int(entry["version"]) for entry in found.get("model_versions", []))

    def run(self, run_id: str) -> dict[str, Any]:
        """Return a run: `info`, and `data` with `metrics`, `params` and `tags` as mappings."""
        found = self._get("runs/get", run_id=run_id)
        if not found:
            raise StageError(STAGE, f"MLflow run {run_id}", "does not exist")
        run, data = found["run"], found["run"]["data"]
        return {
            "info": run["info"],
            "data": {
                kind: {entry["key"]: entry["value"] for entry in data.get(kind, [])}
                for kind in ("metrics", "params", "tags")
            },
        }

    def description(self, registered: Registered) -> dict[str, Any]:
        """Return the MLmodel file of a version: flavours, signature, run."""
        return dict(yaml.safe_load(self._artifact(registered, "MLmodel")) or {})

    def example(self, registered: Registered) -> list[dict[str, Any]]:
        """Return the input example of a version as rows."""
        split = yaml.safe_load(self._artifact(registered, "input_example.json"))
        return [dict(zip(split["columns"], row, strict=True)) for row in split["data"]]

    def run_document(self, registered: Registered, path: str) -> dict[str, Any] | None:
        """Return a JSON artefact of a version's run, None when there is none."""
        answer = self._cluster.ask(self.url, f"{_ARTIFACTS}/{_of_run(registered)}/{path}")
        if answer.good:
            found: dict[str, Any] = answer.json()
            return found
        if answer.status != NOT_FOUND:
            self._silent(answer.status, answer.text)
        return None

    def store(self, registered: Registered, path: str, text: str) -> None:
        """Put a text under a version's run. Raises StageError when it is not taken."""
        answer = self._cluster.ask(
            self.url,
            f"{_ARTIFACTS}/{_of_run(registered)}/{path}",
            text.encode(),
            method="PUT",
            headers={"Content-Type": "application/octet-stream"},
        )
        if not answer.good:
            reason = f"does not take artefact {path}: HTTP {answer.status}: {answer.text[:200]}"
            raise StageError(STAGE, f"MLflow run {registered.run_id}", reason)

    def _artifact(self, registered: Registered, name: str) -> str:
        path = f"{registered.experiment_id}/models/{registered.model_id}/artifacts/{name}"
        answer = self._cluster.ask(self.url, f"{_ARTIFACTS}/{path}")
        if not answer.good:
            subject = f"model {registered.name} version {registered.version}"
            raise StageError(STAGE, subject, f"has no artefact {name} (HTTP {answer.status})")
        return answer.text

    def _get(self, method: str, **query: str) -> dict[str, Any] | None:
        answer = self._cluster.ask(self.url, f"/api/2.0/mlflow/{method}", query=query)
        if answer.good:
            found: dict[str, Any] = answer.json()
            return found
        if not ("RESOURCE_DOES_NOT_EXIST" in answer.text or "INVALID_PARAMETER_VALUE" in answer.text):
            self._silent(answer.status, answer.text)
        return None

    def _silent(self, status: int, text: str) -> NoReturn:
        namespace, service, _ = place(self.url)
        trouble = service_trouble(self._cluster, namespace, service) or f"HTTP {status}: {text[:200]}"
        raise StageError(
            STAGE,
            f"MLflow {self.url}",
            f"does not answer: {trouble}",
            fix=f"kubectl -n {namespace} get pods; `pulumi up` repairs what was changed by hand",
        )


def _of_run(registered: Registered) -> str:
    return f"{registered.experiment_id}/{registered.run_id}/artifacts"
