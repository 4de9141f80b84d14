"""Tokens of the settings and of an identity provider, with everything that is tried against them."""

from __future__ import annotations

import base64
import datetime as dt
import json
import time
from typing import Any

import httpx
import jwt
import pytest
from cabc.errors import CabcError
from cabc.home import AccessToken, Oidc, Service
from cabc.service.access import Role
from cabc.service.authentication import Authenticator, UnavailableError
from cabc.service.oidc import OidcTokens
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.support.service import sha256

pytestmark = pytest.mark.anyio

ISSUER = "https://id.example"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Issuer:
    """An identity provider in memory."""

    def __init__(self) -> None:
        self.keys: dict[str, Any] = {"k1": KEY}
        self.fetched = 0
        self.away = False
        self.named = ISSUER

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if self.away:
            raise httpx.ConnectError("away")
        if request.url.path == "/.well-known/openid-configuration":
            return httpx.Response(200, json={"issuer": self.named, "jwks_uri": f"{ISSUER}/keys"})
        self.fetched += 1
        keys = [
            {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())), "kid": kid, "alg": "RS256"}
            for kid, key in self.keys.items()
        ]
        return httpx.Response(200, json={"keys": keys})


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


def verifier(issuer: Issuer, clock: Any = time.monotonic, **settings: Any) -> OidcTokens:
    return OidcTokens(Oidc(issuer=ISSUER, audience="cabc", **settings), client=issuer.client, clock=clock)


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    return {
        "iss": ISSUER,
        "aud": "cabc",
        "sub": "alice",
        "exp": now + 300,
        "nbf": now - 10,
        "roles": ["reader", "auditing-party", "root"],
        **changes,
    }


def signed(payload: dict[str, Any], key: Any = KEY, kid: str = "k1", algorithm: str = "RS256") -> str:
    return jwt.encode(payload, key, algorithm=algorithm, headers={"kid": kid})


async def test_a_valid_token_gives_roles_that_exist(issuer: Issuer) -> None:
    found = await verifier(issuer).principal(signed(claims()))
    assert found is not None
    assert found.name == "alice"
    assert found.roles == {Role.READER, Role.AUDITING_PARTY}
    assert found.expires is not None
    assert found.sees("anything")


async def test_roles_and_subjects_may_be_nested_and_limited(issuer: Issuer) -> None:
    settings = {"roles_claim": "realm_access.roles", "subjects_claim": "subjects"}
    payload = claims(realm_access={"roles": ["reader"]}, subjects="churn other")
    found = await verifier(issuer, **settings).principal(signed(payload))
    assert found is not None
    assert found.sees("churn")
    assert not found.sees("credit-scoring")
    without = await verifier(issuer, **settings).principal(signed(claims()))
    assert without is not None
    assert not without.roles
    assert not without.sees("churn")  # a token without the claim is for no subject, not for all


NOW = int(time.time())
BAD_CLAIMS: dict[str, dict[str, Any]] = {
    "expired": {"exp": NOW - 120},
    "not yet valid": {"nbf": NOW + 3600},
    "for somebody else": {"aud": "other"},
    "of another issuer": {"iss": "https://evil.example"},
    "without an end": {"exp": None},
    "without a subject": {"sub": None},
    "without an audience": {"aud": None},
}


@pytest.mark.parametrize("changes", BAD_CLAIMS.values(), ids=BAD_CLAIMS.keys())
async def test_wrong_claims_are_refused(issuer: Issuer, changes: dict[str, Any]) -> None:
    payload = {name: value for name, value in claims(**changes).items() if value is not None}
    assert await verifier(issuer).principal(signed(payload)) is None


def unsigned() -> str:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none', 'kid': 'k1'})}.{part(claims())}."


def confused() -> str:
    """Sign with the public key's text as a symmetric secret, as in the classic confusion of algorithms."""
    import hashlib
    import hmac

    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).decode().rstrip("=")

    public = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head = part(json.dumps({"alg": "HS256", "kid": "k1"}).encode()) + "." + part(json.dumps(claims()).encode())
    return head + "." + part(hmac.new(public, head.encode(), hashlib.sha256).digest())


