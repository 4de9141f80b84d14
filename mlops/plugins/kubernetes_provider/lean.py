"""Import the generated stubs and the Kubernetes client without the packages around them.

`import pulumi` loads the whole SDK and `import kubernetes` seven hundred generated models: two to three seconds of
every run, for code this plugin never calls. Registering the parent packages without executing their `__init__`
leaves the submodules we do use. Only the plugin's own process may do this (`__main__`): elsewhere the half-empty
packages would surprise other code, and an ordinary import works just as well.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys

__all__ = ["install"]

_PULUMI = ("pulumi", "pulumi.runtime", "pulumi.runtime.proto")
_KUBERNETES = ("kubernetes", "kubernetes.client", "kubernetes.client.models", "kubernetes.config")


def install() -> None:
    """Register skeletons of the heavy packages, unless they are imported already."""
    for name in _PULUMI:
        _skeleton(name)
    if "kubernetes" in sys.modules:
        return
    for name in _KUBERNETES:
        _skeleton(name)
    sys.modules["kubernetes.client"].__getattr__ = _client_attribute  # type: ignore[method-assign]


def _skeleton(name: str) -> None:
    if name in sys.modules:
        return
    spec = importlib.util.find_spec(name)
    if spec is None:
        raise ModuleNotFoundError(name=name)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, module)


def _client_attribute(name: str) -> object:
    """Load the two names of `kubernetes.client` that its own submodules ask for."""
    homes = {"ApiClient": "kubernetes.client.api_client", "Configuration": "kubernetes.client.configuration"}
    if name not in homes:
        raise AttributeError(name)
    return getattr(importlib.import_module(homes[name]), name)
