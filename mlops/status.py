"""What runs where, and how to open it, read from the stack's cluster."""

from __future__ import annotations

import json
import re
import socket
import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from components._core import paths
from mlops import console, engine
from mlops.errors import OperationError

__all__ = ["Model", "Report", "Workload", "read", "show"]

_SECONDS = 15
"""How long the cluster gets for one answer."""


_WIDE = 160
"""Columns of a table in a file or a pipe."""


@dataclass(frozen=True)
class Workload:
    """Something that runs."""

    component: str
    namespace: str
    kind: str
    name: str
    ready: int
    wanted: int
    image: str
    memory: int | None
    """Bytes of the working set; None where the node does not say."""


@dataclass(frozen=True)
class Model:
    """A served model."""

    namespace: str
    name: str
    model: str | None
    version: str | None
    run: str | None
    ready: bool
    url: str | None


@dataclass(frozen=True)
class Report:
    """The platform of one stack."""

    stack: str
    workloads: tuple[Workload, ...]
    models: tuple[Model, ...]
    open: Mapping[str, str]
    """The line that opens a component on this machine, by component."""

    @property
    def ready(self) -> bool:
        """Tell whether everything that should run does."""
        return all(each.ready >= each.wanted for each in self.workloads) and all(each.ready for each in self.models)

    def as_json(self) -> dict[str, Any]:
        """Return the report for machines."""
        return {
            "stack": self.stack,
            "ready": self.ready,
            "workloads": [asdict(each) for each in self.workloads],
            "models": [asdict(each) for each in self.models],
            "open": dict(self.open),
        }


def read(stack: str) -> Report:
    """Ask the stack's cluster. Raises OperationError when there is none or it does not answer."""
    import urllib3
    from kubernetes import client, config
    from kubernetes.client.exceptions import ApiException

    found = engine.Stack(stack)
    settings = client.Configuration()
    config.kube_config.KubeConfigLoader(yaml.safe_load(found.kubeconfig())).load_and_set(settings)
    settings.retries = False
    api = client.ApiClient(settings)
    core, apps, custom = client.CoreV1Api(api), client.AppsV1Api(api), client.CustomObjectsApi(api)
    lists = {
        "Deployment": apps.list_deployment_for_all_namespaces,
        "StatefulSet": apps.list_stateful_set_for_all_namespaces,
        "DaemonSet": apps.list_daemon_set_for_all_namespaces,
    }
    try:
        namespaces = _items(core.list_namespace, label_selector=f"app.kubernetes.io/part-of={paths.APPLICATION}")
        names = {each["metadata"]["name"]: each["metadata"].get("labels", {}) for each in namespaces}
        memory = _memory(core, ApiException)
        workloads = [
            _workload(kind, each, names, memory)
            for kind, ask in lists.items()
            for each in _items(ask)
            if each["metadata"]["namespace"] in names
        ]
        try:
            served = custom.list_cluster_custom_object(
                "serving.kserve.io", "v1beta1", "inferenceservices", _request_timeout=_SECONDS
            )
            models = [_model(each) for each in served["items"]]
        except ApiException as error:
            if error.status != HTTPStatus.NOT_FOUND:  # the kind is unknown: nothing is served
                raise
            models = []
    except (urllib3.exceptions.HTTPError, ApiException, OSError) as error:
        msg = f"the cluster of stack {stack} at {settings.host} does not answer ({type(error).__name__})"
        raise OperationError(msg, fix=f"mlops doctor --stack {stack}, then mlops up --stack {stack}") from error
    ordered = sorted(workloads, key=lambda each: (each.component, each.namespace, each.name))
    return Report(stack, tuple(ordered), tuple(models), _openings(found.outputs()))


def show(report: Report) -> None:
    """Print the report as tables."""
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for title in ("component", "namespace", "workload", "ready", "image", "memory"):
        table.add_column(title, no_wrap=title != "image", justify="right" if title == "memory" else "left")
    for each in report.workloads:
        mark = f"[green]{console.OK}[/]" if each.ready >= each.wanted else f"[red]{console.FAILED}[/]"
        kind = each.kind.lower()
        memory = f"{each.memory / 1024**2:.0f} MiB" if each.memory is not None else "-"
        ready = f"{mark} {each.ready}/{each.wanted}"
        table.add_row(each.component, each.namespace, f"{kind}/{each.name}", ready, each.image, memory)
    _print(table)
    if report.models:
        _show_models(report.models)
    if report.open:
        console.out.print("\n[bold]open[/]")
        width = max(map(len, report.open))
        for component, line in report.open.items():
            console.out.print(f"  {component:<{width}}  {line}", markup=False)


