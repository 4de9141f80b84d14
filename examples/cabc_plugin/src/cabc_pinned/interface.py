"""`requirements`: the version that a requirements file pins for a package."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import ClassVar, Literal

from cabc.document.base import Slug
from cabc.document.interfaces import InterfaceSpec
from cabc.interfaces.base import ExtractError, Retrieved, SubjectFacts, Value
from cabc.interfaces.beneath import read_beneath
from cabc.interfaces.connections import Connection, FilePath
from cabc.interfaces.parameters import fill_path

__all__ = ["RequirementsConnection", "RequirementsInterface", "RequirementsPlugin"]


class RequirementsInterface(InterfaceSpec):
    """The version that a requirements file pins."""

    kind: Literal["requirements"]
    connection: Slug
    path: str
    """Requirements file below the connection's folder."""
    package: str
    """Name of the package, as in the file or normalized."""


class RequirementsConnection(Connection):
    """A folder with requirements files."""

    kind: Literal["requirements"]
    root: FilePath


class RequirementsPlugin:
    """Read the file beneath the folder; find the one line that pins the package with `==`."""

    kind: ClassVar[str] = "requirements"
    spec: ClassVar[type[RequirementsInterface]] = RequirementsInterface
    connection: ClassVar[type[RequirementsConnection]] = RequirementsConnection

    async def retrieve(
        self, spec: RequirementsInterface, connection: RequirementsConnection, subject: SubjectFacts
    ) -> Retrieved:
        path = fill_path(spec.path, subject)
        body = await asyncio.to_thread(read_beneath, connection.root, path, connection.max_bytes)
        return Retrieved(body, "text/plain", f"{spec.package} in {path} of connection {spec.connection}")

    def extract(self, spec: RequirementsInterface, body: bytes, media_type: str, details: Mapping[str, str]) -> Value:
        del media_type, details
        pinned = {
            name: version
            for line in body.decode(errors="replace").splitlines()
            for name, sign, version in [line.partition("#")[0].rstrip("\\ ").partition("==")]
            if sign
        }
        found = [version.split()[0] for name, version in pinned.items() if _plain(name) == _plain(spec.package)]
        if len(found) != 1:
            message = f"{spec.package} is pinned {len(found)} times; exactly once is wanted"
            raise ExtractError(message)
        return found[0]

    async def close(self) -> None:
        """Hold nothing."""


def _plain(name: str) -> str:
    return name.partition("[")[0].strip().lower().replace("_", "-").replace(".", "-")
