"""The provider's own arguments: what is understood, what is refused, which cluster they mean."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mlops.plugins.kubernetes_provider.errors import RefusedError
from mlops.plugins.kubernetes_provider.wire import Unknown

__all__ = [
    "Kubeconfig",
    "KubeconfigError",
    "Settings",
    "check",
    "difference",
    "load_kubeconfig",
    "server_of",
    "settings",
]

REFUSED = ("renderYamlToDirectory",)
_WHERE = ("kubeconfig", "context", "cluster")

Kubeconfig = dict[str, Any]


class KubeconfigError(ValueError):
    """The kubeconfig cannot be read or names no cluster."""


@dataclass(frozen=True)
class Settings:
    """What `pulumi:providers:kubernetes` was configured with."""

    kubeconfig: Kubeconfig | None = None
    """The parsed kubeconfig; None means the service account of the pod we run in."""
    unusable: str = ""
    """Why no cluster can be reached, known before trying."""
    context: str = ""
    cluster: str = ""
    namespace: str = "default"
    """The namespace of objects whose program names none."""
    delete_unreachable: bool = False
    skip_update_unreachable: bool = False
    mutable_config_maps: bool = False
    mutable_secrets: bool = False
    server_side_apply: bool = True
    patch_force: bool = False
    upsert: bool = False
    timeout: float = 32.0
    """Seconds a single request may take."""


def _flag(variables: dict[str, str], name: str, variable: str, *, default: bool = False) -> bool:
    value = variables.get(name, os.environ.get(variable, ""))
    return value == "true" if value else default


def settings(variables: dict[str, str]) -> Settings:
    """Read the arguments as Configure sends them: text, under their names."""
    kubeconfig: Kubeconfig | None = None
    unusable = ""
    try:
        kubeconfig = load_kubeconfig(variables.get("kubeconfig", ""))
        active = _active(kubeconfig, variables.get("context", ""), variables.get("cluster", "")) if kubeconfig else None
    except KubeconfigError as error:
        unusable, active = f"failed to parse kubeconfig data in `kubernetes:config:kubeconfig`- {error}", None
    namespace = (active or {}).get("namespace") or "default"
    client = json.loads(variables.get("kubeClientSettings") or "{}")
    return Settings(
        kubeconfig=kubeconfig,
        unusable=unusable,
        context=variables.get("context", ""),
        cluster=variables.get("cluster", ""),
        namespace=variables.get("namespace") or namespace,
        delete_unreachable=_flag(variables, "deleteUnreachable", "PULUMI_K8S_DELETE_UNREACHABLE"),
        skip_update_unreachable=_flag(variables, "skipUpdateUnreachable", "PULUMI_K8S_SKIP_UPDATE_UNREACHABLE"),
        mutable_config_maps=_flag(variables, "enableConfigMapMutable", "PULUMI_K8S_ENABLE_CONFIGMAP_MUTABLE"),
        mutable_secrets=_flag(variables, "enableSecretMutable", "PULUMI_K8S_ENABLE_SECRET_MUTABLE"),
        server_side_apply=_flag(
            variables, "enableServerSideApply", "PULUMI_K8S_ENABLE_SERVER_SIDE_APPLY", default=True
        ),
        patch_force=_flag(variables, "enablePatchForce", "PULUMI_K8S_ENABLE_PATCH_FORCE"),
        upsert=_flag(variables, "upsertExistingObjects", "PULUMI_K8S_UPSERT_EXISTING_OBJECTS"),
        timeout=float(client.get("timeout") or os.environ.get("PULUMI_K8S_CLIENT_TIMEOUT") or 32),
    )


def load_kubeconfig(given: str) -> Kubeconfig | None:
    """Parse a kubeconfig given as content or path; without one take `$KUBECONFIG`, then `~/.kube/config`.

    None means that there is no file but a service account: we run in a pod.
    """
    if given:
        return _parse(_contents(given))
    paths = [Path(part).expanduser() for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    found = [path for path in paths or [Path("~/.kube/config").expanduser()] if path.is_file()]
    if found:
        return _merged([_parse(path.read_text()) for path in found])
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        return None
    raise KubeconfigError("no kubeconfig was given, and neither $KUBECONFIG nor ~/.kube/config is there")


def _contents(given: str) -> str:
    if "\n" in given or given.lstrip().startswith("{"):
        return given
    try:
        path = Path(given).expanduser()
        return path.read_text() if path.is_file() else given
    except OSError:
        return given


def _parse(text: str) -> Kubeconfig:
    try:
        parsed = json.loads(text) if text.lstrip().startswith("{") else _yaml(text)
    except (yaml.YAMLError, json.JSONDecodeError) as error:
        raise KubeconfigError(str(error).splitlines()[0]) from error
    if not isinstance(parsed, dict):
        raise KubeconfigError("neither the path of a file nor the content of a kubeconfig")
    return parsed


def _yaml(text: str) -> Any:
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 (both are safe loaders)


def _merged(configs: list[Kubeconfig]) -> Kubeconfig:
    """Merge files as kubectl does: the first one to name something wins."""
    result = dict(configs[0])
    for other in configs[1:]:
        result["current-context"] = result.get("current-context") or other.get("current-context")
        for section in ("clusters", "contexts", "users"):
            names = {item.get("name") for item in result.get(section) or []}
            result[section] = [
                *(result.get(section) or []),
                *(item for item in other.get(section) or [] if item.get("name") not in names),
            ]
    return result


def _named(config: Kubeconfig, section: str, name: str, key: str) -> dict[str, Any] | None:
    for item in config.get(section) or []:
        if item.get("name") == name:
            return item.get(key) or {}
    return None


def _active(config: Kubeconfig, context: str, cluster: str) -> dict[str, Any]:
    """Return the active context with its cluster's settings under `settings`."""
    wanted = context or str(config.get("current-context") or "")
    found = _named(config, "contexts", wanted, "context")
    if found is None:
        message = f'context "{wanted}" does not exist' if wanted else "no current context is set"
        raise KubeconfigError(message)
    name = cluster or str(found.get("cluster") or "")
    server = _named(config, "clusters", name, "cluster")
    if server is None:
        message = f'cluster "{name}" does not exist'
        raise KubeconfigError(message)
    return {**found, "cluster": name, "settings": server}