def _show_models(models: Iterable[Model]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for title in ("served", "namespace", "model", "version", "run", "ready"):
        table.add_column(title, no_wrap=True)
    for each in models:
        mark = f"[green]{console.OK}[/]" if each.ready else f"[red]{console.FAILED}[/]"
        table.add_row(each.name, each.namespace, each.model or "-", each.version or "-", (each.run or "-")[:12], mark)
    console.out.print()
    _print(table)


def _print(table: Table) -> None:
    """Print a table whole: what is not a terminal has no width to keep to."""
    out = console.out if console.out.is_terminal else Console(file=console.out.file, width=_WIDE)
    out.print(table)


def _items(ask: Callable[..., Any], *arguments: str, **options: str) -> list[dict[str, Any]]:
    """Return the objects of a list as they are on the wire."""
    answer = ask(*arguments, **options, _request_timeout=_SECONDS, _preload_content=False)
    found: list[dict[str, Any]] = json.loads(answer.data)["items"]
    return found


def _memory(core: Any, refused: type[Exception]) -> dict[tuple[str, str], int]:
    """Return the working set of every pod, from the nodes themselves: no metrics server is needed."""
    found: dict[tuple[str, str], int] = {}
    for node in _items(core.list_node):
        try:
            answer = core.connect_get_node_proxy_with_path(
                node["metadata"]["name"], "stats/summary", _request_timeout=_SECONDS, _preload_content=False
            )
        except refused:
            continue
        for pod in json.loads(answer.data).get("pods") or []:
            used = pod.get("memory", {}).get("workingSetBytes")
            if used is not None:
                found[pod["podRef"]["namespace"], pod["podRef"]["name"]] = used
    return found


def _workload(
    kind: str,
    live: Mapping[str, Any],
    namespaces: Mapping[str, Mapping[str, str]],
    memory: Mapping[tuple[str, str], int],
) -> Workload:
    metadata, spec, status = live["metadata"], live["spec"], live.get("status", {})
    namespace, name = metadata["namespace"], metadata["name"]
    daemon = kind == "DaemonSet"
    # The names of a workload's pods begin with its own; a Deployment's have the hash of a ReplicaSet in between.
    pattern = re.compile(rf"{re.escape(name)}-" + (r"[a-z0-9]+-[a-z0-9]{5}" if kind == "Deployment" else r"[a-z0-9]+"))
    used = [value for (where, pod), value in memory.items() if where == namespace and pattern.fullmatch(pod)]
    return Workload(
        component=namespaces[namespace].get("app.kubernetes.io/name", namespace),
        namespace=namespace,
        kind=kind,
        name=name,
        ready=status.get("numberReady" if daemon else "readyReplicas") or 0,
        wanted=status.get("desiredNumberScheduled", 0) if daemon else spec.get("replicas", 1),
        image=_short(spec["template"]["spec"]["containers"][0]["image"]),
        memory=sum(used) if used else None,
    )


def _model(live: Mapping[str, Any]) -> Model:
    metadata, status = live["metadata"], live.get("status", {})
    noted = {key.rpartition("/")[2]: value for key, value in (metadata.get("annotations") or {}).items()}
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions", []))
    return Model(
        namespace=metadata["namespace"],
        name=metadata["name"],
        model=noted.get("model-name"),
        version=noted.get("model-version"),
        run=noted.get("run-id"),
        ready=ready,
        url=status.get("url"),
    )


def _openings(outputs: Mapping[str, Any]) -> dict[str, str]:
    """Return a line for every component that tells a URL inside the cluster."""
    found: dict[str, str] = {}
    taken: set[int] = set()
    for component, told in outputs.items():
        for name, value in told.items() if isinstance(told, Mapping) else ():
            if isinstance(value, str) and (line := _forward(value, taken)):
                part = name.removesuffix("Url")
                found[component if part in {"url", "endpoint", component} else f"{component} {part}"] = line
    return found


def _forward(url: str, taken: set[int]) -> str | None:
    parts = urllib.parse.urlsplit(url)
    host = (parts.hostname or "").split(".")
    if parts.scheme not in {"http", "https"} or len(host) < 3 or host[2] != "svc":  # noqa: PLR2004 (service.namespace.svc)
        return None
    remote = parts.port or (443 if parts.scheme == "https" else 80)
    local = _free_port(remote, taken)
    taken.add(local)
    target = f"kubectl port-forward -n {host[1]} service/{host[0]} {local}:{remote}"
    return f"{parts.scheme}://localhost:{local}{parts.path}  after  {target}"


def _free_port(wanted: int, taken: set[int]) -> int:
    """Return the port itself when it is free here, else one near it."""
    first = wanted if wanted >= 1024 else wanted + 8000  # noqa: PLR2004 (below, only root may listen)
    for port in range(first, first + 100):
        if port in taken:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    return first


def _short(image: str) -> str:
    """Return an image without its registry."""
    return image.partition("@")[0].rpartition("/")[2]
