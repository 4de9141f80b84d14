"""Put one version of a registered model behind an InferenceService, and see that it answers.

For the deploy step of a pipeline: `deploy("loan-approval", "3", rows)`. Where things are comes from the environment
that the platform gives every run: MLFLOW_TRACKING_URI, REGISTRY_ARTEFACT_ROOT, SERVING_NAMESPACE, SERVING_RUNTIME,
SERVING_SERVICE_ACCOUNT. With PREDICTION_LOG_URL, what is asked and answered is logged there.
"""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from platform_runtime.identity import ANNOTATION
from platform_runtime.traffic import Traffic, ask

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from platform_runtime.traffic import Report

__all__ = [
    "Cluster",
    "Deployment",
    "DeploymentError",
    "Kubernetes",
    "Version",
    "deploy",
    "inference_service",
    "resolve",
]

GROUP, GENERATION, PLURAL = "serving.kserve.io", "v1beta1", "inferenceservices"

LOG = f"{ANNOTATION}/prediction-log"
"""Annotation with which an InferenceService asks its model server to log there what it is asked and answers."""

STEADY = 10
"""Answers in a row that have to come from the new version; requests are spread over all ready pods."""


class DeploymentError(Exception):
    """The version does not answer. The text names the object and the reason."""


@dataclass(frozen=True)
class Version:
    """One version in the registry."""

    name: str
    version: str
    run_id: str
    digest: str
    uri: str
    """Immutable `s3://` path of the artefacts: serving needs the registry neither to start nor to restart."""


@dataclass(frozen=True)
class Deployment:
    """How one version came to be served."""

    service: str
    namespace: str
    url: str
    version: Version
    seconds: float
    first: bool
    """True when there was no InferenceService of this name before."""

    traffic: Report | None
    """The requests that were sent while the version changed; None when `first`."""

    def plain(self) -> dict[str, Any]:
        """Return all of it as JSON has it."""
        return asdict(self)


class Cluster(Protocol):
    """What a deployment needs of Kubernetes."""

    def get(self, namespace: str, name: str) -> dict[str, Any] | None:
        """Return an InferenceService, None when there is none."""

    def create(self, namespace: str, manifest: Mapping[str, Any]) -> None:
        """Create an InferenceService."""

    def patch(self, namespace: str, name: str, manifest: Mapping[str, Any]) -> None:
        """Merge `manifest` into an InferenceService."""

    def pods(self, namespace: str, name: str) -> list[dict[str, Any]]:
        """Return the predictor pods of an InferenceService."""

    def warnings(self, namespace: str, name: str) -> list[str]:
        """Return what Kubernetes warns about an InferenceService, newest last."""


