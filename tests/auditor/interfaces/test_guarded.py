"""The guarded client reaches what the operator named, and reads it whole."""

from __future__ import annotations

import asyncio
import datetime as dt
import gzip
import time
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from cabc.interfaces.base import RetrieveError
from cabc.interfaces.connections import HttpConnection
from cabc.interfaces.guarded import JSON, TEXT, Answer, GuardedClient, StatusError, join
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.http_backend import HttpBackend, Reply, Request


def connection(url: str, **keys: Any) -> HttpConnection:
    return HttpConnection.model_validate({"kind": "rest", "url": url, "network": "loopback", **keys})


def get(backend: HttpConnection, path: str = "/x", *, resolve: Any = None, **keys: Any) -> Answer:
    async def run() -> Answer:
        client = GuardedClient(resolve=resolve) if resolve else GuardedClient()
        try:
            return await client.get(backend, path, **keys)
        finally:
            await client.close()

    return asyncio.run(run())


def resolver(*addresses: str) -> Callable[[str, int], Awaitable[list[str]]]:
    async def resolve(_host: str, _port: int) -> list[str]:
        return list(addresses)

    return resolve


def test_path_and_query_go_below_the_base_address() -> None:
    with HttpBackend({"/base/v1/x": Reply(b'{"a": 1}')}) as server:
        answer = get(connection(f"{server.url}/base/"), "/v1/x", query={"q": "a b&c"})
        assert answer == Answer(b'{"a": 1}', "application/json")
        asked = server.requests[0]
        assert (asked.path, asked.query) == ("/base/v1/x", {"q": "a b&c"})
        assert asked.headers["Host"] == f"127.0.0.1:{server.port}"


@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [
        ({"type": "bearer", "token": "env:CABC_T"}, "Authorization", "Bearer s3cret-token"),
        ({"type": "basic", "username": "u", "password": "env:CABC_T"}, "Authorization", "Basic dTpzM2NyZXQtdG9rZW4="),
        ({"type": "header", "name": "X-Api-Key", "value": "env:CABC_T"}, "X-Api-Key", "s3cret-token"),
    ],
)
def test_credentials_are_sent_and_taken_out_of_echoes(
    monkeypatch: pytest.MonkeyPatch, auth: dict[str, str], header: str, value: str
) -> None:
    monkeypatch.setenv("CABC_T", "s3cret-token")

    def echo(request: Request) -> Reply:
        return Reply(str(dict(request.headers)).encode())

    with HttpBackend(echo) as server:
        body = get(connection(server.url, auth=auth)).body
        assert server.requests[0].headers[header] == value
        assert b"s3cret-token" not in body
        assert value.rpartition(" ")[2].encode() not in body


def test_a_missing_credential_is_an_error_before_anything_is_sent() -> None:
    with HttpBackend({}) as server:
        with pytest.raises(RetrieveError, match="env:CABC_NOTHING"):
            get(connection(server.url, auth={"type": "bearer", "token": "env:CABC_NOTHING"}))
        assert server.requests == []


def test_a_credential_cannot_add_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CABC_T", "a\r\nX-Other: 1")
    with HttpBackend({}) as server:
        with pytest.raises(RetrieveError, match="header"):
            get(connection(server.url, auth={"type": "bearer", "token": "env:CABC_T"}))
        assert server.requests == []


@pytest.mark.parametrize("status", [204, 400, 401, 404, 429, 500, 503])
def test_only_200_is_an_answer(status: int) -> None:
    reply = Reply(b"" if status == 204 else b'{"error": "because \x1b[31mof you"}', status)
    with HttpBackend({"/x": reply}) as server:
        with pytest.raises(StatusError, match=str(status)) as raised:
            get(connection(server.url))
        assert raised.value.status == status
        assert "\x1b" not in str(raised.value)


@pytest.mark.parametrize("media_type", ["text/html", "application/octet-stream", "application/jsonx", "", "image/png"])
def test_other_types_are_refused(media_type: str) -> None:
    reply = Reply(headers={"Content-Type": media_type})
    with HttpBackend({"/x": reply}) as server, pytest.raises(RetrieveError, match="type"):
        get(connection(server.url), accept=JSON)


