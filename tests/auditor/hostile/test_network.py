"""SSRF, redirects, DNS rebinding, token theft: the document's author tries to move the auditor's requests elsewhere."""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

import httpcore
import pytest
from cabc.document.interfaces import RestInterface
from cabc.interfaces.addresses import refusal
from cabc.interfaces.base import RetrieveError
from cabc.interfaces.connections import RestConnection
from cabc.interfaces.guarded import GuardedClient, join
from cabc.interfaces.rest import RestPlugin
from hypothesis import given
from hypothesis import strategies as st

from tests.support.http_backend import HttpBackend, Reply
from tests.support.retrieval import retrieve, spec

Resolve = Callable[[str, int], Awaitable[list[str]]]

METADATA = [
    "169.254.169.254",
    "169.254.170.2",
    "168.63.129.16",
    "100.100.100.200",
    "192.0.0.192",
    "fd00:ec2::254",
    "fd20:ce::254",
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "::169.254.169.254",
    "::ffff:0:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "2001:0:a9fe:a9fe::1",
]
NOWHERE = [
    "0.0.0.0",  # noqa: S104 (a case)
    "0.1.2.3",
    "::",
    "224.0.0.1",
    "ff02::1",
    "fe80::1",
    "fe80::1%eth0",
    "169.254.1.1",
    "::ffff:0.0.0.0",
]
LOOPBACK = ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::ffff:7f00:1"]
PRIVATE = ["10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fc00::1", "::ffff:10.0.0.1", "64:ff9b::a00:1"]
PUBLIC = ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"]


@pytest.mark.parametrize("address", [*METADATA, *NOWHERE, "240.0.0.1", "255.255.255.255", "not an address", ""])
def test_metadata_and_nowhere_are_refused_whatever_the_connection_says(address: str) -> None:
    for network in ("public", "internal", "loopback"):
        assert refusal(address, network)  # type: ignore[arg-type]  # each of the three


@pytest.mark.parametrize("address", LOOPBACK)
def test_loopback_needs_the_operators_word(address: str) -> None:
    assert refusal(address, "public")
    assert refusal(address, "internal")
    assert address.startswith("2002:") or refusal(address, "loopback") is None


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_need_the_operators_word(address: str) -> None:
    assert refusal(address, "public")
    assert refusal(address, "loopback")
    assert refusal(address, "internal") is None


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_reached(address: str) -> None:
    assert refusal(address, "public") is None
    assert refusal(address, "internal") is None
    assert refusal(address, "loopback")


class Recorder(httpcore.AsyncNetworkBackend):
    """Dials for real, or counts what would be dialled."""

    def __init__(self) -> None:
        self.dialled: list[str] = []
        self._real = httpcore.AnyIOBackend()

    async def connect_tcp(self, host: str, port: int, *args: Any, **keys: Any) -> httpcore.AsyncNetworkStream:
        self.dialled.append(host)
        return await self._real.connect_tcp(host, port, *args, **keys)


def answers(*turns: list[str]) -> tuple[Resolve, list[str]]:
    """Return a name server that gives another answer each time, and the list of what it was asked."""
    asked: list[str] = []

    async def resolve(host: str, _port: int) -> list[str]:
        asked.append(host)
        return turns[min(len(asked), len(turns)) - 1]

    return resolve, asked


def get(connection: RestConnection, path: str = "/", *, resolve: Resolve, dial: Recorder | None = None) -> bytes:
    client = GuardedClient(resolve=resolve, dial=dial)
    question = spec(RestInterface, kind="rest", connection="x", path=path)
    return retrieve(RestPlugin(client), question, connection).body


def rest(url: str, **keys: Any) -> RestConnection:
    return RestConnection.model_validate({"kind": "rest", "url": url, **keys})


@pytest.mark.parametrize("address", [*METADATA, *LOOPBACK, *PRIVATE])
def test_a_name_that_points_inside_is_not_dialled(address: str) -> None:
    resolve, _ = answers([address])
    dial = Recorder()
    with pytest.raises(RetrieveError, match="refused"):
        get(rest("http://scanner.example"), resolve=resolve, dial=dial)
    assert dial.dialled == []


def test_one_bad_address_among_good_ones_is_enough() -> None:
    resolve, _ = answers(["8.8.8.8", "169.254.169.254"])
    dial = Recorder()
    with pytest.raises(RetrieveError, match="metadata"):
        get(rest("http://scanner.example"), resolve=resolve, dial=dial)
    assert dial.dialled == []


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "169.254.169.254", "2130706433", "0x7f000001", "127.1"])
def test_a_numeric_host_is_judged_like_any_other(host: str) -> None:
    dial = Recorder()
    question = spec(RestInterface, kind="rest", connection="x", path="/")
    with pytest.raises(RetrieveError, match=r"refused|no address"):
        retrieve(RestPlugin(GuardedClient(dial=dial)), question, rest(f"http://{host}"))
    assert dial.dialled == []


def test_a_name_server_that_changes_its_mind_gains_nothing() -> None:
    """DNS rebinding: the first answer passes the check, the second would be dialled by a client that asks again."""
    with HttpBackend({"/": Reply(b'"checked"')}) as server:
        resolve, asked = answers(["127.0.0.1"], ["169.254.169.254"])
        dial = Recorder()
        connection = rest(f"http://rebind.example:{server.port}", network="loopback")
        assert get(connection, resolve=resolve, dial=dial) == b'"checked"'
        assert (asked, dial.dialled) == (["rebind.example"], ["127.0.0.1"])


