"""The only way out: HTTP requests that reach the operator's address and nothing else.

There is no redirect, no proxy, no cookie, no credential from the environment. A name is resolved once, every address
is judged, and the judged address is the one that is dialled, so a name server cannot change its mind in between.
"""

from __future__ import annotations

import asyncio
import base64
import re
import socket
import ssl
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

import httpcore

from cabc.interfaces.addresses import refusal
from cabc.interfaces.base import RetrieveError
from cabc.interfaces.connections import BasicAuth, BearerAuth, HttpConnection, Network, reveal
from cabc.interfaces.redaction import MARK
from cabc.text import one_line

__all__ = [
    "ANY",
    "JSON",
    "TEXT",
    "Answer",
    "GuardedClient",
    "GuardedPlugin",
    "Identity",
    "Resolver",
    "StatusError",
    "join",
]

Resolver = Callable[[str, int], Awaitable[list[str]]]
"""Give the addresses of a host for a port."""

JSON = ("application/json", "application/*+json")
TEXT = (*JSON, "text/*", "application/yaml", "application/x-yaml")
ANY = ("*",)
_PATH = re.compile(r"/[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*")
_AGENT = "cabc"
_Credential = tuple[str, str, str]
"""A header's name, its value, and the bare secret in it."""


class StatusError(RetrieveError):
    """The backend answered with an HTTP status other than 200."""

    def __init__(self, status: int, hint: str) -> None:
        super().__init__(f"answered with HTTP status {status}{hint}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, with the connection's own credential taken out."""

    body: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class Identity:
    """Credentials that a kubeconfig gives in place of the connection's, and the name in the server's certificate."""

    header: _Credential | None = None
    cert_file: str | None = None
    key_file: str | None = None
    server_name: str | None = None


def join(base: str, path: str) -> str:
    """Return the path and query-less target below the base address; RetrieveError for a path that would leave it."""
    if not _PATH.fullmatch(path) or re.search(r"%(?![0-9A-Fa-f]{2})", path):
        msg = f"the path {one_line(path)!r} must begin with a slash and have only characters of a URL's path"
        raise RetrieveError(msg)
    decoded, before = path, ""
    while decoded != before:
        decoded, before = unquote(decoded, errors="replace"), decoded
    bad = {"\\", "\x00", "\n", "\r", "\ufffd"} & set(decoded)
    # "/;x" is an empty segment to servers that drop parameters, and two empty segments are "//".
    if bad or "//" in decoded or "/;" in decoded or decoded.count("/") != path.count("/"):
        msg = f"the path {one_line(path)!r} hides a separator or a control character"
        raise RetrieveError(msg)
    if {".", ".."} & {segment.partition(";")[0] for segment in decoded.split("/")}:
        msg = f"the path {one_line(path)!r} has a dot segment; it must stay below the connection's address"
        raise RetrieveError(msg)
    return urlsplit(base).path.rstrip("/") + path


async def _system(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


class _RefusedError(Exception):
    pass


class _Dialler(httpcore.AsyncNetworkBackend):
    """Resolve once, judge every address, dial one of those; TLS still asks for the name."""

    def __init__(self, network: Network, resolve: Resolver, under: httpcore.AsyncNetworkBackend) -> None:
        self._network = network
        self._resolve = resolve
        self._under = under

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (httpcore's signature)
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._resolve(host, port)
        except (OSError, TimeoutError, UnicodeError) as error:
            raise httpcore.ConnectError("the host's name has no address") from error
        for address in addresses:
            if why := refusal(address, self._network):
                msg = f"refused: the host is {why}"
                raise _RefusedError(msg)
        last: Exception = httpcore.ConnectError("the host's name has no address")
        for address in addresses:
            try:
                return await self._under.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last = error
        raise last

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class GuardedClient:
    """Requests through connections. Lives in one event loop; close it."""

    def __init__(self, *, resolve: Resolver = _system, dial: httpcore.AsyncNetworkBackend | None = None) -> None:
        self._resolve = resolve
        self._dial = dial or httpcore.AnyIOBackend()
        self._lines: set[httpcore.AsyncConnectionPool] = set()
        self._idle: dict[tuple[object, ...], list[httpcore.AsyncConnectionPool]] = {}
        self._contexts: dict[tuple[str | None, Identity | None], ssl.SSLContext] = {}

    async def get(
        self,
        connection: HttpConnection,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        accept: tuple[str, ...] = JSON,
        limit: int | None = None,
        identity: Identity | None = None,
    ) -> Answer:
        """Ask once and return the whole answer, of a status 200 and an accepted type, within the size limit."""
        limit = connection.max_bytes if limit is None else limit
        async with self.open(connection, path, query=query, accept=accept, identity=identity) as (media_type, chunks):
            body = bytearray()
            async for chunk in chunks:
                body += chunk
                if len(body) > limit:
                    msg = f"the answer is larger than {limit} bytes (the connection's limit)"
                    raise RetrieveError(msg)
        secret = _secret(connection, identity)
        return Answer(_without(bytes(body), secret), media_type)

    @asynccontextmanager
    async def open(
        self,
        connection: HttpConnection,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        accept: tuple[str, ...] = JSON,
        identity: Identity | None = None,
        seconds: float | None = None,
    ) -> AsyncIterator[tuple[str, AsyncIterator[bytes]]]:
        """Ask once and give the type and the decompressed chunks, small ones whatever the compression promised."""
        target = join(connection.url, path) + (f"?{urlencode(query)}" if query else "")
        parts = urlsplit(connection.url)
        secret = _secret(connection, identity)
        headers = _headers(connection, accept, secret)
        timeouts = dict.fromkeys(("connect", "read", "write", "pool"), connection.timeout)
        extensions: dict[str, Any] = {"timeout": timeouts}
        if identity and identity.server_name:
            extensions["sni_hostname"] = identity.server_name
        url = httpcore.URL(scheme=parts.scheme, host=parts.hostname or "", port=parts.port, target=target)
        try:
            async with (
                asyncio.timeout(seconds or connection.timeout),
                self._lent(connection, identity) as line,
                line.stream("GET", url, headers=headers, extensions=extensions) as response,
            ):
                media_type, encoding = await _judge(response, accept, secret)
                async with aclosing(_decoded(response, encoding)) as chunks:
                    yield media_type, chunks
        except (TimeoutError, httpcore.TimeoutException) as error:
            msg = f"no answer within {seconds or connection.timeout:g} s"
            raise RetrieveError(msg) from error
        except _RefusedError as error:
            raise RetrieveError(str(error)) from error
        except (httpcore.NetworkError, httpcore.ProtocolError, ssl.SSLError, OSError, ValueError, zlib.error) as error:
            msg = f"the request failed: {one_line(str(error)) or type(error).__name__}"
            raise RetrieveError(msg) from error

    @asynccontextmanager
    async def _lent(
        self, connection: HttpConnection, identity: Identity | None
    ) -> AsyncIterator[httpcore.AsyncConnectionPool]:
        """Lend a pool of one connection: httpcore's time for each request grows with the square of a pool's size."""
        key = (connection.url, connection.network, connection.ca_file, identity)
        idle = self._idle.setdefault(key, [])
        line = idle.pop() if idle else self._new_line(connection, identity)
        try:
            yield line
        except BaseException:
            self._lines.discard(line)
            await line.aclose()
            raise
        idle.append(line)

    def _new_line(self, connection: HttpConnection, identity: Identity | None) -> httpcore.AsyncConnectionPool:
        context = self._context(connection.ca_file, identity)
        backend = _Dialler(connection.network, self._resolve, self._dial)
        line = httpcore.AsyncConnectionPool(ssl_context=context, network_backend=backend, max_connections=1)
        self._lines.add(line)
        return line

    def _context(self, ca_file: str | None, identity: Identity | None) -> ssl.SSLContext:
        if (ca_file, identity) not in self._contexts:
            context = ssl.create_default_context(cafile=ca_file)
            if identity and identity.cert_file:
                context.load_cert_chain(identity.cert_file, identity.key_file)
            self._contexts[ca_file, identity] = context
        return self._contexts[ca_file, identity]

    async def close(self) -> None:
        """Close all connections."""
        for line in self._lines:
            await line.aclose()
        self._lines.clear()
        self._idle.clear()


class GuardedPlugin:
    """A kind of interface that asks over a guarded client, for one run."""

    def __init__(self, client: GuardedClient | None = None) -> None:
        self._client = client or GuardedClient()

    async def close(self) -> None:
        """Close the client's connections."""
        await self._client.close()


def _secret(connection: HttpConnection, identity: Identity | None) -> _Credential | None:
    if identity is not None and identity.header is not None:
        return identity.header
    auth = connection.auth
    if auth is None:
        return None
    if isinstance(auth, BearerAuth):
        secret = reveal(auth.token)
        name, value = "Authorization", f"Bearer {secret}"
    elif isinstance(auth, BasicAuth):
        secret = reveal(auth.password)
        name, value = "Authorization", f"Basic {base64.b64encode(f'{auth.username}:{secret}'.encode()).decode()}"
    else:
        secret = reveal(auth.value)
        name, value = auth.name, secret
    if not value.isascii() or not value.isprintable():
        msg = "the credential has characters that may not stand in a header"
        raise RetrieveError(msg)
    return name, value, secret


def _headers(connection: HttpConnection, accept: tuple[str, ...], secret: _Credential | None) -> list[tuple[str, str]]:
    host = urlsplit(connection.url).netloc
    wanted = "application/json" if accept == JSON else "application/json, text/plain;q=0.9, */*;q=0.5"
    headers = [("Host", host), ("User-Agent", _AGENT), ("Accept", wanted), ("Accept-Encoding", "identity")]
    return [*headers, secret[:2]] if secret else headers


async def _judge(response: httpcore.Response, accept: tuple[str, ...], secret: _Credential | None) -> tuple[str, str]:
    headers = {name.lower(): value.decode("latin-1") for name, value in response.headers}
    if response.status != 200:  # noqa: PLR2004 (OK)
        raise StatusError(response.status, await _hint(response, secret))
    media_type = headers.get(b"content-type", "").partition(";")[0].strip().lower()
    if not any(fnmatchcase(media_type, kind) for kind in accept):
        msg = f"the answer's type is {one_line(media_type) or 'not told'}, which this interface does not read"
        raise RetrieveError(msg)
    return media_type, headers.get(b"content-encoding", "identity").strip().lower()


async def _hint(response: httpcore.Response, secret: _Credential | None) -> str:
    """Return what the backend says about its refusal: one line, without the credential."""
    if 300 <= response.status < 400:  # noqa: PLR2004 (redirections)
        return ", a redirect, which is never followed"
    body = b""
    async for chunk in response.aiter_stream():
        body += chunk
        if len(body) > 2000:  # noqa: PLR2004 (a line of it is shown)
            break
    found = re.search(rb'"(?:error|message|detail)"\s*:\s*"((?:[^"\\]|\\.){1,300})"', _without(body, secret))
    return f": {one_line(found[1].decode(errors='replace'))}" if found else ""


async def _decoded(response: httpcore.Response, encoding: str) -> AsyncGenerator[bytes, None]:
    if encoding in {"", "identity"}:
        async for chunk in response.aiter_stream():
            yield chunk
        return
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        msg = f"the answer is compressed with {one_line(encoding)!r}, which was not asked for"
        raise RetrieveError(msg)
    inflate = zlib.decompressobj(47 if "gzip" in encoding else 15)
    async for chunk in response.aiter_stream():
        rest = chunk
        while rest:
            yield inflate.decompress(rest, 65536)
            rest = inflate.unconsumed_tail
    if not inflate.eof:
        msg = "the compressed answer ends too early"
        raise RetrieveError(msg)


def _without(body: bytes, secret: _Credential | None) -> bytes:
    """Take the connection's own credential out of an answer: some backends echo what they were sent."""
    if secret is None:
        return body
    for text in sorted({secret[1].rpartition(" ")[2], secret[2]}, key=len, reverse=True):
        body = body.replace(text.encode(), MARK.encode())
    return body