def tampered() -> str:
    head, body, signature = signed(claims(roles=["reader"])).split(".")
    return ".".join((head, signed(claims(roles=["publisher"])).split(".")[1], signature)) if body else ""


FORGED = {
    "unsigned": unsigned(),
    "algorithm confusion": confused(),
    "another key under a known id": signed(claims(), OTHER_KEY),
    "unknown key": signed(claims(), OTHER_KEY, "k9"),
    "changed body": tampered(),
    "algorithm that is not allowed": signed(claims(), ec.generate_private_key(ec.SECP384R1()), algorithm="ES384"),
    "no token at all": "a.b.c",
    "empty parts": "..",
}


@pytest.mark.parametrize("token", FORGED.values(), ids=FORGED.keys())
async def test_forged_tokens_are_refused(issuer: Issuer, token: str) -> None:
    assert await verifier(issuer).principal(token) is None


async def test_keys_are_kept_and_renewed(issuer: Issuer) -> None:
    clock = [1000.0]
    tokens = verifier(issuer, clock=lambda: clock[0])
    for _ in range(3):
        assert await tokens.principal(signed(claims())) is not None
    assert issuer.fetched == 1
    issuer.keys = {"k2": OTHER_KEY}  # the issuer rotates
    new = signed(claims(), OTHER_KEY, "k2")
    assert await tokens.principal(new) is None  # an unknown id just after a fetch does not cause another
    clock[0] += 31
    assert await tokens.principal(new) is not None
    assert await tokens.principal(signed(claims())) is None  # the old key is gone
    assert issuer.fetched == 2


async def test_made_up_key_ids_are_no_flood_at_the_issuer(issuer: Issuer) -> None:
    tokens = verifier(issuer)
    for number in range(50):
        assert await tokens.principal(signed(claims(), OTHER_KEY, f"made-up-{number}")) is None
    assert issuer.fetched == 1


async def test_an_issuer_that_is_away_or_somebody_else_lets_nobody_in(issuer: Issuer) -> None:
    service = Service(oidc=Oidc(issuer=ISSUER, audience="cabc"))
    issuer.away = True
    with pytest.raises(UnavailableError):
        await Authenticator(service, oidc=verifier(issuer)).principal(signed(claims()))
    issuer.away, issuer.named = False, "https://evil.example"
    with pytest.raises(UnavailableError):
        await Authenticator(service, oidc=verifier(issuer)).principal(signed(claims()))


def test_an_issuer_in_the_clear_is_refused() -> None:
    with pytest.raises(CabcError, match="not https"):
        OidcTokens(Oidc(issuer="http://id.example", audience="cabc"))


async def test_tokens_of_the_settings_are_known_by_their_hash() -> None:
    known = AccessToken(name="ops", sha256=sha256("right").upper(), roles=["reader"])
    authenticator = Authenticator(Service(tokens=[known]))
    found = await authenticator.principal("right")
    assert found is not None
    assert found.name == "ops"
    for wrong in ("wrong", "", sha256("right"), "right ", "r" * 10_000):
        assert await authenticator.principal(wrong) is None


def test_when_a_session_ends() -> None:
    from cabc.service.access import Principal
    from cabc.service.sessions import LENGTH, Sessions

    now = [dt.datetime(2026, 1, 1, tzinfo=dt.UTC)]
    sessions = Sessions(lambda: now[0])
    long = sessions.open(Principal.of("a", ["reader"], ["*"]))
    short = sessions.open(Principal.of("b", ["reader"], ["*"], now[0] + dt.timedelta(minutes=5)))
    assert sessions.find(long) is not None
    now[0] += dt.timedelta(minutes=6)
    assert sessions.find(short) is None  # not longer than the token that opened it
    assert sessions.find(long) is not None
    now[0] += LENGTH
    assert sessions.find(long) is None
    assert sessions.find("made up") is None
