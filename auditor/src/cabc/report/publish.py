"""Put a subject's status and reports out as files, each written whole, and record what was put out."""

from __future__ import annotations

import datetime as dt
import json
import os
import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from cabc.document.loaded import LoadedDocument
from cabc.engine.history import stored_document
from cabc.errors import CabcError
from cabc.record.canonical import digest
from cabc.record.chain import draft
from cabc.record.published import PURPOSE, differing, files_of
from cabc.record.store import Record
from cabc.record.types import Publication
from cabc.report.badge import badge_json, badge_svg
from cabc.report.formats import FORMATS, render
from cabc.report.oscal import assessment_results, plan_of_action
from cabc.report.statement import Signer, envelope, statement
from cabc.report.status import feed, status_json
from cabc.report.types import Reader, ReportView
from cabc.report.view import view

__all__ = ["RESTRICTED", "changed_files", "publish"]

RESTRICTED = "restricted"
"""Folder of what only the parties of the audit may read: owner-only, never to be served to everybody."""

_LEASE = 10.0
"""Seconds that a publisher which was killed is in the way."""
_RESTRICTED_READERS: list[Reader] = ["engineer", "auditor"]


def publish(
    record: Record,
    subject: str,
    folder: Path,
    keys: Signer,
    *,
    now: dt.datetime,
    document: LoadedDocument | None = None,
) -> Publication:
    """Write the files of a subject's latest assessment and status into `folder/<subject>/`; again is no change.

    The status is written first, then what is long in the making; files are recorded when all are there. After a kill
    the next call completes what is missing. RunBusyError while another process publishes the subject.
    """
    with record.lease(subject, PURPOSE, seconds=_LEASE):
        latest = record.assessments(subject, limit=1)
        if not latest:
            msg = f"{subject} has no assessment yet, so there is nothing to publish"
            raise CabcError(msg, fix="run `cabc assess` first")
        document = document or stored_document(record, latest[0].specification)
        public = view(record, latest[0].id, reader="executive", document=document)
        digests: dict[str, str] = {}
        for name, body in chain(_status(public, keys), _reports(record, public, document)):
            _write(folder / subject / name, body)
            digests[name] = digest(body)
        _remove_others(folder / subject, set(digests))
        done = Publication(
            subject=subject,
            status=public.status.status,
            assessment=latest[0].id,
            published=now,
            files=dict(sorted(digests.items())),
        )
        for last in record.publications(subject, limit=1):
            if last.model_copy(update={"published": now}) == done:
                return last
        # Two publications may carry the same time; what they put out tells them apart.
        contents = digest(done.model_dump_json(include={"status", "files"}).encode())
        record.append([draft(done, key=f"{latest[0].id}:{now.isoformat()}:{contents[-16:]}")])
        return done


def changed_files(publication: Publication, folder: Path) -> list[str]:
    """Return the published files that are missing or differ from what was recorded."""
    return list(differing(publication, files_of(folder, publication)))


def _status(public: ReportView, keys: Signer) -> Iterator[tuple[str, bytes]]:
    yield "status.json", _json(status_json(public))
    if (claim := statement(public)) is not None:
        yield "statement.dsse.json", _json(envelope(claim, keys))
    yield "badge.json", _json(badge_json(public))
    yield "badge.svg", badge_svg(public)
    yield "feed.atom", feed(public)


def _reports(record: Record, public: ReportView, document: LoadedDocument) -> Iterator[tuple[str, bytes]]:
    for format_ in FORMATS:
        if format_ != "csv":  # an executive sees no leaves
            yield f"report.{format_}", render(public, format_)
    for reader in _RESTRICTED_READERS:
        report = view(record, public.assessment.id, reader=reader, document=document)
        for format_ in FORMATS:
            yield f"{RESTRICTED}/{reader}.{format_}", render(report, format_)
        if reader == "auditor":
            yield f"{RESTRICTED}/assessment-results.json", _json(assessment_results(report))
            if (plan := plan_of_action(report)) is not None:
                yield f"{RESTRICTED}/plan-of-action.json", _json(plan)


def _json(body: Any) -> bytes:
    return (json.dumps(body, indent=2, ensure_ascii=False, sort_keys=True) + "\n").encode()


def _write(file: Path, body: bytes) -> None:
    """Write a file whole: its readers see the old one or the new one. What is the same already is left alone."""
    restricted = file.parent.name == RESTRICTED
    file.parent.mkdir(parents=True, exist_ok=True)
    if restricted:
        file.parent.chmod(0o700)
    if file.is_file() and file.read_bytes() == body:
        return
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=".new-")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(body)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(0o600 if restricted else 0o644)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _remove_others(folder: Path, names: set[str]) -> None:
    """Remove what an earlier publication or a killed one left: a stale statement must not outlive its status."""
    for file in folder.rglob("*"):
        if file.is_file() and str(file.relative_to(folder)) not in names:
            file.unlink()
