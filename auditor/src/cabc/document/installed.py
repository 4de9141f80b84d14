"""All interfaces that a document may name: those of the core and of installed plugins.

Apart from `interfaces`, which plugins import: one that comes first must not be looked for while it is half loaded.
"""

from __future__ import annotations

from functools import reduce
from importlib.metadata import entry_points
from operator import or_
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from cabc.document.interfaces import CORE, InterfaceSpec

__all__ = ["Interface"]


def _installed() -> tuple[type[InterfaceSpec], ...]:
    """Return the specs of interface plugins: entry points give the plugin class, whose `spec` is the model."""
    return tuple(point.load().spec for point in entry_points(group="cabc.interfaces"))


if TYPE_CHECKING:
    Interface = InterfaceSpec
else:
    Interface = Annotated[reduce(or_, (*CORE, *_installed())), Field(discriminator="kind")]
"""Any interface of the core or of an installed plugin, told apart by `kind`."""
