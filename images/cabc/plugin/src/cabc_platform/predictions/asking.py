"""The way of a trace from inside: the operator's connections, with their credentials and limits, and the own record."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import quote

from cabc.errors import CabcError
from cabc.interfaces.base import Connection, ExtractError, RetrieveError
from cabc.interfaces.connections import HttpConnection
from cabc.interfaces.guarded import ANY, GuardedClient, StatusError, join
from cabc.interfaces.structured import parse_json
from cabc.record.archive import export
from cabc.record.database import DatabaseRecord
from cabc.record.reading import Reader
from cabc.record.types import Entry, Head
from cabc.service.state import State
from sqlalchemy.exc import SQLAlchemyError

from cabc_platform.documents import Document
from cabc_platform.predictions.bounds import ANSWER_BYTES, EXCERPT_BYTES, RECORD_BYTES, Deadline
from cabc_platform.trace.errors import TraceError
from cabc_platform.trace.record import KINDS

__all__ = ["Connected", "Excerpt", "archive", "connection_of"]

C = TypeVar("C", bound=Connection)
T = TypeVar("T")

NOT_FOUND = 404

ENVELOPE = 600
"""Bytes of an entry without what it says, about."""


def connection_of(connections: Mapping[str, Connection], name: str | None, kind: type[C]) -> C | None:
    """Return the connection that the settings name, None where they name none."""
    if name is None:
        return None
    found = connections.get(name)
    if not isinstance(found, kind):
        msg = f"the settings of these pages name the connection {name}, which is not there or of another kind"
        raise CabcError(msg, fix="Name one of connections.yaml.")
    return found


class Connected:
    """Services behind connections, asked one after the other from one thread. Close it."""

    def __init__(self, connections: Iterable[HttpConnection | None], deadline: Deadline) -> None:
        self._connections = {each.url: each for each in connections if each is not None}
        self._deadline = deadline
        self._loop = asyncio.Runner()
        self._client = GuardedClient()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._loop:
            self._loop.run(self._client.close())

    def ask(self, url: str, path: str, *, query: Mapping[str, str] | None = None) -> Any:
        """Return what a service says in JSON, None where it has nothing. Raises TraceError for all else."""
        connection, place = self._connections[url], quote(path)
        try:
            join(connection.url, place)
        except RetrieveError:
            return None  # no request that could be sent leads there
        try:
            with _told():
                answer = self._run(self._client.get(connection, place, query=query, limit=ANSWER_BYTES))
                return parse_json(answer.body)
        except _NothingError:
            return None

    def fetch(self, url: str, path: str, take: Callable[[bytes], object]) -> None:
        """Give the parts of a file to `take`, as they come. Raises TraceError."""
        connection = self._connections[url]

        async def feed() -> None:
            opened = self._client.open(connection, quote(path), accept=ANY, seconds=self._deadline.left())
            async with opened as (_, chunks):
                async for chunk in chunks:
                    take(chunk)

        with _told():
            self._run(feed())

    def evidence(self, connection: Connection | None) -> list[Document]:
        """Return the documents of the infrastructure in their order. Raises TraceError."""
        # Not before there is a document model: that is made with the interfaces of plugins, this one included.
        from cabc_platform.chain import read
        from cabc_platform.infrastructure import InfrastructureConnection, InfrastructurePlugin

        if not isinstance(connection, InfrastructureConnection):
            raise TraceError("the settings name no evidence of the infrastructure")
        with _told():
            return read(self._run(InfrastructurePlugin(self._client).texts(connection)))

    def _run(self, asking: Coroutine[Any, Any, T]) -> T:
        try:
            left = self._deadline.left()
        except TraceError:
            asking.close()
            raise
        return self._loop.run(asyncio.wait_for(asking, left))


class _NothingError(TraceError):
    """The service has nothing at this address."""


@contextmanager
def _told() -> Iterator[None]:
    """Tell what goes wrong on the way in the words of a trace."""
    try:
        yield
    except StatusError as error:
        kind = _NothingError if error.status == NOT_FOUND else TraceError
        raise kind(str(error)) from error
    except (RetrieveError, ExtractError) as error:
        raise TraceError(str(error)) from error
    except TimeoutError as error:
        raise TraceError("no answer in the time that a trace may take") from error


class Excerpt(Reader):
    """A record as far as one archive needs it, and no more than a process can carry.

    What a trace judges is one chain and its heads, and of most entries only that they are there: their hash is over the
    digest of what they say. The whole subject, with its evidence, is for who exports it.
    """

    def __init__(
        self, record: Reader, subject: str, deadline: Deadline, *, whole: bool, most: int | None = None
    ) -> None:
        super().__init__(record.engine)
        self._chain = f"assess:{subject}"
        self._deadline = deadline
        self._whole = whole
        self._most = self._left = most or (RECORD_BYTES if whole else EXCERPT_BYTES)

    def chains(self) -> list[str]:
        """Return the names of the chains that are wanted."""
        return [chain for chain in super().chains() if self._whole or chain == self._chain]

    def entries(self, chain: str, *, after: int = 0) -> Iterable[Entry]:
        """Give the entries while they are not too many."""
        for entry in super().entries(chain, after=after):
            told = self._whole or entry.kind in KINDS
            self._count(ENVELOPE + len(entry.body or "") * told)
            yield entry if told else entry.model_copy(update={"body": None})

    def heads(self, chain: str) -> list[Head]:
        """Return the signed heads of a chain."""
        self._count(0)
        return super().heads(chain)

    def evidence_body(self, digest: str) -> bytes | None:
        """Return collected bytes; none where they are not wanted."""
        body = super().evidence_body(digest) if self._whole else None
        self._count(len(body or b""))
        return body

    def _count(self, size: int) -> None:
        self._deadline.left()
        self._left -= size
        if self._left < 0:
            msg = f"the record of this subject has more than {self._most >> 20} MiB; export it with `mlops trace`"
            raise TraceError(msg)


def archive(state: State, subject: str, deadline: Deadline, *, whole: bool) -> bytes:
    """Return the signed archive of a subject's record, as `cabc export` writes it. Raises CabcError."""
    record, home = state.record, state.home
    if not isinstance(record, DatabaseRecord):
        raise TraceError("this record cannot be exported")
    excerpt = Excerpt(record, subject, deadline, whole=whole)
    with tempfile.TemporaryDirectory(prefix="trace-") as folder:
        file = Path(folder, "record.zip")
        try:
            export(
                excerpt,
                subject,
                file,
                keys=record.keys,
                anchors=home.anchors if whole else (),
                published=home.published if whole else None,
            )
            return file.read_bytes()
        except (SQLAlchemyError, OSError) as error:
            msg = f"the record cannot be exported: {type(error).__name__}"
            raise TraceError(msg) from error
