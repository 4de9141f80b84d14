"""The engine's protocol, imported without the SDK around it."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

__all__ = ["skip_sdk"]


def skip_sdk() -> None:
    """Make `pulumi.runtime.proto` importable without running the SDK's own imports.

    They take over a second, at the start of every `pulumi` command, for classes that only programs need.
    Call it before the first import of a stub; it does nothing where the SDK is already loaded.
    """
    for name in ("pulumi", "pulumi.runtime", "pulumi.runtime.proto"):
        if name in sys.modules:
            continue
        spec = importlib.util.find_spec(name)
        if spec is None or spec.submodule_search_locations is None:
            return
        package = ModuleType(name)
        package.__path__ = list(spec.submodule_search_locations)
        package.__spec__ = spec
        sys.modules[name] = package
