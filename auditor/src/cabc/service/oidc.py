"""Tokens of an identity provider: JWTs, checked with the keys that the issuer publishes."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt

from cabc.errors import CabcError
from cabc.home import Oidc
from cabc.service.access import Principal

__all__ = ["OidcTokens"]

KEYS_AGE = 300.0
"""Seconds that keys are kept."""
UNKNOWN_KEY_PAUSE = 30.0
"""Seconds before an unknown key id may cause another fetch; made-up ids must not become a flood at the issuer."""
LEEWAY = 30
LIMIT = 1_000_000


class OidcTokens:
    """Verify tokens of one issuer. What cannot be verified is nobody's."""

    def __init__(
        self,
        settings: Oidc,
        *,
        client: Callable[[], httpx.AsyncClient] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        address = urlsplit(settings.issuer)
        if address.scheme != "https" and address.hostname not in {"127.0.0.1", "::1", "localhost"}:
            msg = f"the issuer {settings.issuer} is not https"
            raise CabcError(msg, fix="Give service.oidc.issuer an https address.")
        self._settings = settings
        self._client = client or (lambda: httpx.AsyncClient(timeout=5.0, follow_redirects=False))
        self._clock = clock
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched = float("-inf")
        self._lock = asyncio.Lock()

    async def principal(self, token: str) -> Principal | None:
        """Return whom the token speaks for; None when it is not valid. httpx.HTTPError when the issuer is away."""
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in self._settings.algorithms:
                return None
            key = await self._key(str(header.get("kid", "")))
            if key is None:
                return None
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=list(self._settings.algorithms),
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                leeway=LEEWAY,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.PyJWTError:
            return None
        return self._of(claims)

    def _of(self, claims: dict[str, Any]) -> Principal:
        scope = self._settings.subjects_claim
        return Principal.of(
            str(claims["sub"]),
            _words(claims, self._settings.roles_claim),
            ["*"] if scope is None else _words(claims, scope),
            dt.datetime.fromtimestamp(int(claims["exp"]), dt.UTC),
        )

    async def _key(self, kid: str) -> jwt.PyJWK | None:
        async with self._lock:
            age = self._clock() - self._fetched
            if age > KEYS_AGE or (kid not in self._keys and age > UNKNOWN_KEY_PAUSE):
                self._keys = await self._fetch()
                self._fetched = self._clock()
            return self._keys.get(kid)

    async def _fetch(self) -> dict[str, jwt.PyJWK]:
        issuer = self._settings.issuer
        async with self._client() as client:
            found = await _json(client, f"{issuer.rstrip('/')}/.well-known/openid-configuration")
            if found.get("issuer") != issuer:
                msg = f"the discovery document names another issuer than {issuer}"
                raise httpx.ProtocolError(msg)
            keys = await _json(client, str(found["jwks_uri"]))
        return {key.key_id: key for key in jwt.PyJWKSet.from_dict(keys).keys if key.key_id}


async def _json(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    answer = await client.get(url)
    answer.raise_for_status()
    if len(answer.content) > LIMIT:
        msg = f"{url} answers with more than {LIMIT} bytes"
        raise httpx.ProtocolError(msg)
    found = answer.json()
    if not isinstance(found, dict):
        msg = f"{url} answers with no object"
        raise httpx.ProtocolError(msg)
    return found


def _words(claims: dict[str, Any], path: str) -> list[str]:
    """Return the texts under a claim, whose name may be a path such as `realm_access.roles`."""
    found: Any = claims
    for part in [path] if path in claims else path.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    if isinstance(found, str):
        return found.split()
    return [word for word in found if isinstance(word, str)] if isinstance(found, list) else []
