"""Talk to the API server through the `kubernetes` client: discovery as needed, retries, watches."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops.plugins.kubernetes_provider.config import Settings
from mlops.plugins.kubernetes_provider.errors import ApiError, CancelledError, NoSuchKindError, UnreachableError
from mlops.plugins.kubernetes_provider.objects import Kind

if TYPE_CHECKING:
    from kubernetes.client.api_client import ApiClient

__all__ = ["APPLY", "JSON_PATCH", "MERGE_PATCH", "Client", "Resource", "Watch", "connect"]

APPLY = "application/apply-patch+yaml"
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"

_CONNECTIONS = 64
_CONNECT_TIMEOUT = 5.0
_TRIES = 6
_TRANSIENT = frozenset({429, 500, 502, 503, 504})
_NEVER_RETRIED = ("cannot be handled as", "does not support dry run")


@dataclass(frozen=True, slots=True)
class Resource:
    """Where objects of a kind are found."""

    kind: Kind
    plural: str
    namespaced: bool

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Return the URL path of a collection, an object or one of its subresources."""
        root = f"/apis/{self.kind.group}/{self.kind.version}" if self.kind.group else f"/api/{self.kind.version}"
        middle = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return "/".join(part for part in (f"{root}{middle}/{self.plural}", name, subresource) if part)


def connect(settings: Settings) -> ApiClient:
    """Return the API client that a provider's arguments describe."""
    from kubernetes.client.api_client import ApiClient
    from kubernetes.client.configuration import Configuration

    configuration = Configuration()
    configuration.connection_pool_maxsize = _CONNECTIONS
    configuration.retries = False  # retried here, with back-off and an ear for cancellation
    if settings.kubeconfig is None:
        from kubernetes.config import incluster_config

        incluster_config.load_incluster_config(client_configuration=configuration)
    else:
        from kubernetes.config import kube_config

        loader = kube_config.KubeConfigLoader(
            config_dict=_with_cluster(settings), active_context=settings.context or None
        )
        loader.load_and_set(configuration)
    return ApiClient(configuration=configuration)


def _with_cluster(settings: Settings) -> dict[str, Any]:
    """Return the kubeconfig with the active context pointing to the cluster argument, if there is one."""
    config = dict(settings.kubeconfig or {})
    if not settings.cluster:
        return config
    wanted = settings.context or config.get("current-context")
    config["contexts"] = [
        {**item, "context": {**item.get("context", {}), "cluster": settings.cluster}}
        if item.get("name") == wanted
        else item
        for item in config.get("contexts", [])
    ]
    return config


