"""Container images: build what nobody publishes or nobody can reach, load it where it is needed, list what is used."""

from __future__ import annotations

from mlops.images.build import Builder
from mlops.images.store import Store, Stored

__all__ = ["Builder", "Store", "Stored", "ensure"]


def ensure(names: list[str]) -> list[Stored]:
    """Build the named images where they are missing."""
    return Builder().ensure(names)
