"""`cabc diff`: two versions of a document, or two assessments."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cabc.cli._common import DEFAULT_HOME, HomeOption, JsonOption, open_home
from cabc.cli._runs import document_of
from cabc.errors import CabcError

if TYPE_CHECKING:
    from cabc.engine.diff import AssessmentDiff, Change, DocumentDiff

__all__ = ["register"]

HIDDEN = "confidential"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("diff")(diff)


def diff(
    before: Annotated[str, typer.Argument(metavar="A", help="A specification's file, or an assessment's id.")],
    after: Annotated[str, typer.Argument(metavar="B", help="The newer one, of the same sort.")],
    *,
    json_: JsonOption = False,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Show what changed. Ends with 1 when documents ask for less, or when something satisfied is not any more."""
    files = [Path(name) for name in (before, after)]
    if all(file.is_file() for file in files):
        found: DocumentDiff | AssessmentDiff = _documents(files[0], files[1], home)
    else:
        found = _assessments(before, after, home)
    body = _body(found)
    if json_:
        typer.echo(json.dumps(body, indent=2, ensure_ascii=False))
    else:
        for line in _lines(found):
            typer.echo(line)
    if getattr(found, "loosened", False) or getattr(found, "worse", False):
        raise typer.Exit(1)


def _documents(before: Path, after: Path, home: Path) -> DocumentDiff:
    from cabc.engine.diff import compare_documents

    old, new = document_of(before), document_of(after)
    return compare_documents(old, new, _baseline(home, new.specification.subject.name))


def _baseline(home: Path, subject: str) -> dict[str, object]:
    """Return the values of the pinned assessment; none when there is no record or no pin."""
    from cabc.record.types import Verdict

    place = open_home(home)
    if place.settings.database is None and not place.path("record.db").exists():
        return {}
    with place.record("read") as record:
        pin = record.baseline(subject)
        observations = list(record.observations(pin.assessment)) if pin else []
    had = {Verdict.SATISFIED, Verdict.NOT_SATISFIED}
    return {each.path: each.value for each in observations if each.verdict in had}


def _assessments(before: str, after: str, home: Path) -> AssessmentDiff:
    from cabc.engine.diff import compare_assessments
    from cabc.text import one_line

    with open_home(home).record("read") as record:
        parts = []
        for name in (before, after):
            if record.assessment(name) is None:
                msg = f"{one_line(name)!r} is neither a file nor an assessment"
                raise CabcError(msg, fix="cabc status SUBJECT --json names the assessments of its history")
            parts.append((list(record.observations(name)), record.findings(name)))
    return compare_assessments(parts[0], parts[1])


def _body(found: DocumentDiff | AssessmentDiff) -> dict[str, Any]:
    body = asdict(found)
    for changes in body.values():
        for change in changes:
            if isinstance(change, dict) and change.pop("confidential") and change["what"] != "verdict":
                change["before"] = change["after"] = HIDDEN
    return body


def _lines(found: DocumentDiff | AssessmentDiff) -> list[str]:
    from cabc.engine.diff import DocumentDiff

    lines = [f"+ {path}" for path in found.added] + [f"- {path}" for path in found.removed]
    if isinstance(found, DocumentDiff):
        lines += _changed(found.changes)
        lines += [f"on the pinned baseline: {line[2:]}" for line in _changed(found.verdicts, directed=False)]
    else:
        for changes in (found.requirements, found.verdicts, found.values, found.targets):
            lines += _changed(changes, directed=False)
    return lines or ["no difference"]


def _changed(changes: Sequence[Change], *, directed: bool = True) -> list[str]:
    from cabc.text import one_line

    lines = []
    for each in changes:
        hidden = each.confidential and each.what != "verdict"
        what = f"{each.path} {each.what}: " + (HIDDEN if hidden else f"{each.before} → {each.after}")
        direction = f" ({each.direction})" if directed and each.direction != "changed" else ""
        lines.append(f"~ {one_line(what, limit=500)}{direction}")
    return lines
