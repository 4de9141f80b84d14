"""What can go wrong, as the provider sees it.

ProviderError
├── RefusedError        asked for something only the official plugin does
├── UnreachableError    no API server answers
├── NoSuchKindError     the API server does not serve this apiVersion and kind
├── ApiError            the API server answered with a Status that is a failure
├── CancelledError      the engine asked us to stop
├── NotReadyError       the object exists but did not become ready (or did not go away)
└── PartialError        the same, with all that the engine has to store
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "ApiError",
    "CancelledError",
    "NoSuchKindError",
    "NotReadyError",
    "PartialError",
    "ProviderError",
    "RefusedError",
    "UnreachableError",
]

BAD_REQUEST, FORBIDDEN, NOT_FOUND, CONFLICT, INVALID = 400, 403, 404, 409, 422


class ProviderError(Exception):
    """Anything this provider reports to the engine."""


class RefusedError(ProviderError):
    """A feature of the official plugin that this stand-in does not have."""

    def __init__(self, what: str, name: str = "") -> None:
        super().__init__(
            f"{what}{' ' if name else ''}{name} is not supported by this stand-in for the Kubernetes provider; the "
            "official plugin pulumi-resource-kubernetes 4.34.2 does it (where the internet is reachable: "
            "`pulumi plugin install resource kubernetes 4.34.2`)"
        )


class UnreachableError(ProviderError):
    """No API server answers, or no usable kubeconfig was given."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"configured Kubernetes cluster is unreachable: {reason}")
        self.reason = reason


class NoSuchKindError(ProviderError):
    """The API server does not serve this apiVersion and kind (yet)."""

    def __init__(self, api_version: str, kind: str) -> None:
        super().__init__(f'no matches for kind "{kind}" in version "{api_version}"')


class CancelledError(ProviderError):
    """The engine asked us to stop while we were waiting."""

    def __init__(self, name: str) -> None:
        super().__init__(f'Resource operation was cancelled for "{name}"')


class ApiError(ProviderError):
    """A failure Status of the API server."""

    def __init__(self, status: int, body: dict[str, Any] | None = None, text: str = "") -> None:
        self.status = status
        self.body = body or {}
        self.reason = str(self.body.get("reason", ""))
        self.message = str(self.body.get("message") or text or f"HTTP status {status}")
        super().__init__(self.message)

    @property
    def not_found(self) -> bool:
        """Say whether the object (or its namespace) does not exist."""
        return self.status == NOT_FOUND

    @property
    def already_exists(self) -> bool:
        """Say whether an object of this name exists."""
        return self.status == CONFLICT and self.reason == "AlreadyExists"

    @property
    def conflict(self) -> bool:
        """Say whether another writer or field manager stands against the request."""
        return self.status == CONFLICT and self.reason != "AlreadyExists"

    @property
    def invalid(self) -> bool:
        """Say whether validation refused the object."""
        return self.status == INVALID

    @property
    def bad_request(self) -> bool:
        """Say whether the request made no sense to the server."""
        return self.status == BAD_REQUEST

    @property
    def forbidden(self) -> bool:
        """Say whether authorization or admission refused the request."""
        return self.status == FORBIDDEN

    @property
    def details(self) -> dict[str, Any]:
        """Return the structured details of the Status."""
        details = self.body.get("details")
        return details if isinstance(details, dict) else {}

    @property
    def causes(self) -> list[dict[str, Any]]:
        """Return the causes of the Status: one per invalid or conflicting field."""
        causes = self.details.get("causes")
        return causes if isinstance(causes, list) else []

    @property
    def namespace_missing(self) -> bool:
        """Say whether what was not found is the namespace."""
        return self.not_found and self.details.get("kind") == "namespaces"


class NotReadyError(ProviderError):
    """The object exists, but what we waited for did not happen."""

    def __init__(self, message: str, reasons: list[str], live: dict[str, Any]) -> None:
        super().__init__(message)
        self.reasons = reasons
        self.live = live


class PartialError(ProviderError):
    """The object exists and must be stored, but something about it is not as it should be."""

    def __init__(self, resource_id: str, outputs: dict[str, Any], inputs: dict[str, Any], reasons: list[str]) -> None:
        super().__init__(reasons[0])
        self.id = resource_id
        self.outputs = outputs
        self.inputs = inputs
        self.reasons = reasons
