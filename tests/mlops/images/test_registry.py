"""Digests from a registry."""

from __future__ import annotations

import httpx
import pytest

from mlops.errors import OperationError
from mlops.images import registry

DIGEST = "sha256:" + "a" * 64


def client(*, token: bool) -> httpx.Client:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "auth.example":
            assert request.url.params["scope"] == "repository:library/postgres:pull"
            return httpx.Response(200, json={"token": "t"})
        assert request.url == "https://registry-1.docker.io/v2/library/postgres/manifests/15"
        if token and request.headers.get("Authorization") != "Bearer t":
            return httpx.Response(
                401,
                headers={"WWW-Authenticate": 'Bearer realm="https://auth.example/token",service="registry"'},
            )
        return httpx.Response(200, headers={"Docker-Content-Digest": DIGEST})

    return httpx.Client(transport=httpx.MockTransport(answer))


@pytest.mark.parametrize("token", [True, False])
def test_digest_of_a_tag(*, token: bool) -> None:
    assert registry.digest("docker.io/library/postgres:15", client(token=token)) == DIGEST


def test_digest_of_what_is_pinned_already_is_asked_by_its_tag() -> None:
    assert registry.digest(f"docker.io/library/postgres:15@{DIGEST}", client(token=False)) == DIGEST


def test_registry_that_refuses_is_named() -> None:
    refusing = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(404)))
    with pytest.raises(OperationError, match=r"does not tell the digest of quay.io/x/y:1"):
        registry.digest("quay.io/x/y:1", refusing)
