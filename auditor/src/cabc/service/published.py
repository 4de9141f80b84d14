"""What anybody may read: files that the publisher put out, and only when they are what the record says."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass

from cabc.record.types import Publication
from cabc.report.pages import moment
from cabc.service.problems import ProblemError
from cabc.service.state import State
from cabc.text import one_line

__all__ = ["MEDIA", "PublicFile", "Said", "file_of", "latest", "public_files", "published_subjects", "said"]

MEDIA = {
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".atom": "application/atom+xml",
}
PUBLIC = frozenset({"status.json", "badge.json", "badge.svg", "statement.dsse.json", "feed.atom"})
"""Reports may lie beside these and are nobody's but their readers'."""


@dataclass(frozen=True, slots=True)
class PublicFile:
    """A published file, found to be what the record says."""

    body: bytes
    media_type: str


def published_subjects(state: State) -> list[str]:
    """Return the subjects that have something published."""
    return [subject for subject in state.record.subjects() if state.record.publications(subject, limit=1)]


def latest(state: State, subject: str) -> Publication:
    """Return the last publication of a subject."""
    found = state.record.publications(subject, limit=1)
    if not found:
        raise ProblemError(404, "Nothing is published under this name.")
    return found[0]


def public_files(publication: Publication) -> dict[str, str]:
    """Return the public files of a publication with their digests."""
    return {name: digest for name, digest in publication.files.items() if name in PUBLIC}


def file_of(state: State, subject: str, name: str) -> PublicFile:
    """Return a public file's bytes; what differs from the record is never given out."""
    publication = latest(state, subject)
    digest = public_files(publication).get(name)
    if digest is None:
        raise ProblemError(404, "There is no published file with this name.")
    folder = state.home.published.resolve()
    path = (folder / subject / name).resolve()
    if path.is_relative_to(folder) and path.is_file():
        body = path.read_bytes()
        if f"sha256:{hashlib.sha256(body).hexdigest()}" == digest:
            return PublicFile(body, MEDIA.get("." + name.rpartition(".")[2], "application/octet-stream"))
    raise ProblemError(503, "The published file is being renewed, or is not what the record says.")


@dataclass(frozen=True, slots=True)
class Said:
    """What the published status says, for the public page."""

    mode: str
    cause: str | None
    facts: dict[str, str]


def said(state: State, subject: str) -> Said | None:
    """Return what the published status file says; None when it cannot be had or read."""
    try:
        found = json.loads(file_of(state, subject, "status.json").body)
    except (ProblemError, ValueError):
        return None
    if not isinstance(found, dict) or found.get("mode") not in _MODES:
        return None
    facts = {title: value for title, *path in _FACTS if (value := _text(found, path))}
    return Said(found["mode"], _text(found, ["cause"]), facts)


def _text(found: object, path: list[str]) -> str | None:
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    if not isinstance(found, str | int):
        return None
    with suppress(ValueError):
        if path[-1] in _INSTANTS:
            return moment(dt.datetime.fromisoformat(str(found)))
    return one_line(str(found), limit=500)


_MODES = {"self-assessment", "third-party", "certification"}
_INSTANTS = {"since", "validUntil", "ended"}
_FACTS = (
    ("Since", "since"),
    ("Valid until", "validUntil"),
    ("Model version", "subject", "version"),
    ("Model artefact", "subject", "digest"),
    ("Specification", "specification", "id"),
    ("Version of the specification", "specification", "version"),
    ("Assessed", "assessment", "ended"),
)
