"""The served model, seen from outside: its InferenceService, its pods, its answers."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from mlops.loop.cluster import Answer, Cluster
from mlops.loop.diagnosis import pod_trouble, service_trouble
from mlops.loop.ledger import Ledger, StageError
from mlops.loop.registry import Registered

__all__ = ["Served", "Serving", "agrees"]

ANNOTATION = "oss-mlops-platform"

WEBHOOK = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/inferenceservice.serving.kserve.io"


@dataclass(frozen=True)
class Served:
    """What an InferenceService says it serves."""

    version: str
    run_id: str
    digest: str
    uri: str
    ready: bool


class Serving:
    """One InferenceService."""

    def __init__(self, cluster: Cluster, namespace: str, name: str) -> None:
        self._cluster = cluster
        self.namespace = namespace
        self.name = name
        self.subject = f"InferenceService {namespace}/{name}"
        self.url = f"http://{name}-predictor.{namespace}.svc"
        self._path = f"/apis/serving.kserve.io/v1beta1/namespaces/{namespace}/inferenceservices/{name}"

    def check(self, runtime: str) -> None:
        """Raise StageError when KServe could not deploy anything now."""
        configuration = self._cluster.get(WEBHOOK)
        if configuration is None:
            raise StageError("deploy", "KServe", "has no admission webhook: component kserve is not deployed")
        service = configuration["webhooks"][0]["clientConfig"]["service"]
        if trouble := service_trouble(self._cluster, service["namespace"], service["name"]):
            raise StageError("deploy", "KServe", f"does not answer: {trouble}")
        if self._cluster.get(f"/apis/serving.kserve.io/v1alpha1/clusterservingruntimes/{runtime}") is None:
            raise StageError("deploy", f"ClusterServingRuntime {runtime}", "does not exist")

    def served(self) -> Served | None:
        """Return what the InferenceService says, None when there is none."""
        found = self._cluster.get(self._path)
        if found is None:
            return None
        annotations = found["metadata"].get("annotations", {})
        conditions = {entry["type"]: entry["status"] for entry in found.get("status", {}).get("conditions", [])}
        return Served(
            version=annotations.get(f"{ANNOTATION}/model-version", ""),
            run_id=annotations.get(f"{ANNOTATION}/run-id", ""),
            digest=annotations.get(f"{ANNOTATION}/digest", ""),
            uri=str(found["spec"]["predictor"].get("model", {}).get("storageUri", "")),
            ready=conditions.get("Ready") == "True",
        )

    def pods(self) -> list[dict[str, Any]]:
        """Return the predictor pods that are not about to go."""
        selector = f"serving.kserve.io/inferenceservice={self.name}"
        pods = self._cluster.items(f"/api/v1/namespaces/{self.namespace}/pods", labelSelector=selector)
        return [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]

    def trouble(self) -> str:
        """Return what keeps pods from being ready; empty if nothing."""
        return "; ".join(text for pod in self.pods() if (text := pod_trouble(pod)))

    def delete(self) -> None:
        """Stop serving."""
        self._cluster.delete(self._path)

    def predict_v1(self, rows: list[dict[str, Any]], *, request_id: str | None = None) -> Answer:
        """Ask for predictions over the v1 protocol; with an id that the prediction log keeps them by."""
        body = {"instances": rows}
        return self._ask("predict-v1", f"/v1/models/{self.name}:predict", body, request_id=request_id)

    def predict_v2(self, rows: list[dict[str, Any]]) -> Answer:
        """Ask for predictions over the v2 protocol, one tensor per column."""
        inputs = [
            {"name": name, "shape": [len(rows)], "datatype": "FP64", "data": [float(row[name]) for row in rows]}
            for name in rows[0]
        ]
        return self._ask("predict-v2", f"/v2/models/{self.name}/infer", {"inputs": inputs})

    def counters(self, pod: str, port: int = 8080) -> str:
        """Return a pod's own /metrics, which Prometheus reads every few seconds."""
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod}:{port}/proxy/metrics"
        return self._cluster.text(path)

    def _ask(self, stage: str, path: str, body: Any, *, request_id: str | None = None) -> Answer:
        # The log keeps what was asked by the id in this header. What only shows that the model answers is no case of
        # anybody: the model monitor leaves out what is called a probe.
        headers = {"Ce-Id": request_id or f"probe-{secrets.token_hex(12)}"}
        answer = self._cluster.ask(self.url, path, body, headers=headers)
        if not answer.good:
            reason = f"does not answer {path}: HTTP {answer.status}: {self.trouble() or answer.text[:200]}"
            raise StageError(stage, self.subject, reason)
        return answer


def agrees(ledger: Ledger, serving: Serving, registered: Registered, artefact_root: str, *, ready: bool) -> None:
    """Assert that the InferenceService and its pods name exactly this version. Raises StageError at stage `deploy`."""
    served = serving.served()
    if served is None:
        raise StageError("deploy", serving.subject, "does not exist", fix="mlops loop")
    uri = registered.uri(artefact_root)
    fix = f"kubectl -n {serving.namespace} delete inferenceservice {serving.name}; mlops loop"
    wanted = f"model {registered.name} version {registered.version}"
    for name, found, expected in (
        ("annotated version", served.version, registered.version),
        ("annotated run id", served.run_id, registered.run_id),
        ("annotated digest", served.digest, registered.tags.get("digest", "")),
        ("storage URI", served.uri, uri),
    ):
        reason = f"has {name} {found or '(none)'}, {wanted} has {expected}"
        ledger.that(
            "deploy",
            name,
            found == expected,
            found=found,
            wanted=expected,
            source=serving.subject,
            reason=reason,
            fix=fix,
        )
    for pod in serving.pods():
        source = f"pod {serving.namespace}/{pod['metadata']['name']}"
        fetched = [container["args"][0] for container in pod["spec"].get("initContainers", []) if container.get("args")]
        reason = f"of {serving.subject} fetches {', '.join(fetched)}, {wanted} is at {uri}"
        ledger.that(
            "deploy",
            "fetched URI",
            fetched == [uri],
            found=fetched,
            wanted=[uri],
            source=source,
            reason=reason,
            fix=fix,
        )
    if ready:
        ledger.that(
            "deploy",
            "Ready",
            served.ready,
            found=served.ready,
            wanted=True,
            source=serving.subject,
            reason=f"is not Ready: {serving.trouble() or 'its pods report nothing unusual'}",
        )