class Client:
    """One API server: connects on first use, remembers which kinds it serves, retries what is transient."""

    def __init__(
        self,
        settings: Settings,
        stop: threading.Event,
        connect: Callable[[Settings], ApiClient] = connect,
        base_delay: float = 0.25,
    ) -> None:
        self._settings = settings
        self._stop = stop
        self._connect = connect
        self._base_delay = base_delay
        self._lock = threading.Lock()
        self._api: ApiClient | None = None
        self._reachable: UnreachableError | bool = False
        self._served: dict[tuple[str, str], dict[str, Resource]] = {}

    def check(self) -> None:
        """Raise UnreachableError unless the API server answers; asked once."""
        with self._lock:
            if self._reachable is False:
                self._reachable = self._probe() or True
            if isinstance(self._reachable, UnreachableError):
                raise self._reachable

    @property
    def reachable(self) -> bool:
        """Say whether the API server answers."""
        try:
            self.check()
        except UnreachableError:
            return False
        return True

    def _probe(self) -> UnreachableError | None:
        if self._settings.unusable:
            return UnreachableError(self._settings.unusable)
        try:
            self.request("GET", "/version", tries=3)
        except UnreachableError as error:
            return error
        except ApiError:
            return None  # an answer, if not a friendly one: it will be told where it matters
        return None

    def _client(self) -> ApiClient:
        if self._api is None:
            try:
                self._api = self._connect(self._settings)
            except Exception as error:
                reason = f"unable to load Kubernetes client configuration from kubeconfig: {error}"
                raise UnreachableError(reason) from error
        return self._api

    def request(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, Any] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        tries: int = _TRIES,
        doubts: list[Exception] | None = None,
    ) -> Any:
        """Send one request and return the decoded answer; connection errors, 429 and 5xx are tried again.

        What made an attempt fail is added to `doubts`: the server may have acted on it nevertheless.
        """
        for attempt in range(tries):
            try:
                return self._send(method, path, query, body, content_type)
            except (ApiError, UnreachableError) as error:
                if attempt == tries - 1 or not self._transient(error):
                    raise
                if doubts is not None:
                    doubts.append(error)
            if self._stop.wait(self._base_delay * 2**attempt):
                raise CancelledError(path.rpartition("/")[2])
        raise AssertionError

    @staticmethod
    def _transient(error: ApiError | UnreachableError) -> bool:
        if isinstance(error, UnreachableError):
            return True
        if error.forbidden:  # a fresh namespace gets its default service account a moment later
            return "error looking up service account" in error.message
        return error.status in _TRANSIENT and not any(text in error.message for text in _NEVER_RETRIED)

    def _send(self, method: str, path: str, query: dict[str, Any] | None, body: Any, content_type: str) -> Any:
        answer = self._raw(method, path, query, body=body, content_type=content_type, timeout=self._settings.timeout)
        try:
            text = answer.data.decode()
        finally:
            answer.release_conn()
        return json.loads(text) if text.lstrip()[:1] in ("{", "[") else text

    def _raw(
        self,
        method: str,
        path: str,
        query: dict[str, Any] | None,
        *,
        body: Any = None,
        content_type: str = "application/json",
        timeout: float,
    ) -> Any:
        api = self._client()
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        headers = {"Accept": "application/json, */*", "Content-Type": content_type}
        try:
            return api.call_api(
                path,
                method,
                query_params=list((query or {}).items()),
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
                _preload_content=False,
                _request_timeout=(_CONNECT_TIMEOUT, timeout),
            )
        except ApiException as error:
            if not error.status:
                raise UnreachableError(str(error.reason)) from error
            raise _api_error(error.status, error.body) from error
        except (HTTPError, OSError) as error:
            raise UnreachableError(_cause(error)) from error

    def resource(self, kind: Kind, *, fresh: bool = False) -> Resource:
        """Return where a kind is served; raise NoSuchKindError where it is not."""
        key = (kind.group, kind.version)
        with self._lock:
            known = None if fresh else self._served.get(key)
        if known is None or kind.kind not in known:
            known = self._discover(kind)
            with self._lock:
                self._served[key] = known
        if kind.kind not in known:
            raise NoSuchKindError(kind.api_version, kind.kind)
        return known[kind.kind]

    def _discover(self, kind: Kind) -> dict[str, Resource]:
        path = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
        try:
            found = self.request("GET", path)
        except ApiError as error:
            if error.not_found:
                return {}
            raise
        return {
            item["kind"]: Resource(Kind(kind.group, kind.version, item["kind"]), item["name"], item["namespaced"])
            for item in found.get("resources", [])
            if "/" not in item["name"]
        }

    def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        """Return the live object."""
        found: dict[str, Any] = self.request("GET", resource.path(namespace, name))
        return found

    def find(self, resource: Resource, namespace: str, name: str) -> dict[str, Any] | None:
        """Return the live object, or None where there is none."""
        try:
            return self.get(resource, namespace, name)
        except ApiError as error:
            if error.not_found:
                return None
            raise

    def items(self, kind: Kind, namespace: str, **query: str) -> list[dict[str, Any]]:
        """Return the objects of a kind; nothing where they cannot be listed."""
        try:
            found = self.request("GET", self.resource(kind).path(namespace), query=query, tries=2)
        except (ApiError, NoSuchKindError, UnreachableError):
            return []
        items: list[dict[str, Any]] = found.get("items", [])
        return items

    def logs(self, namespace: str, pod: str, container: str, *, lines: int = 10) -> list[str]:
        """Return the last lines a container wrote; nothing where there are none."""
        pods = self.resource(Kind("", "v1", "Pod"))
        try:
            text = self.request(
                "GET",
                pods.path(namespace, pod, "log"),
                query={"container": container, "tailLines": lines},
                tries=1,
            )
        except (ApiError, UnreachableError):
            return []
        return (text if isinstance(text, str) else json.dumps(text)).splitlines()[-lines:]

    def watch(self, resource: Resource, live: dict[str, Any], seconds: float) -> Watch:
        """Return a running watch of one object, beginning after the state given."""
        meta = live["metadata"]
        query = {
            "watch": "true",
            "fieldSelector": f"metadata.name={meta['name']}",
            "resourceVersion": meta.get("resourceVersion", ""),
            "timeoutSeconds": max(1, int(seconds)),
        }
        path = resource.path(meta.get("namespace", ""))
        return Watch(self._raw("GET", path, query, timeout=seconds + 30))


class Watch:
    """The events of one object, read line by line; `close` ends the reading from any thread."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        buffer = b""
        with suppress(Exception):  # a broken stream ends the watch; whoever watches asks again
            for chunk in self._answer.stream(amt=None, decode_content=False):
                buffer += chunk
                *lines, buffer = buffer.split(b"\n")
                for line in lines:
                    if line:
                        event = json.loads(line)
                        yield event["type"], event["object"]

    def close(self) -> None:
        """Shut the connection down, so that a blocked reader wakes up."""
        with suppress(Exception):
            self._answer._connection.sock.shutdown(socket.SHUT_RDWR)  # noqa: SLF001 (urllib3 offers no other way)
        with suppress(Exception):
            self._answer.close()


def _api_error(status: int, body: Any) -> ApiError:
    text = body.decode() if isinstance(body, bytes) else str(body or "")
    with suppress(ValueError):
        parsed = json.loads(text)
        if isinstance(parsed, dict):
            return ApiError(status, parsed)
    return ApiError(status, text=text.strip()[:500])


def _cause(error: BaseException) -> str:
    reason = getattr(error, "reason", None)
    return str(reason or error)
