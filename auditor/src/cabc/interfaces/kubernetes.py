"""`kubernetes`: a field of one named object.

The Kubernetes client only reads the kubeconfig or the Pod's service account; the request itself goes through the
guarded client, so that the token reaches the API server and nobody else.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from cabc.document.interfaces import KubernetesInterface
from cabc.interfaces.base import ExtractError, Retrieved, RetrieveError, SubjectFacts, Value
from cabc.interfaces.connections import HttpConnection, KubernetesConnection
from cabc.interfaces.extraction import finish, queried
from cabc.interfaces.guarded import GuardedPlugin, Identity, StatusError
from cabc.interfaces.parameters import facts, fill_path
from cabc.interfaces.structured import parse_json
from cabc.text import one_line

__all__ = ["KubernetesPlugin", "access"]

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_VERSION = re.compile(r"(?:[a-z0-9.-]{1,200}/)?v[0-9]+(?:(?:alpha|beta)[0-9]+)?")
_NEVER = frozenset({"secrets", "serviceaccounts"})


class KubernetesPlugin(GuardedPlugin):
    """Get one object, of a resource that the operator allows."""

    kind: ClassVar[str] = "kubernetes"
    spec: ClassVar[type[KubernetesInterface]] = KubernetesInterface
    connection: ClassVar[type[KubernetesConnection]] = KubernetesConnection

    async def retrieve(
        self, spec: KubernetesInterface, connection: KubernetesConnection, subject: SubjectFacts
    ) -> Retrieved:
        path = _path(spec, connection, subject)
        http, identity = await asyncio.to_thread(access, connection)
        try:
            answer = await self._client.get(http, path, identity=identity)
        except StatusError as error:
            if error.status == 404:  # noqa: PLR2004 (not found)
                msg = f"there is no object {path.rpartition('/')[2]} among {spec.resource}"
                raise RetrieveError(msg) from error
            raise
        return Retrieved(_lean(answer.body), "application/json", f"GET {path} of connection {spec.connection}")

    def extract(self, spec: KubernetesInterface, body: bytes, media_type: str, details: Mapping[str, str]) -> Value:  # noqa: ARG002 (protocol)
        return finish(queried(parse_json(body), _rooted(spec.jsonpath)), None, spec.cast, several=True)


def _rooted(path: str) -> str:
    """Return the JSONPath with its root: `kubectl` users write `.status.url`."""
    return f"${path}" if path.startswith((".", "[")) else path


def _path(spec: KubernetesInterface, connection: KubernetesConnection, subject: SubjectFacts) -> str:
    known = facts(subject)
    namespace = fill_path(spec.namespace, subject) if spec.namespace else known.get("subject.namespace")
    name = fill_path(spec.name, subject) if spec.name else known.get("subject.serviceName")
    resource = spec.resource.lower()
    if name is None:
        msg = "the object has no name: give `name`, or `inferenceService` for the subject"
        raise RetrieveError(msg)
    if resource in _NEVER or resource not in connection.resources:
        msg = f"connection {spec.connection} does not allow to read {one_line(resource)}"
        raise RetrieveError(msg)
    if connection.namespaces and namespace not in connection.namespaces:
        msg = f"connection {spec.connection} does not allow to read in namespace {one_line(str(namespace))}"
        raise RetrieveError(msg)
    parts = [part for part in (namespace, resource, name) if part is not None]
    if not all(_NAME.fullmatch(part) and ".." not in part for part in parts) or not _VERSION.fullmatch(
        spec.api_version
    ):
        msg = "apiVersion, namespace, resource or name is no name of Kubernetes"
        raise RetrieveError(msg)
    root = f"/apis/{spec.api_version}" if "/" in spec.api_version else f"/api/{spec.api_version}"
    return "/".join([root, *(["namespaces"] if namespace else []), *parts])


def access(connection: KubernetesConnection) -> tuple[HttpConnection, Identity]:
    """Return the API server's address and the operator's credentials for it."""
    try:
        from kubernetes import client, config
    except ImportError as error:
        msg = "reading a cluster needs the extra `kubernetes` (pip install 'cabc[kubernetes]')"
        raise RetrieveError(msg) from error
    access = client.Configuration()
    try:
        if connection.in_cluster:
            config.load_incluster_config(client_configuration=access)
        else:
            config.load_kube_config(
                connection.kubeconfig, connection.context, client_configuration=access, persist_config=False
            )
    except (config.ConfigException, OSError) as error:
        msg = f"the cluster's configuration cannot be read: {one_line(str(error))}"
        raise RetrieveError(msg) from error
    if not access.verify_ssl or not str(access.host).startswith("https://"):
        msg = "the cluster's configuration does not verify the API server; that is refused"
        raise RetrieveError(msg)
    # The client changed the name of the key in 36; its own settings give the header whatever the version.
    authorization = access.auth_settings().get("BearerToken", {}).get("value")
    header = ("Authorization", authorization, authorization.rpartition(" ")[2]) if authorization else None
    http = HttpConnection.model_validate(
        {
            "kind": "kubernetes",
            "url": access.host,
            "network": connection.network,
            "ca_file": access.ssl_ca_cert,
            "timeout": connection.timeout,
            "max_bytes": connection.max_bytes,
        }
    )
    return http, Identity(header, access.cert_file, access.key_file, getattr(access, "tls_server_name", None))


def _lean(body: bytes) -> bytes:
    """Return the object without the bookkeeping of field managers, which repeats it."""
    try:
        document: Any = parse_json(body)
    except ExtractError as error:
        raise RetrieveError(str(error)) from error
    if isinstance(document, dict) and isinstance(document.get("metadata"), dict):
        document["metadata"].pop("managedFields", None)
        notes = document["metadata"].get("annotations")
        if isinstance(notes, dict):
            notes.pop("kubectl.kubernetes.io/last-applied-configuration", None)
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