def test_a_second_dial_is_judged_anew() -> None:
    """The server closes after each answer, so that the next request dials again: the new address counts."""
    headers = {"Content-Type": "application/json", "Connection": "close"}
    with HttpBackend({"/": Reply(b"1", headers=headers)}) as server:
        resolve, _ = answers(["127.0.0.1"], ["10.0.0.1"])
        client = GuardedClient(resolve=resolve)
        connection = rest(f"http://rebind.example:{server.port}", network="loopback")

        async def twice() -> None:
            try:
                await client.get(connection, "/")
                with pytest.raises(RetrieveError, match="refused"):
                    await client.get(connection, "/")
            finally:
                await client.close()

        asyncio.run(twice())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(status: int) -> None:
    with HttpBackend({"/secret": Reply(b'"stolen"')}) as inner:
        location = {"Location": f"{inner.url}/secret", "Content-Type": "application/json"}
        with HttpBackend({"/": Reply(b"", status, location)}) as server:
            resolve, _ = answers(["127.0.0.1"])
            with pytest.raises(RetrieveError, match="redirect"):
                get(rest(server.url, network="loopback"), resolve=resolve)
        assert inner.requests == []


def test_the_token_is_sent_to_its_own_host_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CABC_T", "s3cret-token")
    with HttpBackend({"/": Reply(b"1")}) as thief:
        location = {"Location": thief.url, "Content-Type": "application/json", "Set-Cookie": "a=b"}
        with HttpBackend({"/": Reply(b"", 302, location), "/again": Reply(b"1")}) as server:
            auth = {"type": "bearer", "token": "env:CABC_T"}
            resolve, _ = answers(["127.0.0.1"])
            own = rest(server.url, network="loopback", auth=auth)
            with pytest.raises(RetrieveError, match="redirect") as raised:
                get(own, resolve=resolve)
            assert "s3cret-token" not in str(raised.value)
            get(own, "/again", resolve=resolve)
            assert "Cookie" not in server.requests[-1].headers
        get(rest(thief.url, network="loopback"), resolve=resolve)
        assert [request.headers.get("Authorization") for request in thief.requests] == [None]


def test_a_token_never_goes_over_plain_http_to_a_public_host() -> None:
    with pytest.raises(ValueError, match="plain HTTP"):
        rest("http://scanner.example", auth={"type": "bearer", "token": "env:CABC_T"})


def test_the_environment_moves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Proxies and .netrc are how a shared machine would redirect requests or add credentials."""
    with HttpBackend({"/": Reply(b"1")}) as server, HttpBackend({}) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        (tmp_path / ".netrc").write_text("machine 127.0.0.1 login u password netrc-secret\n")
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
        resolve, _ = answers(["127.0.0.1"])
        get(rest(server.url, network="loopback"), resolve=resolve)
        assert proxy.requests == []
        assert "Authorization" not in server.requests[0].headers


@pytest.mark.parametrize(
    "path",
    [
        "/../admin",
        "/a/../../admin",
        "/a/..",
        "/.",
        "/%2e%2e/admin",
        "/%2E./admin",
        "/a/%252e%252e/admin",
        "/..;/admin",
        "/a%2fb",
        "/a%5c..%5cb",
        "/a\\b",
        "//evil.example/x",
        "/a//b",
        "http://evil.example/",
        "//evil.example",
        "@evil.example",
        ":80@evil.example/",
        ".evil.example/",
        "",
        "/a?x=1",
        "/a#b",
        "/a b",
        "/a\r\nHost: evil",
        "/a\x00",
        "/a%00",
        "/a%0d%0aX: y",
        "/%",
        "/%zz",
        "/;/",
        "/a/%3bb",
        "/ä",
    ],
)
def test_a_path_does_not_leave_the_base(path: str) -> None:
    for base in ("http://h", "http://h/base"):
        with pytest.raises(RetrieveError):
            join(base, path)


@given(st.text(alphabet="/.%25ecfEF;\\\\ab?#@:\x00 ", max_size=24), st.sampled_from(["http://h", "http://h/base/v1"]))
def test_no_path_at_all_leaves_the_base(path: str, base: str) -> None:
    """However a server decodes and normalizes what was let through, it is still below the base."""
    try:
        target = join(base, f"/{path}")
    except RetrieveError:
        return
    root = base.removeprefix("http://h")
    for _ in range(6):
        assert target.isascii()
        assert not set(target) & set(" ?#\\\r\n\x00")
        normal = posixpath.normpath("/".join(part.partition(";")[0] for part in target.split("/")))
        assert (normal + "/").startswith(root + "/"), target
        assert not normal.startswith("//")
        target = unquote(target)


@pytest.mark.parametrize("path", ["/v2", "/v1x", "/V1", "/", "/v1%2f..%2fv2"])
def test_a_path_keeps_to_what_the_operator_allows(path: str) -> None:
    with HttpBackend(lambda _: Reply(b"1")) as server:
        resolve, _ = answers(["127.0.0.1"])
        limited = rest(server.url, network="loopback", paths=["/v1"])
        with pytest.raises(RetrieveError):
            get(limited, path, resolve=resolve)
        assert get(limited, "/v1/x", resolve=resolve) == b"1"
        assert get(limited, "/v1", resolve=resolve) == b"1"
        assert len(server.requests) == 2


def test_errors_and_origins_name_no_host() -> None:
    resolve, _ = answers(["10.0.0.1"])
    with pytest.raises(RetrieveError) as raised:
        get(rest("http://inner.corp.example"), resolve=resolve)
    assert "inner.corp" not in str(raised.value)
    assert "10.0.0.1" not in str(raised.value)
    with HttpBackend({"/": Reply(b"1")}) as server:
        question = spec(RestInterface, kind="rest", connection="x", path="/")
        answer = retrieve(RestPlugin(), question, rest(server.url, network="loopback"))
        assert answer.origin == "GET / of connection x"
