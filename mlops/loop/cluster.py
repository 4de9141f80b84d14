"""The cluster as the loop sees it: objects by their paths, and services through the API server, so from anywhere."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack
from urllib.parse import quote, urlencode, urlsplit

import urllib3
import yaml

from mlops.errors import OperationError

__all__ = ["Answer", "Cluster", "place"]

NOT_FOUND, UNAVAILABLE = 404, 503


@dataclass(frozen=True)
class Answer:
    """What a service said."""

    status: int
    headers: Mapping[str, str]
    text: str
    content: bytes = b""
    """The body as it came: a model's files are no text."""

    @property
    def good(self) -> bool:
        """Tell whether the request was carried out."""
        return self.status < 400  # noqa: PLR2004 (HTTP)

    def json(self) -> Any:
        """Return the body as data."""
        return json.loads(self.text)


def place(url: str) -> tuple[str, str, int]:
    """Return namespace, Service and port of an in-cluster URL such as `http://mlflow.mlflow.svc:5000`."""
    parts = urlsplit(url)
    service, namespace, *_ = (parts.hostname or "").split(".")
    return namespace, service, parts.port or 80


class _Request(TypedDict, total=False):
    """What a request may carry."""

    query: Mapping[str, str] | None
    body: Any
    """Sent as JSON; bytes as they are."""

    headers: Mapping[str, str]
    timeout: float