class Kubernetes:
    """The cluster this pod runs in."""

    def __init__(self) -> None:
        import kubernetes

        kubernetes.config.load_incluster_config()
        self._objects = kubernetes.client.CustomObjectsApi()
        self._core = kubernetes.client.CoreV1Api()
        self._missing = kubernetes.client.exceptions.ApiException

    def get(self, namespace: str, name: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self._objects.get_namespaced_custom_object(
                GROUP, GENERATION, namespace, PLURAL, name
            )
        except self._missing as error:
            if error.status == 404:  # noqa: PLR2004 (Not Found)
                return None
            raise
        return found

    def create(self, namespace: str, manifest: Mapping[str, Any]) -> None:
        self._objects.create_namespaced_custom_object(GROUP, GENERATION, namespace, PLURAL, manifest)

    def patch(self, namespace: str, name: str, manifest: Mapping[str, Any]) -> None:
        self._objects.patch_namespaced_custom_object(GROUP, GENERATION, namespace, PLURAL, name, manifest)

    def pods(self, namespace: str, name: str) -> list[dict[str, Any]]:
        selector = f"serving.kserve.io/inferenceservice={name}"
        listed = self._core.list_namespaced_pod(namespace, label_selector=selector)
        return [self._core.api_client.sanitize_for_serialization(pod) for pod in listed.items]

    def warnings(self, namespace: str, name: str) -> list[str]:
        selector = f"involvedObject.kind=InferenceService,involvedObject.name={name},type=Warning"
        return [event.message for event in self._core.list_namespaced_event(namespace, field_selector=selector).items]


def resolve(name: str, version: str, client: Any, artefact_root: str) -> Version:
    """Ask the registry (an MlflowClient) for one version, and for the path its artefacts really have."""
    found = client.get_model_version(name, version)
    address = str(client.get_model_version_download_uri(name, version))
    scheme = "mlflow-artifacts:"
    if address.startswith(scheme):
        path = address.removeprefix(scheme).lstrip("/")
        address = f"{artefact_root.rstrip('/')}/{path}"
    if not address.startswith("s3://"):
        msg = f"model {name} version {version}: artefacts are at {address}, wanted s3://"
        raise DeploymentError(msg)
    return Version(
        name=name, version=str(version), run_id=str(found.run_id), digest=found.tags.get("digest", ""), uri=address
    )


def inference_service(
    service: str, namespace: str, version: Version, *, runtime: str, account: str, log_url: str = ""
) -> dict[str, Any]:
    """Return the InferenceService that serves exactly this version, says so, and is logged where there is a log."""
    return {
        "apiVersion": f"{GROUP}/{GENERATION}",
        "kind": "InferenceService",
        "metadata": {
            "name": service,
            "namespace": namespace,
            "labels": {"app.kubernetes.io/part-of": "oss-mlops-platform"},
            "annotations": {
                "serving.kserve.io/autoscalerClass": "none",
                f"{ANNOTATION}/model-name": version.name,
                f"{ANNOTATION}/model-version": version.version,
                f"{ANNOTATION}/run-id": version.run_id,
                f"{ANNOTATION}/digest": version.digest,
                **({LOG: log_url} if log_url else {}),
            },
        },
        "spec": {
            "predictor": {
                "serviceAccountName": account,
                "automountServiceAccountToken": False,
                "minReplicas": 1,
                "model": {"modelFormat": {"name": "mlflow"}, "runtime": runtime, "storageUri": version.uri},
            }
        },
    }


def deploy(
    name: str,
    version: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    service: str | None = None,
    timeout: float = 240,
    cluster: Cluster | None = None,
    client: Any = None,
    environment: Mapping[str, str] = os.environ,
    sleep: Callable[[float], None] = time.sleep,
) -> Deployment:
    """Serve `version` of model `name` and return when nothing else answers any more.

    `rows` are sent all the while as requests. An InferenceService says Ready while the old version still answers,
    so what counts is the version in the answers. Raises DeploymentError after `timeout` seconds.
    """
    if client is None:
        import mlflow

        client = mlflow.MlflowClient()
    cluster = cluster or Kubernetes()
    service = service or name
    namespace = environment["SERVING_NAMESPACE"]
    wanted = resolve(name, version, client, environment["REGISTRY_ARTEFACT_ROOT"])
    manifest = inference_service(
        service,
        namespace,
        wanted,
        runtime=environment["SERVING_RUNTIME"],
        account=environment["SERVING_SERVICE_ACCOUNT"],
        log_url=environment.get("PREDICTION_LOG_URL", ""),
    )
    host = environment.get("SERVING_HOST", f"{service}-predictor.{namespace}.svc")
    url = f"http://{host}/v1/models/{service}:predict"
    started = time.monotonic()
    first = cluster.get(namespace, service) is None
    traffic = Traffic(url, {"instances": list(rows)})
    # Whether requests are answered is only worth a promise when they were answered before.
    watched = not first and ask(url, {"instances": list(rows)}).failure is None
    if watched:
        traffic.start()
    try:
        if first:
            cluster.create(namespace, manifest)
        else:
            cluster.patch(namespace, service, manifest)
        _wait(
            url,
            rows,
            wanted,
            pods=lambda: cluster.pods(namespace, service),
            deadline=started + timeout,
            sleep=sleep,
        )
    except DeploymentError as error:
        pods = [text for pod in cluster.pods(namespace, service) if (text := pod_trouble(pod))]
        trouble = pods or cluster.warnings(namespace, service)[-1:] or ["nothing unusual is reported"]
        msg = f"InferenceService {namespace}/{service} {error}: {'; '.join(trouble)}"
        raise DeploymentError(msg) from None
    finally:
        report = traffic.stop() if watched else None
    return Deployment(
        service=service,
        namespace=namespace,
        url=f"http://{host}",
        version=wanted,
        seconds=round(time.monotonic() - started, 2),
        first=first,
        traffic=report,
    )


def _wait(
    url: str,
    rows: Sequence[Mapping[str, Any]],
    wanted: Version,
    *,
    pods: Callable[[], list[dict[str, Any]]],
    deadline: float,
    sleep: Callable[[float], None],
) -> None:
    """Return when `wanted` has answered `STEADY` times in a row and the pods of other versions are gone."""
    steady, last = 0, "nothing"
    while time.monotonic() < deadline:
        answer = ask(url, {"instances": list(rows)})
        matches = answer.failure is None and (answer.version, answer.run_id) == (wanted.version, wanted.run_id)
        steady = steady + 1 if matches else 0
        last = answer.failure or f"version {answer.version or 'unknown'} of run {answer.run_id or 'unknown'}"
        if steady >= STEADY and all(_annotated(pod) == wanted.version for pod in pods()):
            return
        sleep(0.05 if steady and steady < STEADY else 0.5)
    msg = f"answers {last}, expected version {wanted.version}"
    raise DeploymentError(msg)


def _annotated(pod: Mapping[str, Any]) -> str:
    return str(pod["metadata"].get("annotations", {}).get(f"{ANNOTATION}/model-version", ""))


def pod_trouble(pod: Mapping[str, Any]) -> str:
    """Return what keeps a pod from being ready, `pod <name>: <container>: <reason> (<message>)`; empty if nothing."""
    status = pod.get("status", {})
    name = pod["metadata"]["name"]
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        for state in (container.get("state", {}), container.get("lastState", {})):
            found = state.get("waiting") or state.get("terminated") or {}
            if found.get("reason") not in {None, "Completed", "PodInitializing", "ContainerCreating"}:
                message = " ".join(str(found.get("message", "")).split())[-300:]
                return f"pod {name}: {container['name']}: {found['reason']}{f' ({message})' if message else ''}"
    for condition in status.get("conditions", []):
        if condition.get("status") != "True" and condition.get("message"):
            return f"pod {name}: {condition['message']}"
    return ""
