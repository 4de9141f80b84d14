"""A whole platform in memory, as the loop sees it: objects by path, MLflow, a model server, Prometheus, a run's log."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from mlops.loop.cluster import Answer
from tests.support.loop_parts import Part, answered, monitor, pod

__all__ = ["MLFLOW", "PROMETHEUS", "TOKEN", "FakePlatform"]

MLFLOW, PROMETHEUS = "http://mlflow.mlflow.svc:5000", "http://prometheus.prometheus.svc:9090"

ISVC = "/apis/serving.kserve.io/v1beta1/namespaces/models/inferenceservices/loan-approval"

TOKEN = "token-of-the-auditing-party"  # noqa: S105 (of nobody)

EXAMPLE = {"columns": ["a"], "data": [[1.0], [2.0]]}


@dataclass
class FakePlatform:
    """Has `registered` versions, serves `served`, and counts predictions; stands in for mlops.loop.cluster.Cluster."""

    registered: list[int] = field(default_factory=lambda: [1, 2])
    champion: int = 2
    candidate: int | None = None
    """The version with that alias; the champion where nobody sets it."""

    served: int | None = 2
    unfair: set[int] = field(default_factory=set)
    """Versions that treat people unfairly."""

    answers: int | None = None
    """The version that really answers, where it is another."""

    probability: float = 0.25
    counted: dict[str, int] = field(default_factory=lambda: {"v1": 0, "v2": 0})
    scraped: bool = True
    monitors: list[dict[str, Any]] = field(default_factory=lambda: [monitor()])
    """PodMonitors."""

    prometheus: dict[str, Any] = field(
        default_factory=lambda: {
            "podMonitorSelector": {"matchLabels": {"platform": "ours"}},
            "podMonitorNamespaceSelector": {"matchLabels": {"platform": "ours"}},
        }
    )
    """What the Prometheus object asks for."""

    read_url: str = "http://10.0.0.7:8080/metrics"
    read_at: float = 2.0
    """When the pod was read last, by a clock that says 1 whenever it is asked."""

    lost: int = 0
    """Predictions that Prometheus does not see."""

    mlflow_replicas: int = 1
    objects: dict[str, Any] = field(default_factory=dict)
    logs: list[list[str]] = field(default_factory=list)
    """What each look at a run's log gives."""

    watching: list[Part] = field(default_factory=list)
    """What watches and audits; each has a Service, and the loop finds it by that."""

    archive: bytes = b""
    """What the auditor exports."""

    artefacts: dict[str, Any] = field(default_factory=dict)
    """JSON artefacts of every run, by path."""

    answered: dict[str, tuple[list[dict[str, Any]], Answer]] = field(default_factory=dict)
    """Requests with an id of the caller's: their rows and the answer."""

    stored: dict[str, bytes] = field(default_factory=dict)
    """What was put under a run."""

    deleted: list[str] = field(default_factory=list)
    server: str = "https://fake"

    @staticmethod
    def uri(version: int) -> str:
        """Return where the artefacts of a version are."""
        return f"s3://bucket/artifacts/1/models/m-{version}/artifacts"

    # Objects

    def get(self, path: str, **_query: str) -> dict[str, Any] | None:
        """Return the object at a path."""
        found: dict[str, Any] | None = None
        if path in self.objects:
            found = self.objects[path]
        elif path == ISVC and self.served is not None:
            found = self._inference_service(self.served)
        elif "mutatingwebhookconfigurations" in path:
            found = {"webhooks": [{"clientConfig": {"service": {"namespace": "kserve", "name": "webhook"}}}]}
        elif "clusterservingruntimes" in path:
            found = {}
        elif service := re.fullmatch(r"/api/v1/namespaces/([\w-]+)/services/([\w-]+)", path):
            found = {
                "metadata": {"namespace": service[1], "name": service[2]},
                "spec": {"selector": {"app": service[2]}, "ports": [{"port": 8080}]},
            }
        elif path.endswith("/configmaps/pipeline-job"):
            found = self._places()
        return found

    def items(self, path: str, **_query: str) -> list[dict[str, Any]]:
        """Return the objects of a list."""
        operated: dict[str, list[dict[str, Any]]] = {
            "/api/v1/services": [part.service() for part in self.watching],
            "/api/v1/namespaces": [
                {"metadata": {"name": name, "labels": {"platform": "ours"}}} for name in ("models", "prometheus")
            ],
            "/apis/monitoring.coreos.com/v1/podmonitors": self.monitors,
            "/apis/monitoring.coreos.com/v1/namespaces/prometheus/prometheuses": [
                {"metadata": {"namespace": "prometheus", "name": "platform"}, "spec": self.prometheus}
            ],
            **self.objects,
        }
        if path in operated:
            return operated[path]
        if path == "/api/v1/namespaces/models/pods" and self.served is not None:
            return [pod("predictor-1", self.uri(self.served))]
        if found := re.fullmatch(r"/apis/apps/v1/namespaces/([\w-]+)/deployments", path):
            namespace = found[1]
            name = {"kserve": "webhook"}.get(namespace, namespace)
            replicas = {"mlflow": self.mlflow_replicas, **{part.name: part.replicas for part in self.watching}}.get(
                namespace, 1
            )
            return [
                {
                    "metadata": {"namespace": namespace, "name": name},
                    "spec": {
                        "replicas": replicas,
                        "selector": {"matchLabels": {"app": name}},
                        "template": {"metadata": {"labels": {"app": name}}},
                    },
                    "status": {"readyReplicas": replicas},
                }
            ]
        return []

    def text(self, _path: str) -> str:
        """Return a model server's own counters."""
        labels = f'model_name="loan-approval",model_version="{self.served}",outcome="answered"'
        return "".join(
            f'model_request_seconds_count{{{labels},protocol="{protocol}"}} {number}.0\n'
            for protocol, number in self.counted.items()
            if number
        )

    def create(self, path: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Remember an object."""
        made = {**manifest, "metadata": {**manifest["metadata"], "uid": "u-1"}}
        self.objects[f"{path}/{manifest['metadata']['name']}"] = made
        return made

    def patch(self, path: str, change: Mapping[str, Any]) -> dict[str, Any]:
        """Change a remembered object's metadata."""
        self.objects[path]["metadata"].update(change["metadata"])
        changed: dict[str, Any] = self.objects[path]
        return changed

    def delete(self, path: str) -> None:
        """Forget an object."""
        self.deleted.append(path)
        self.objects.pop(path, None)

    def log(self, _namespace: str, _pod: str, *, silence: float) -> Iterator[str]:
        """Give the next look at the log."""
        assert silence
        yield from self.logs.pop(0) if self.logs else []

    # Services

    def ask(
        self,
        url: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        method: str | None = None,
        timeout: float = 20,
    ) -> Answer:
        """Answer for MLflow, Prometheus, what watches, or the model server."""
        assert timeout
        query, headers = query or {}, headers or {}
        for part in self.watching:
            if url == part.url:
                return part.answer(self, path, body, query)
        if method == "PUT":
            self.stored[path.rpartition("/artifacts/")[2]] = body
            return Answer(200, {}, "")
        if url == MLFLOW:
            return self._mlflow(path, query)
        if url == PROMETHEUS:
            return answered(self._prometheus(path, query))
        answer = self._model(path, body)
        request_id = headers.get("Ce-Id", "")
        if answer.good and not request_id.startswith("probe-"):
            self.answered[request_id] = (body["instances"], answer)
        return answer

    def ask_pod(
        self, url: str, path: str, body: Any = None, *, headers: Mapping[str, str], timeout: float = 20
    ) -> Answer:
        """Answer as the same services do, to who proves who they are."""
        assert timeout
        if headers.get("Authorization") != f"Bearer {TOKEN}":
            return Answer(401, {}, "who are you?")
        path, _, query = path.partition("?")
        return self.ask(url, path, body, query=dict(parse_qsl(query)))

    def pods_of(self, service: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return one pod behind any service that is there."""
        return [{"metadata": {"name": f"{service['metadata']['name']}-0"}}]

    def execute(self, _namespace: str, _pod: str, _command: Any, *, timeout: float = 60) -> str:
        """Give the archive of the auditor's record."""
        assert timeout
        return base64.b64encode(self.archive).decode()

    def _mlflow(self, path: str, query: Mapping[str, str]) -> Answer:  # noqa: PLR0911 (one for each thing it is asked)
        if not self.mlflow_replicas:
            return Answer(503, {}, "no endpoints available")
        if path == "/version":
            return Answer(200, {}, "3.17.2")
        if path.endswith("MLmodel"):
            version = re.search(r"m-(\d+)", path)
            return Answer(200, {}, f"run_id: run-{version and version[1]}\nsignature: {{inputs: '[a]'}}\n")
        if path.endswith("input_example.json"):
            return answered(EXAMPLE)
        if "/mlflow-artifacts/artifacts/" in path:
            name = path.partition("/artifacts/")[2].partition("/artifacts/")[2]
            found = self.artefacts.get(name)
            return Answer(404, {}, "") if found is None else answered(found)
        method = path.removeprefix("/api/2.0/mlflow/")
        aliased = self.candidate if query.get("alias") == "candidate" and self.candidate else self.champion
        version = query.get("version") or query.get("run_id", "").removeprefix("run-") or str(aliased)
        if method != "model-versions/search" and int(version) not in self.registered:
            return Answer(404, {}, '{"error_code": "RESOURCE_DOES_NOT_EXIST"}')
        entry = {
            "version": version,
            "run_id": f"run-{version}",
            "source": f"models:/m-{version}",
            "tags": [{"key": "digest", "value": f"sha256:{version}"}],
        }
        run = {"info": {"experiment_id": "1", "status": "FINISHED"}, "data": {}}
        return answered(
            {
                "registered-models/alias": {"model_version": entry},
                "model-versions/get": {"model_version": entry},
                "model-versions/get-download-uri": {
                    "artifact_uri": f"mlflow-artifacts:/1/models/m-{version}/artifacts"
                },
                "model-versions/search": {"model_versions": [{"version": str(each)} for each in self.registered]},
                "runs/get": {"run": run},
            }[method]
        )

    def _prometheus(self, path: str, query: Mapping[str, str]) -> Any:
        if path == "/-/ready":
            return "ready"
        if path.endswith("/targets"):
            labels = {"namespace": "models", "pod": "predictor-1"}
            target = {
                "labels": labels,
                "health": "up",
                "scrapePool": "podMonitor/models/predictors/0",
                "scrapeUrl": self.read_url,
                "lastError": "",
            }
            return {"data": {"activeTargets": [target] if self.scraped else []}}
        expression = query["query"]
        if expression == "vector(time())":
            result = [({}, "1")]
        elif expression.startswith("min(timestamp(up{"):
            result = [({}, str(self.read_at))] if self.scraped else []
        elif expression.startswith("min(up{"):
            result = [({}, "1")] if self.scraped else []
        elif "_count" in expression:
            seen = {"v1": self.counted["v1"] - self.lost, "v2": self.counted["v2"]}
            result = [({"protocol": key}, str(number)) for key, number in seen.items() if number > 0]
        else:
            result = [({}, str(0.001 * sum(self.counted.values())))]
        return {"data": {"result": [{"metric": labels, "value": [0, value]} for labels, value in result]}}

    def _model(self, path: str, body: Any) -> Answer:
        version = self.answers or self.served
        headers = {
            "x-model-version": str(version),
            "x-model-run-id": f"run-{version}",
            "x-model-digest": f"sha256:{version}",
        }
        if path.startswith("/v1"):
            self.counted["v1"] += 1
            return answered({"predictions": self.outputs(body["instances"])}, headers)
        self.counted["v2"] += 1
        columns = {tensor["name"]: tensor["data"] for tensor in body["inputs"]}
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        said = self.outputs(rows)
        output = {"shape": [len(said), len(said[0])], "data": [value for row in said for value in row]}
        return answered({"outputs": [output]}, headers)

    def outputs(self, rows: list[dict[str, Any]]) -> list[Any]:
        """Return what the model says of rows."""
        return [[self.probability] for _ in rows]

    def _inference_service(self, version: int) -> dict[str, Any]:
        return {
            "metadata": {
                "annotations": {
                    "oss-mlops-platform/model-version": str(version),
                    "oss-mlops-platform/run-id": f"run-{version}",
                    "oss-mlops-platform/digest": f"sha256:{version}",
                }
            },
            "spec": {"predictor": {"model": {"storageUri": self.uri(version)}}},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        }

    @staticmethod
    def _places() -> dict[str, Any]:
        job = {
            "metadata": {"name": "${RUN}", "namespace": "pipelines", "labels": {}},
            "spec": {"template": {"spec": {"volumes": [{"configMap": {"name": "${RUN}"}}]}}},
        }
        places = {
            "MLFLOW_TRACKING_URI": MLFLOW,
            "PROMETHEUS_URL": PROMETHEUS,
            "REGISTRY_ARTEFACT_ROOT": "s3://bucket/artifacts",
            "SERVING_NAMESPACE": "models",
            "SERVING_RUNTIME": "mlflow",
        }
        return {"data": {"job.yaml": json.dumps(job), "platform.json": json.dumps(places), "image": "a/python:1"}}
