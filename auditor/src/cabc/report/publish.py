"""Put a subject's status and reports out as files, each written whole, and record what was put out."""

from __future__ import annotations

import datetime as dt
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from cabc.document.loaded import LoadedDocument
from cabc.engine.history import stored_document
from cabc.errors import CabcError
from cabc.record.canonical import digest
from cabc.record.chain import draft
from cabc.record.store import Record
from cabc.record.types import Publication
from cabc.report.badge import badge_json, badge_svg
from cabc.report.formats import FORMATS, render
from cabc.report.oscal import assessment_results, plan_of_action
from cabc.report.statement import Signer, envelope, statement
from cabc.report.status import feed, status_json
from cabc.report.types import ReportView
from cabc.report.view import view

__all__ = ["RESTRICTED", "changed_files", "publish"]

RESTRICTED = "restricted"
"""Folder of what only the parties of the audit may read: owner-only, never to be served to everybody."""


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

    Files are written before they are recorded, the status last: after a kill the next call completes both.
    """
    with record.lease(subject, "publish"):
        latest = record.assessments(subject, limit=1)
        if not latest:
            msg = f"{subject} has no assessment yet, so there is nothing to publish"
            raise CabcError(msg, fix="run `cabc assess` first")
        document = document or stored_document(record, latest[0].specification)
        files = _files(record, latest[0].id, document, keys)
        for name, body in files.items():
            _write(folder / subject / name, body)
        _remove_others(folder / subject, set(files))
        report = Publication(
            subject=subject,
            status=_public(record, latest[0].id, document).status.status,
            assessment=latest[0].id,
            published=now,
            files={name: digest(body) for name, body in files.items()},
        )
        for last in record.publications(subject, limit=1):
            if last.model_copy(update={"published": now}) == report:
                return last
        # Two publications may carry the same time; what they put out tells them apart.
        contents = digest(report.model_dump_json(include={"status", "files"}).encode())
        record.append([draft(report, key=f"{latest[0].id}:{now.isoformat()}:{contents[-16:]}")])
        return report


def changed_files(publication: Publication, folder: Path) -> list[str]:
    """Return the published files that are missing or differ from what was recorded."""
    changed = []
    for name, wanted in publication.files.items():
        file = folder / publication.subject / name
        if not file.is_file() or digest(file.read_bytes()) != wanted:
            changed.append(name)
    return changed


def _public(record: Record, assessment: str, document: LoadedDocument) -> ReportView:
    return view(record, assessment, reader="executive", document=document)


def _files(record: Record, assessment: str, document: LoadedDocument, keys: Signer) -> dict[str, bytes]:
    public = _public(record, assessment, document)
    files = {f"report.{format_}": render(public, format_) for format_ in FORMATS if format_ != "csv"}
    files |= {"badge.svg": badge_svg(public), "badge.json": _json(badge_json(public)), "feed.atom": feed(public)}
    if (claim := statement(public)) is not None:
        files["statement.dsse.json"] = _json(envelope(claim, keys))
    for reader in ("engineer", "auditor"):
        report = view(record, assessment, reader=reader, document=document)
        files |= {f"{RESTRICTED}/{reader}.{format_}": render(report, format_) for format_ in FORMATS}
        if reader == "auditor":
            files[f"{RESTRICTED}/assessment-results.json"] = _json(assessment_results(report))
            if (plan := plan_of_action(report)) is not None:
                files[f"{RESTRICTED}/plan-of-action.json"] = _json(plan)
    files["status.json"] = _json(status_json(public))
    return files


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
