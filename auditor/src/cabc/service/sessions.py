"""Sessions of people in a browser: kept here, named by a random cookie, gone when the process ends."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from cabc.service.access import Principal

__all__ = ["LOGIN_COOKIE", "SESSION_COOKIE", "Session", "Sessions"]

SESSION_COOKIE = "cabc_session"
LOGIN_COOKIE = "cabc_login"
LENGTH = dt.timedelta(hours=8)
MOST = 10_000


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who logged in, and the word that their forms must repeat."""

    principal: Principal
    csrf: str
    ends: dt.datetime

    def repeats(self, word: str) -> bool:
        """Say whether a form came from a page of this session."""
        return hmac.compare_digest(self.csrf.encode(), word.encode())


class Sessions:
    """At most so many; the oldest makes room."""

    def __init__(self, now: Callable[[], dt.datetime]) -> None:
        self._now = now
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def open(self, principal: Principal) -> str:
        """Start a session and return what its cookie holds."""
        cookie = secrets.token_urlsafe(32)
        ends = min(filter(None, (self._now() + LENGTH, principal.expires)))
        self._sessions[_name(cookie)] = Session(principal, secrets.token_urlsafe(32), ends)
        while len(self._sessions) > MOST:
            self._sessions.popitem(last=False)
        return cookie

    def find(self, cookie: str | None) -> Session | None:
        """Return the session of a cookie while it lasts."""
        session = self._sessions.get(_name(cookie)) if cookie else None
        if session is not None and session.ends <= self._now():
            self.close(cookie)
            return None
        return session

    def close(self, cookie: str | None) -> None:
        """End a session."""
        if cookie:
            self._sessions.pop(_name(cookie), None)


def _name(cookie: str) -> str:
    """Keep only the hash: what is in memory opens no session, and lookups tell nothing by their time."""
    return hashlib.sha256(cookie.encode()).hexdigest()
