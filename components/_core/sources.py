"""Where tools and images come from: the official releases and registries, or builds from package registries alone."""

from __future__ import annotations

import os
from enum import StrEnum

from components._core import paths

__all__ = ["Source", "chosen", "remember"]


class Source(StrEnum):
    """One program, two sources."""

    UPSTREAM = "upstream"
    """Official Pulumi release and plugins; images from their registries."""

    REGISTRY_ONLY = "registry-only"
    """Everything built from Go modules, PyPI and Debian: where nothing else is reachable."""


def chosen() -> Source | None:
    """Return the source in use: `MLOPS_SOURCE`, else what `mlops toolchain install` found reachable and remembered.

    None before the first installation. Raises ValueError when the variable or the file holds another word.
    """
    word = os.environ.get("MLOPS_SOURCE", "").strip()
    if not word:
        file = paths.cache("source")
        word = file.read_text().strip() if file.exists() else ""
    return Source(word) if word else None


def remember(source: Source) -> None:
    """Write the choice down, so that every later command and program uses the same."""
    file = paths.cache("source")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{source}\n")