class Cluster:
    """Access through a kubeconfig (its text)."""

    def __init__(self, kubeconfig: str) -> None:
        import kubernetes

        self._client = kubernetes.config.new_client_from_config_dict(yaml.safe_load(kubeconfig))
        self._failed = kubernetes.client.exceptions.ApiException
        self.server = str(self._client.configuration.host)

    def get(self, path: str, **query: str) -> dict[str, Any] | None:
        """Return the object or list at an API path, None when there is none."""
        answer = self._call("GET", path, query=query)
        if answer.status == NOT_FOUND:
            return None
        return self._object("GET", path, answer)

    def text(self, path: str) -> str:
        """Return what is at an API path that gives text, such as a pod's page; empty when it does not answer."""
        answer = self._call("GET", path)
        return answer.text if answer.good else ""

    def items(self, path: str, **query: str) -> list[dict[str, Any]]:
        """Return the objects of a list; none when the API does not know the kind."""
        found = self.get(path, **query) or {}
        return list(found.get("items", []))

    def create(self, path: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object in a collection."""
        return self._object("POST", path, self._call("POST", path, body=manifest))

    def patch(self, path: str, change: Mapping[str, Any]) -> dict[str, Any]:
        """Merge `change` into an object."""
        headers = {"Content-Type": "application/merge-patch+json"}
        answer = self._call("PATCH", path, body=change, headers=headers)
        return self._object("PATCH", path, answer)

    def delete(self, path: str) -> None:
        """Delete an object and what belongs to it; nothing happens when it is not there."""
        answer = self._call("DELETE", path, query={"propagationPolicy": "Background"})
        if answer.status != NOT_FOUND:
            self._object("DELETE", path, answer)

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
        """Send a request to a service of the cluster; with a body it is a POST unless `method` says otherwise.

        Status 503 also stands for a service without a ready pod.
        """
        namespace, service, port = place(url)
        proxy = f"/api/v1/namespaces/{namespace}/services/{service}:{port}/proxy{path}"
        # MLflow answers only to names it knows; the API server passes on whatever the request says.
        sent = {"Host": urlsplit(url).netloc, **(headers or {})}
        method = method or ("GET" if body is None else "POST")
        return self._call(method, proxy, query=query, body=body, headers=sent, timeout=timeout)

    def ask_pod(
        self, url: str, path: str, body: Any = None, *, headers: Mapping[str, str], timeout: float = 20
    ) -> Answer:
        """Send a request with an `Authorization` of its own to a pod of a service; with a body it is a POST."""
        from mlops.loop.forwarding import Direct, target_port

        namespace, name, port = place(url)
        service = self.get(f"/api/v1/namespaces/{namespace}/services/{name}")
        pods = self.pods_of(service) if service else []
        if service is None or not pods:
            return Answer(UNAVAILABLE, {}, f"Service {namespace}/{name} has no running pod")
        pod = pods[0]["metadata"]["name"]
        connection = Direct(self._client, namespace, pod, target_port(service, pods[0], port), timeout)
        sent = {"Host": urlsplit(url).netloc, "Accept": "application/json", **headers}
        text = None if body is None else json.dumps(body)
        try:
            method = "GET" if text is None else "POST"
            connection.request(method, path, text, {**sent, **({"Content-Type": "application/json"} if text else {})})
            response = connection.getresponse()
            content = response.read()
            found = {key.lower(): value for key, value in response.getheaders()}
            return Answer(response.status, found, content.decode(errors="replace"), content)
        except (OSError, http.client.HTTPException, self._failed) as error:
            return Answer(UNAVAILABLE, {}, f"pod {namespace}/{pod} cannot be reached: {error or type(error).__name__}")
        finally:
            connection.close()

    def pods_of(self, service: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the running pods behind a Service."""
        selector = ",".join(f"{key}={value}" for key, value in (service["spec"].get("selector") or {}).items())
        namespace = service["metadata"]["namespace"]
        pods = self.items(f"/api/v1/namespaces/{namespace}/pods", labelSelector=selector) if selector else []
        return [
            pod
            for pod in pods
            if pod.get("status", {}).get("phase") == "Running" and not pod["metadata"].get("deletionTimestamp")
        ]

    def execute(self, namespace: str, pod: str, command: Sequence[str], *, timeout: float = 60) -> str:
        """Run a command in a pod's first container and return what it says. Raises OperationError unless it ends well.

        An API server that is addressed by HTTP, as in tests, cannot be asked for it.
        """
        from kubernetes.client import CoreV1Api
        from kubernetes.stream import stream

        # The stream replaces the client's way to send requests, so it gets a client of its own.
        client = type(self._client)(self._client.configuration)
        name = f"pod {namespace}/{pod}"
        try:
            opened = stream(
                CoreV1Api(client).connect_get_namespaced_pod_exec,
                pod,
                namespace,
                command=list(command),
                stdout=True,
                stderr=True,
                _preload_content=False,
            )
            opened.run_forever(timeout=timeout)
            said, complained = opened.read_stdout(timeout=1), opened.read_stderr(timeout=1)
            ended = None if opened.is_open() else opened.returncode
            opened.close()
        except self._failed as error:
            msg = f"{name} does not run {command[0]}: {error.reason}"
            raise OperationError(msg) from error
        if ended != 0:
            what = f"is still at it after {timeout:.0f} s" if ended is None else f"ended with {ended}"
            msg = f"{command[0]} in {name} {what}: {complained.strip()[-300:] or 'it said nothing'}"
            raise OperationError(msg)
        return str(said)

    def log(self, namespace: str, pod: str, *, silence: float) -> Iterator[str]:
        """Follow a pod's log line by line; end when the container ends or says nothing for `silence` seconds."""
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
        response = self._raw("GET", path, query={"follow": "true"}, timeout=silence)
        rest = b""
        try:
            if response.status >= 400:  # noqa: PLR2004 (HTTP)
                return
            for chunk in response.stream(4096, decode_content=True):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield line.decode(errors="replace")
        except (urllib3.exceptions.HTTPError, OSError):
            return
        finally:
            response.close()

    def _call(self, method: str, path: str, **request: Unpack[_Request]) -> Answer:
        response = self._raw(method, path, **request)
        return Answer(
            status=response.status,
            headers={key.lower(): value for key, value in response.headers.items()},
            text=response.data.decode(errors="replace"),
            content=response.data,
        )

    def _raw(self, method: str, path: str, **request: Unpack[_Request]) -> Any:
        query, body, timeout = request.get("query"), request.get("body"), request.get("timeout", 20)
        sent = {"Accept": "application/json", "Content-Type": "application/json", **request.get("headers", {})}
        self._client.update_params_for_auth(sent, [], ["BearerToken"])
        url = f"{self.server}{quote(path)}{f'?{urlencode(query)}' if query else ''}"
        try:
            return self._client.rest_client.pool_manager.request(
                method,
                url,
                body=body if body is None or isinstance(body, bytes) else json.dumps(body),
                headers=sent,
                timeout=urllib3.Timeout(connect=5, read=timeout),
                retries=False,
                preload_content=not path.endswith("/log"),
            )
        except urllib3.exceptions.ReadTimeoutError:
            return _Silent(timeout)
        except urllib3.exceptions.HTTPError as error:
            msg = f"the cluster at {self.server} does not answer: {error}"
            raise OperationError(msg, fix="mlops status") from error

    def _object(self, method: str, path: str, answer: Answer) -> dict[str, Any]:
        if not answer.good:
            try:
                reason = answer.json().get("message", answer.text)
            except ValueError:
                reason = answer.text
            msg = f"{method} {path}: {reason} (HTTP {answer.status})"
            raise OperationError(msg)
        found: dict[str, Any] = answer.json()
        return found


class _Silent:
    """Stands for the response that did not come in time."""

    status = 504
    headers: Mapping[str, str] = {}

    def __init__(self, seconds: float) -> None:
        self.data = f"no answer within {seconds:.0f} s".encode()

    def close(self) -> None:
        """Nothing was opened."""
