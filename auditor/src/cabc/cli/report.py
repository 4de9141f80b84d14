"""Reports, publishing and traces on the command line."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cabc.cli._common import DEFAULT_HOME, HomeOption, JsonOption, open_home
from cabc.errors import CabcError

if TYPE_CHECKING:
    from cabc.home import Home
    from cabc.report.trace import Trace
    from cabc.report.types import ReportView

__all__ = ["register"]


class Reader(StrEnum):
    """Whom a report is for."""

    EXECUTIVE = "executive"
    ENGINEER = "engineer"
    AUDITOR = "auditor"


class Format(StrEnum):
    """What a report is written as."""

    HTML = "html"
    MARKDOWN = "md"
    PDF = "pdf"
    JSON = "json"
    CSV = "csv"
    OSCAL = "oscal"
    POAM = "poam"


ReaderOption = Annotated[Reader, typer.Option("--reader", help="Whom it is for: decides what is shown.")]
FormatOption = Annotated[
    Format, typer.Option("--format", help="oscal: Assessment Results; poam: Plan of Action and Milestones.")
]
OutputOption = Annotated[Path | None, typer.Option("--output", "-o", help="File to write; standard output without.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("report")(report)
    app.command("publish")(publish)
    app.command("trace")(trace)


def report(
    subject: Annotated[str, typer.Argument(metavar="SUBJECT|ASSESSMENT", help="A subject's latest, or this one.")],
    reader: ReaderOption = Reader.ENGINEER,
    format_: FormatOption = Format.MARKDOWN,
    output: OutputOption = None,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Write the report of an assessment for a reader."""
    body = _rendered(_view(open_home(home), subject, reader), format_)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_bytes(body)
        typer.echo(f"wrote {output} ({len(body)} bytes)", err=True)
    elif sys.stdout.isatty() and format_ is Format.PDF:
        raise CabcError("a PDF on a terminal helps nobody", fix="add `-o report.pdf`")
    else:
        sys.stdout.buffer.write(body)


def publish(
    subject: Annotated[str, typer.Argument(help="Subject whose latest status is put out.")],
    *,
    json_: JsonOption = False,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Write status, badge, statement, feed and reports into the published folder; again is no change."""
    import datetime as dt

    from cabc.record.keys import Keys
    from cabc.record.store import RunBusyError
    from cabc.report.publish import publish as put_out

    place = open_home(home)
    with place.record("publish") as record:
        try:
            done = put_out(record, subject, place.published, Keys(place.keys), now=dt.datetime.now(dt.UTC))
        except RunBusyError as error:
            raise CabcError("another process is publishing this subject", fix="try again in ten seconds") from error
    if json_:
        typer.echo(done.model_dump_json(by_alias=True, indent=2))
        return
    typer.echo(f"{done.subject}: {done.status.value}, {len(done.files)} files in {place.published / done.subject}")
    typer.echo(f"published {done.published:%Y-%m-%d %H:%M:%S} UTC, assessment {done.assessment}")


def trace(
    subject: Annotated[str, typer.Argument(metavar="SUBJECT|ASSESSMENT")],
    name: Annotated[str, typer.Argument(metavar="RISK|REQUIREMENT|LEAF", help="A path may be given by its end.")],
    *,
    json_: JsonOption = False,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Follow a risk to its evidence, or a measurement to its risks."""
    from cabc.report.trace import trace as follow

    found = follow(_view(open_home(home), subject, Reader.AUDITOR), name)
    if json_:
        import json
        from dataclasses import asdict

        typer.echo(json.dumps(asdict(found), indent=2, ensure_ascii=False))
        return
    for line in _lines(found, 0):
        typer.echo(line)


def _lines(found: Trace, depth: int) -> list[str]:
    verdict = f" [{found.verdict.replace('-', ' ')}]" if found.verdict else ""
    own = f"{'  ' * depth}{found.kind} {found.id}{verdict}  {found.text}"
    return [own, *(line for link in found.links for line in _lines(link, depth + 1))]


def _view(home: Home, name: str, reader: Reader) -> ReportView:
    """Return the view of a subject's latest assessment, or of the assessment with this id."""
    from cabc.report.view import view
    from cabc.text import safe

    with home.record("read") as record:
        latest = record.assessments(name, limit=1)
        if not latest and record.assessment(name) is None:
            known = ", ".join(record.subjects()) or "none yet"
            msg = f"{safe(name)!r} is neither a subject with an assessment nor an assessment"
            raise CabcError(msg, fix=f"subjects: {known}; `cabc assess` makes an assessment")
        return view(record, latest[0].id if latest else name, reader=reader.value)


def _rendered(seen: ReportView, format_: Format) -> bytes:
    if format_ is Format.OSCAL:
        from cabc.report.oscal import assessment_results

        return _json(assessment_results(seen))
    if format_ is Format.POAM:
        from cabc.report.oscal import plan_of_action

        plan = plan_of_action(seen)
        if plan is None:
            raise CabcError("nothing fails, so there is no plan of action to write")
        return _json(plan)
    from cabc.report.formats import FORMATS, render

    return render(seen, next(name for name in FORMATS if name == format_.value))


def _json(body: dict[str, Any]) -> bytes:
    import json

    return (json.dumps(body, indent=2, ensure_ascii=False) + "\n").encode()
