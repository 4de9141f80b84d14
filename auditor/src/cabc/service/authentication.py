"""Who is calling: the operator's tokens and the identity provider's."""

from __future__ import annotations

import hashlib
import hmac

import httpx

from cabc.home import Service
from cabc.service.access import Principal
from cabc.service.oidc import OidcTokens

__all__ = ["Authenticator", "UnavailableError"]

LONGEST = 8192
"""Characters of a token that are looked at."""
JWT_DOTS = 2


class UnavailableError(Exception):
    """The identity provider cannot be asked, so nobody can be let in by it."""


class Authenticator:
    """Turns a bearer token into a principal."""

    def __init__(self, settings: Service, *, oidc: OidcTokens | None = None) -> None:
        self._tokens = settings.tokens
        self._oidc = oidc or (OidcTokens(settings.oidc) if settings.oidc else None)

    async def principal(self, token: str) -> Principal | None:
        """Return whose token it is; None when it is nobody's. UnavailableError when that cannot be found out."""
        if not token or len(token) > LONGEST:
            return None
        if (known := self._known(token)) is not None:
            return known
        if self._oidc is None or token.count(".") != JWT_DOTS:
            return None
        try:
            return await self._oidc.principal(token)
        except (httpx.HTTPError, KeyError, ValueError) as error:
            raise UnavailableError(str(error)) from error

    def _known(self, token: str) -> Principal | None:
        """Compare with every token of the settings, so that time tells nothing about which one is near."""
        digest = hashlib.sha256(token.encode()).hexdigest()
        found = None
        for known in self._tokens:
            if hmac.compare_digest(digest.encode(), known.sha256.lower().encode()):
                found = Principal.of(known.name, known.roles, known.subjects)
        return found
