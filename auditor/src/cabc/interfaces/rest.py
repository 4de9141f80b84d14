"""`rest`: an HTTP endpoint below the connection's base address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import urlencode

from cabc.document.interfaces import RestInterface
from cabc.interfaces.base import Retrieved, RetrieveError, SubjectFacts, Value
from cabc.interfaces.connections import RestConnection
from cabc.interfaces.extraction import extract
from cabc.interfaces.guarded import TEXT, GuardedPlugin
from cabc.interfaces.parameters import fill, fill_path

__all__ = ["RestPlugin"]


class RestPlugin(GuardedPlugin):
    """Ask with GET; take JSON, YAML or text."""

    kind: ClassVar[str] = "rest"
    spec: ClassVar[type[RestInterface]] = RestInterface
    connection: ClassVar[type[RestConnection]] = RestConnection

    async def retrieve(self, spec: RestInterface, connection: RestConnection, subject: SubjectFacts) -> Retrieved:
        path = fill_path(spec.path, subject)
        if not any(path == allowed or path.startswith(f"{allowed.rstrip('/')}/") for allowed in connection.paths):
            msg = f"the path {path} is not among those that connection {spec.connection} allows"
            raise RetrieveError(msg)
        query = {key: fill(value, subject) for key, value in spec.query.items()}
        answer = await self._client.get(connection, path, query=query, accept=TEXT)
        asked = f"GET {path}{'?' + urlencode(query) if query else ''} of connection {spec.connection}"
        return Retrieved(answer.body, answer.media_type, asked)

    def extract(self, spec: RestInterface, body: bytes, media_type: str, details: Mapping[str, str]) -> Value:  # noqa: ARG002 (protocol)
        return extract(spec, body, media_type)
