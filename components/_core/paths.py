"""Where things live. Nothing else in the project builds one of these paths by hand."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

__all__ = ["APPLICATION", "CHECKOUT", "cache", "pulumi_home", "state"]

APPLICATION = "oss-mlops-platform"
"""Name of the project: Pulumi project, cache folder, label value."""

CHECKOUT = Path(__file__).resolve().parents[2]
"""The folder that holds Pulumi.yaml. The project is always used from a checkout (editable install)."""


def cache(*parts: str) -> Path:
    """Return a path under the cache: what can be built again (tools, images, Go modules), shared by all checkouts.

    `MLOPS_CACHE` moves it; the default is `$XDG_CACHE_HOME/oss-mlops-platform`.
    """
    root = os.environ.get("MLOPS_CACHE") or platformdirs.user_cache_path(APPLICATION)
    return Path(root, *parts)


def state(*parts: str) -> Path:
    """Return a path under the state: what cannot be built again (Pulumi state, passphrase), shared by all checkouts.

    `MLOPS_STATE` moves it; the default is `$XDG_STATE_HOME/oss-mlops-platform`.
    """
    root = os.environ.get("MLOPS_STATE") or platformdirs.user_state_path(APPLICATION)
    return Path(root, *parts)


def pulumi_home() -> Path:
    """Return PULUMI_HOME, where the engine looks for provider plugins."""
    return cache("pulumi-home")
