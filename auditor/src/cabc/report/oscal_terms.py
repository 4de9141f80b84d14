"""The small things of OSCAL: tokens, ids, instants, properties, frequencies, hashes."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from typing import Any

from cabc.document.durations import parse_duration
from cabc.report.status import NAMESPACE

__all__ = ["NS", "frequency", "instant", "lean", "name_uuid", "props", "rlink", "token"]

NS = "urn:cabc:oscal"
"""Namespace of our properties."""


def frequency(text: str | None) -> dict[str, Any] | None:
    """Return an ISO 8601 duration in OSCAL's units, which know no weeks; None for cron, `on-event` and fractions."""
    try:
        seconds = parse_duration(text or "").total_seconds()
    except ValueError:
        return None
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60), ("seconds", 1)):
        if seconds % size == 0:
            return {"period": int(seconds // size), "unit": unit}
    return None


def props(**values: str | None) -> list[dict[str, str]]:
    """Return properties of our namespace; those without text are left out."""
    return [
        {"name": name.replace("_", "-"), "ns": NS, "value": " ".join(str(value).split())}
        for name, value in values.items()
        if value and str(value).strip()
    ]


def token(path: str) -> str:
    """Return a path as an OSCAL token."""
    token = re.sub(r"[^A-Za-z0-9._-]", ".", path)
    return token if re.match(r"[A-Za-z_]", token) else f"_{token}"


def name_uuid(*names: str) -> str:
    """Return the id that follows from a name, the same in every export."""
    return str(uuid.uuid5(NAMESPACE, "/".join(names)))


def instant(at: dt.datetime) -> str:
    """Return an instant as OSCAL writes it."""
    return at.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


def lean(part: Any) -> Any:
    """Return the document without what is empty, which OSCAL does not allow; `include-all` is empty by design."""
    if isinstance(part, dict):
        kept = {key: value if key == "include-all" else lean(value) for key, value in part.items()}
        return {key: value for key, value in kept.items() if key == "include-all" or value not in (None, [], {})}
    if isinstance(part, list):
        return [lean(value) for value in part]
    return part


def rlink(href: str, media_type: str, digest: str) -> dict[str, Any]:
    """Return a pointer to bytes that are named by their digest."""
    return {
        "href": href,
        "media-type": media_type if re.fullmatch(r"[\w.+-]+/[\w.+-]+", media_type) else "application/octet-stream",
        "hashes": [{"algorithm": "SHA-256", "value": digest.partition(":")[2]}],
    }
