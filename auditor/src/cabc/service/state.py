"""What one process of the service holds."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from cabc.home import Home
from cabc.record.store import Record
from cabc.service.authentication import Authenticator
from cabc.service.documents import Documents
from cabc.service.limits import RateLimit
from cabc.service.problems import ProblemError
from cabc.service.sessions import Sessions
from cabc.triggers.webhook import Replays

if TYPE_CHECKING:
    from cabc.service.metrics import Metrics
    from cabc.service.plugins import PluginPages
    from cabc.service.worker import Worker

__all__ = ["ProcessRole", "State"]

ProcessRole = Literal["all", "collect", "assess", "publish"]


@dataclass
class State:
    """Shared by every request. The record does its own locking."""

    home: Home
    role: ProcessRole
    record: Record
    now: Callable[[], dt.datetime]
    documents: Documents
    authenticator: Authenticator
    sessions: Sessions
    metrics: Metrics = field(init=False)
    worker: Worker = field(init=False)
    plugins: dict[str, PluginPages] = field(default_factory=dict)
    """Pages of installed packages that are served, by their names."""
    login_limit: RateLimit = field(default_factory=lambda: RateLimit(5, 10.0))
    """Five tries, then one every ten seconds."""
    hook_limit: RateLimit = field(default_factory=lambda: RateLimit(60, 1.0))
    replays: Replays = field(default_factory=Replays)

    def part(self, role: ProcessRole) -> None:
        """Refuse what another process has to do, because this one's database role cannot."""
        if self.role not in {"all", role}:
            raise ProblemError(503, f"This is the process {self.role}; ask the process {role}.")

    def subjects(self) -> list[str]:
        """Return every subject that is audited or was."""
        return sorted({*self.documents.subjects(), *self.record.subjects()})
