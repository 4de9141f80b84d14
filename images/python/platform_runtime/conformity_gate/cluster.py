"""The InferenceService that serves a model: what it serves, how to make it serve another version, and its Events."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from platform_runtime.conformity_gate.decision import Decision
from platform_runtime.conformity_gate.plan import Kind, Served
from platform_runtime.deployment import GENERATION, GROUP, PLURAL, Version, inference_service
from platform_runtime.identity import ANNOTATION

__all__ = ["ChangedError", "Cluster", "ClusterError", "Service"]

STOP = "serving.kserve.io/stop"
"""KServe's annotation that takes the pods away and keeps the InferenceService."""

STOPPED = f"{ANNOTATION}/stopped-version"
"""For which version the gate stopped the service; whoever else stops one does not say."""

COMPONENT = "conformity-gate"
NOT_FOUND, CONFLICT = 404, 409
TIMEOUT = (5, 15)
GRAVE = frozenset({Kind.ROLLBACK, Kind.WITHDRAW, Kind.KEEP, Kind.STOP})


class ClusterError(Exception):
    """The API server does not answer, or refuses."""


class ChangedError(ClusterError):
    """Somebody changed the InferenceService since it was read."""


@dataclass(frozen=True)
class Service:
    """An InferenceService as it was read."""

    namespace: str
    name: str
    object: Mapping[str, Any]

    @property
    def served(self) -> Served | None:
        """What it is told to serve; None where its annotations do not say."""
        version = self._annotations.get(f"{ANNOTATION}/model-version")
        stopped = self._annotations.get(STOPPED) if self._annotations.get(STOP) == "true" else None
        return Served(str(version), stopped) if version else None

    @property
    def model(self) -> str | None:
        """The registered model."""
        return self._annotations.get(f"{ANNOTATION}/model-name")

    @property
    def _annotations(self) -> Mapping[str, str]:
        return self.object["metadata"].get("annotations") or {}


class Cluster:
    """The cluster this pod runs in, or the one that a client of the library is for."""

    def __init__(self, api: Any = None) -> None:
        import kubernetes
        import urllib3

        if api is None:
            kubernetes.config.load_incluster_config()
        self._api = api or kubernetes.client.ApiClient()
        self._objects = kubernetes.client.CustomObjectsApi(self._api)
        self._core = kubernetes.client.CoreV1Api(self._api)
        self._refused = kubernetes.client.exceptions.ApiException
        self._away = (urllib3.exceptions.HTTPError, OSError)

    def close(self) -> None:
        """Let go of the connections."""
        self._api.rest_client.pool_manager.clear()

    def service(self, namespace: str, name: str) -> Service | None:
        """Return an InferenceService, None when there is none."""
        try:
            found = self._objects.get_namespaced_custom_object(
                GROUP, GENERATION, namespace, PLURAL, name, _request_timeout=TIMEOUT
            )
        except self._refused as error:
            if error.status == NOT_FOUND:
                return None
            raise self._error(namespace, name, error) from error
        except self._away as error:
            raise self._error(namespace, name, error) from error
        return Service(namespace, name, found)

    def settled(self, service: Service) -> bool:
        """Say whether what it is told to serve is what answers.

        Its own status says Ready while pods of the version before still answer, so the pods are looked at.
        """
        selector = f"serving.kserve.io/inferenceservice={service.name}"
        try:
            listed = self._core.list_namespaced_pod(
                service.namespace, label_selector=selector, _request_timeout=TIMEOUT
            )
        except (self._refused, *self._away) as error:
            raise self._error(service.namespace, service.name, error) from error
        told = service.served.version if service.served else None
        return bool(listed.items) and all(_version(pod) == told and _ready(pod) for pod in listed.items)

    def serve(self, service: Service, version: Version) -> None:
        """Have it serve a version. Raises ChangedError when it is not any more what was read."""
        predictor = service.object["spec"]["predictor"]
        wanted = inference_service(
            service.name,
            service.namespace,
            version,
            runtime=predictor["model"].get("runtime", ""),
            account=predictor.get("serviceAccountName", ""),
        )
        told = {
            key: value for key, value in wanted["metadata"]["annotations"].items() if key.startswith(f"{ANNOTATION}/")
        }
        uri = wanted["spec"]["predictor"]["model"]["storageUri"]
        # Everything else (resources, logger, replicas) is as whoever deployed it wanted it.
        self._patch(service, {**told, **_running(service)}, {"predictor": {"model": {"storageUri": uri}}})

    def stop(self, service: Service, version: str) -> None:
        """Take its pods away."""
        self._patch(service, {STOP: "true", STOPPED: version})

    def resume(self, service: Service) -> None:
        """Give it pods again."""
        self._patch(service, _running(service))

    def announce(self, service: Service, decision: Decision) -> None:
        """Tell a decision as an Event of the InferenceService; a second time tells nothing more."""
        metadata = service.object["metadata"]
        at = decision.at.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{service.name}.{decision.id}", "namespace": service.namespace},
            "involvedObject": {
                "apiVersion": f"{GROUP}/{GENERATION}",
                "kind": "InferenceService",
                "name": service.name,
                "namespace": service.namespace,
                "uid": metadata.get("uid"),
            },
            "type": "Warning" if decision.kind in GRAVE else "Normal",
            "reason": f"Conformity{decision.kind.capitalize()}",
            "message": decision.message()[:1000],
            "source": {"component": COMPONENT},
            "firstTimestamp": at,
            "lastTimestamp": at,
            "count": 1,
        }
        try:
            self._core.create_namespaced_event(service.namespace, event, _request_timeout=TIMEOUT)
        except self._refused as error:
            if error.status != CONFLICT:
                raise self._error(service.namespace, service.name, error) from error
        except self._away as error:
            raise self._error(service.namespace, service.name, error) from error

    def _patch(
        self, service: Service, annotations: Mapping[str, str | None], spec: Mapping[str, Any] | None = None
    ) -> None:
        body: dict[str, Any] = {
            "metadata": {
                "annotations": dict(annotations),
                # Only what was read is changed: somebody may have deployed another version in the meantime.
                "resourceVersion": service.object["metadata"]["resourceVersion"],
            },
            **({"spec": dict(spec)} if spec else {}),
        }
        try:
            self._objects.patch_namespaced_custom_object(
                GROUP, GENERATION, service.namespace, PLURAL, service.name, body, _request_timeout=TIMEOUT
            )
        except self._refused as error:
            if error.status in {CONFLICT, NOT_FOUND}:
                msg = f"InferenceService {service.namespace}/{service.name} changed meanwhile"
                raise ChangedError(msg) from error
            raise self._error(service.namespace, service.name, error) from error
        except self._away as error:
            raise self._error(service.namespace, service.name, error) from error

    @staticmethod
    def _error(namespace: str, name: str, error: Exception) -> ClusterError:
        reason = getattr(error, "reason", None) or f"{type(error).__name__}: {error}"
        return ClusterError(f"InferenceService {namespace}/{name}: {str(reason)[:300]}")


def _version(pod: Any) -> str | None:
    found: str | None = (pod.metadata.annotations or {}).get(f"{ANNOTATION}/model-version")
    return found


def _ready(pod: Any) -> bool:
    return any(each.type == "Ready" and each.status == "True" for each in pod.status.conditions or [])


def _running(service: Service) -> dict[str, None]:
    """Return the annotations that end the gate's own stop; somebody else's stays."""
    return {STOP: None, STOPPED: None} if service.served and service.served.stopped else {}