@pytest.mark.parametrize(
    "media_type", ["application/json; charset=utf-8", "application/vnd.x+json", "APPLICATION/JSON"]
)
def test_json_by_any_name_is_taken(media_type: str) -> None:
    with HttpBackend({"/x": Reply(b"1", headers={"Content-Type": media_type})}) as server:
        assert get(connection(server.url), accept=TEXT).body == b"1"


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_compressed_answers_are_read_though_not_asked_for(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    body = b'{"v": "' + b"x" * 200_000 + b'"}'
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    with HttpBackend({"/x": Reply(pack(body), headers=headers)}) as server:
        assert get(connection(server.url)).body == body
        assert server.requests[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    ("encoding", "body"),
    [("br", b"x"), ("gzip", b"no gzip"), ("gzip", gzip.compress(b"x" * 1000, mtime=0)[:-9]), ("gzip, gzip", b"")],
)
def test_broken_compression_is_an_error(encoding: str, body: bytes) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    with HttpBackend({"/x": Reply(body, headers=headers)}) as server, pytest.raises(RetrieveError):
        get(connection(server.url))


def test_a_silent_server_is_given_up() -> None:
    def slow(_: Request) -> Reply:
        time.sleep(0.8)
        return Reply()

    with HttpBackend(slow) as server, pytest.raises(RetrieveError, match=r"0\.2 s"):
        get(connection(server.url, timeout=0.2))


def test_a_dripping_server_is_given_up() -> None:
    def drip() -> Any:
        for _ in range(100):
            yield b" "
            time.sleep(0.05)

    with HttpBackend({"/x": Reply(chunks=drip)}) as server:
        started = time.monotonic()
        with pytest.raises(RetrieveError, match=r"0\.3 s"):
            get(connection(server.url, timeout=0.3))
        assert time.monotonic() - started < 30


def test_nobody_there_is_an_error_without_the_host() -> None:
    with pytest.raises(RetrieveError, match="failed") as raised:
        get(connection("http://127.0.0.1:9"))
    assert "127.0.0.1" not in str(raised.value)


def test_a_name_without_an_address_is_an_error() -> None:
    async def unknown(_host: str, _port: int) -> list[str]:
        raise OSError

    for resolve in (unknown, resolver()):
        with pytest.raises(RetrieveError, match="no address"):
            get(connection("http://nowhere.invalid"), resolve=resolve)


def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    with HttpBackend({"/x": Reply()}) as server:
        backend = connection(f"http://backend.test:{server.port}")
        assert get(backend, resolve=resolver("127.0.0.9", "127.0.0.1")).body == b"{}"
        assert server.requests[0].headers["Host"] == f"backend.test:{server.port}"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Give certificate and key for the name backend.test."""
    folder: Path = tmp_path_factory.mktemp("tls")
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "backend.test")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("backend.test")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pair = str(folder / "cert.pem"), str(folder / "key.pem")
    Path(pair[0]).write_bytes(made.public_bytes(serialization.Encoding.PEM))
    Path(pair[1]).write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return pair


def test_tls_asks_for_the_name_though_the_address_is_dialled(certificate: tuple[str, str]) -> None:
    with HttpBackend({"/x": Reply()}, certificate=certificate) as server:
        named = connection(f"https://backend.test:{server.port}", ca_file=certificate[0])
        assert get(named, resolve=resolver("127.0.0.1")).body == b"{}"
        other = connection(f"https://other.test:{server.port}", ca_file=certificate[0])
        with pytest.raises(RetrieveError, match="certificate"):
            get(other, resolve=resolver("127.0.0.1"))
        with pytest.raises(RetrieveError, match="certificate"):
            get(connection(f"https://backend.test:{server.port}"), resolve=resolver("127.0.0.1"))


def test_connections_are_used_again_and_none_is_left_over() -> None:
    """One after the other needs one connection, several at once several, and a failure keeps none."""
    with HttpBackend({"/x": Reply(b"1")}) as server:
        backend = connection(server.url)

        async def run() -> list[int]:
            client, counts = GuardedClient(), []
            try:
                for _ in range(3):
                    await client.get(backend, "/x")
                counts.append(len(client._lines))
                await asyncio.gather(*(client.get(backend, "/x") for _ in range(4)))
                counts.append(len(client._lines))
                for _ in range(6):
                    with pytest.raises(StatusError):
                        await client.get(backend, "/nothing")
                counts.append(len(client._lines))
            finally:
                await client.close()
            return [*counts, len(client._lines)]

        assert asyncio.run(run()) == [1, 4, 0, 0]


def test_a_cancelled_request_leaves_nothing_behind() -> None:
    def slow(_: Request) -> Reply:
        time.sleep(0.3)
        return Reply(b"1")

    with HttpBackend(slow) as server:
        backend = connection(server.url)

        async def run() -> int:
            client = GuardedClient()
            try:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.1):
                        await client.get(backend, "/x")
                return len(client._lines)
            finally:
                await client.close()

        assert asyncio.run(run()) == 0


@pytest.mark.parametrize(
    ("base", "path", "target"),
    [
        ("http://h", "/a", "/a"),
        ("http://h/", "/a/b%20c", "/a/b%20c"),
        ("http://h/base/", "/a;v=1", "/base/a;v=1"),
        ("http://h/base", "/", "/base/"),
        ("http://h/base", "/...", "/base/..."),
    ],
)
def test_join(base: str, path: str, target: str) -> None:
    assert join(base, path) == target
