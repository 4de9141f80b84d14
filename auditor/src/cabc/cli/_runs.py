"""What the commands about runs share: open the record, load a document, print verdicts."""

from __future__ import annotations

import datetime as dt
import getpass
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cabc.document.loaded import LoadedDocument
    from cabc.interfaces.base import Connection
    from cabc.record.types import StatusRecord

__all__ = [
    "COLOURS",
    "document_of",
    "now",
    "plain",
    "status_line",
    "user",
]

COLOURS = {
    "satisfied": "green",
    "not-satisfied": "red",
    "error": "magenta",
    "needs-review": "yellow",
    "not-evaluated": "yellow",
    "not-applicable": "dim",
    "none": "dim",
    "conformant": "green",
    "conditional": "yellow",
    "suspended": "red",
    "revoked": "bold red",
}


def now() -> dt.datetime:
    """Return the time; the only clock of these commands."""
    return dt.datetime.now(dt.UTC)


def user() -> str:
    """Return who is at the keyboard."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def document_of(spec: Path, connections: Mapping[str, Connection] | None = None) -> LoadedDocument:
    """Load a specification; with connections, what it refers to must be there."""
    from cabc.loading import load

    kinds = None if connections is None else {name: each.kind for name, each in connections.items()}
    return load(spec, connections=kinds)


def status_line(status: StatusRecord | None, subject: str) -> str:
    """Return one line about a status, in rich markup."""
    from rich.markup import escape

    from cabc.text import one_line

    if status is None:
        return f"[bold]{escape(subject)}[/]: none (no complete assessment yet)"
    colour = COLOURS[status.status.value]
    version = f" version {escape(one_line(status.version))}" if status.version else ""
    since = f"since {status.since:%Y-%m-%d %H:%M} UTC"
    cause = escape(one_line(status.cause, limit=500))
    return f"[bold]{escape(subject)}[/]{version}: [{colour}]{status.status.value}[/] {since}: {cause}"


def plain(body: Any) -> Any:
    """Return a model as JSON has it."""
    return body.model_dump(mode="json", by_alias=True)
