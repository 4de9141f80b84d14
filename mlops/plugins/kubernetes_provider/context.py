"""What every operation needs: settings, the API server, the engine, and what was learned on the way."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from mlops.plugins.kubernetes_provider import kinds
from mlops.plugins.kubernetes_provider.client import Client, Resource
from mlops.plugins.kubernetes_provider.config import Settings
from mlops.plugins.kubernetes_provider.engine import Log, Status
from mlops.plugins.kubernetes_provider.errors import (
    ApiError,
    CancelledError,
    NoSuchKindError,
    UnreachableError,
)
from mlops.plugins.kubernetes_provider.inputs import is_crd
from mlops.plugins.kubernetes_provider.journal import Journal
from mlops.plugins.kubernetes_provider.objects import Kind, dig
from mlops.plugins.kubernetes_provider.readiness.waiting import Waiter

__all__ = ["Context"]

_RETRIES = 5
_FIRST_DELAY = 0.5


@dataclass
class Context:
    """One configured provider."""

    settings: Settings
    client: Client
    log: Log
    journal: Journal
    stop: threading.Event
    first_delay: float = _FIRST_DELAY
    """Seconds before the first retry of what a creation needs and does not find."""
    _scopes: dict[tuple[str, str], bool] = field(default_factory=dict)

    def status(self, urn: str) -> Status:
        """Return the status lines of a resource."""
        return Status(self.log, urn)

    def waiter(self, status: Status) -> Waiter:
        """Return what waits on behalf of a resource."""
        return Waiter(self.client, self.stop, status)

    def remember_crd(self, inputs: dict[str, Any]) -> None:
        """Note the scope of a kind that the program is about to define."""
        if is_crd(inputs):
            key = (str(dig(inputs, "spec", "group")), str(dig(inputs, "spec", "names", "kind")))
            self._scopes[key] = dig(inputs, "spec", "scope") != "Cluster"

    def namespaced(self, kind: Kind) -> bool | None:
        """Say whether a kind lives in a namespace; None where nobody can tell yet."""
        known = kinds.namespaced(kind)
        if known is None:
            known = self._scopes.get((kind.group, kind.kind))
        if known is None and self.client.reachable:
            try:
                known = self.client.resource(kind).namespaced
            except (ApiError, NoSuchKindError, UnreachableError):
                return None
        return known

    def served(self, kind: Kind) -> Resource | None:
        """Return where a kind is served, or None where it is not (yet) or nobody answers."""
        if not self.client.reachable:
            return None
        try:
            return self.client.resource(kind)
        except (ApiError, NoSuchKindError, UnreachableError):
            return None

    def awaited(self, kind: Kind, status: Status) -> Resource:
        """Return where a kind is served, giving a definition that was just made a moment to take effect."""
        for attempt in range(_RETRIES + 1):
            try:
                return self.client.resource(kind)
            except NoSuchKindError as error:
                if attempt == _RETRIES:
                    raise
                status.say(f"Retry #{attempt}; creation failed: {error}")
            self.pause(attempt, kind.kind)
        raise AssertionError

    def pause(self, attempt: int, name: str) -> None:
        """Sleep before another attempt; wake up and raise when the engine cancels."""
        if self.stop.wait(self.first_delay * 2**attempt):
            raise CancelledError(name)

    def placed(self, resource: Resource, obj: dict[str, Any]) -> dict[str, Any]:
        """Return the object in the namespace its kind calls for: its own, the default one, or none."""
        meta = dict(obj.get("metadata", {}))
        if not resource.namespaced:
            meta.pop("namespace", None)
        elif not meta.get("namespace"):
            meta["namespace"] = self.settings.namespace
        return {**obj, "metadata": meta}
