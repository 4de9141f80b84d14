"""What the language host tells the engine, which tells the user."""

from __future__ import annotations

__all__ = ["HostError"]


class HostError(Exception):
    """A program cannot be prepared or run; the message reaches the user as it is."""