def server_of(settings: Settings) -> str:
    """Return the address of the API server, or an empty string where it cannot be told."""
    if settings.kubeconfig is None:
        return "in-cluster"
    try:
        active = _active(settings.kubeconfig, settings.context, settings.cluster)
    except KubeconfigError:
        return ""
    return str(active["settings"].get("server", ""))


def check(news: dict[str, Any], *, default_provider: bool) -> list[tuple[str, str]]:
    """Return (argument, reason) of everything wrong with the provider's arguments."""
    failures = [(name, str(RefusedError("argument", name))) for name in REFUSED if news.get(name)]
    return failures + _strict(news, default_provider=default_provider)


def _strict(news: dict[str, Any], *, default_provider: bool) -> list[tuple[str, str]]:
    ambient = json.loads(os.environ.get("PULUMI_CONFIG") or "{}")
    if str(news.get("strictMode", ambient.get("strictMode", ""))).lower() != "true":
        return []
    failures = [("", "strict mode prohibits default provider")] if default_provider else []
    return failures + [
        (name, f'strict mode requires Provider "{name}" argument')
        for name in ("kubeconfig", "context")
        if not news.get(name)
    ]


def difference(olds: dict[str, Any], news: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Return (changed, replacing) arguments: another active cluster replaces, a new credential updates.

    `clusterIdentifier` decides alone where both sides have it: the same one never replaces, another one always does.
    """
    changed = sorted(name for name in {*olds, *news} if olds.get(name) != news.get(name))
    before, after = olds.get("clusterIdentifier"), news.get("clusterIdentifier")
    if before and after and before == after:
        return changed, []
    replacing = ["clusterIdentifier"] if before and after else []
    unknown = [name for name in _WHERE if isinstance(news.get(name), Unknown)]
    if unknown:
        return changed, [*replacing, *unknown]
    old, new = _cluster_of(olds), _cluster_of(news)
    if old is not None and new is not None and old != new:
        replacing += [name for name in _WHERE if name in changed]
    return changed, replacing


def _cluster_of(arguments: dict[str, Any]) -> Any:
    """Return the settings of the cluster that the arguments select, or None where that cannot be told."""
    given = arguments.get("kubeconfig")
    try:
        config = given if isinstance(given, dict) else _parse(_contents(str(given))) if given else None
        if config is None:
            return None
        return _active(config, str(arguments.get("context") or ""), str(arguments.get("cluster") or ""))["settings"]
    except KubeconfigError:
        return None
