"""`cabc status` and what people say: waive, attest, revoke, pin a baseline."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cabc.cli._common import DEFAULT_HOME, HomeOption, JsonOption, open_home
from cabc.cli._runs import COLOURS, now, plain, status_line, user
from cabc.errors import CabcError

if TYPE_CHECKING:
    from rich.console import Console

    from cabc.record.database import DatabaseRecord
    from cabc.record.types import StatusRecord

__all__ = ["register"]

SubjectArgument = Annotated[str, typer.Argument(help="Name of the subject.")]
UntilOption = Annotated[
    str, typer.Option("--until", help="End: an instant with its time zone (2027-01-31T18:00Z), or a duration (P14D).")
]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; readers of reports see it.")]
ByOption = Annotated[str | None, typer.Option("--by", help="Who says so; you when not given.")]

_baseline = typer.Typer(no_args_is_help=True, help="The assessment that baseline-relative targets count from.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("status")(status)
    app.command("waive")(waive)
    app.command("attest")(attest)
    app.command("revoke")(revoke)
    app.add_typer(_baseline, name="baseline")


def status(
    subject: Annotated[str | None, typer.Argument(help="Name of the subject; all of them without.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="Steps of the history to show.")] = 20,
    *,
    json_: JsonOption = False,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Show the conformity status, its cause and its history. Ends with 0 when all that is shown is conformant."""
    from cabc.record.types import Status

    with open_home(home).record("read") as record:
        names = [subject] if subject else record.subjects()
        if subject and subject not in record.subjects():
            msg = f"there is no subject {subject!r}"
            raise CabcError(msg, fix=f"subjects: {', '.join(record.subjects()) or 'none yet'}")
        if json_:
            bodies = [_status_body(record, name, limit) for name in names]
            typer.echo(json.dumps(bodies[0] if subject else bodies, indent=2, ensure_ascii=False))
        else:
            _print(record, names, limit, detailed=subject is not None)
        found = [_current(record, name) for name in names]
    if not found or any(each is None or each.status is not Status.CONFORMANT for each in found):
        raise typer.Exit(1)


def _current(record: DatabaseRecord, subject: str) -> StatusRecord | None:
    """Return the status, with what time did to it since it was recorded."""
    from cabc.engine.statements import audited
    from cabc.engine.status import elapse

    held = record.status(subject)
    last = record.assessments(subject, limit=1)
    if held is None or not last:
        return held
    policy = audited(record, subject).specification.status_policy
    return elapse(policy, held, last[0].ended, now()) or held


def _status_body(record: DatabaseRecord, subject: str, limit: int) -> dict[str, Any]:
    current = _current(record, subject)
    pin = record.baseline(subject)
    return {
        "subject": subject,
        "status": plain(current) if current else None,
        "history": [plain(each) for each in record.history(subject, limit=limit)],
        "waivers": [plain(each) for each in record.waivers(subject) if each.expires > now()],
        "attestations": [plain(each) for each in record.attestations(subject) if each.valid_until > now()],
        "baseline": plain(pin) if pin else None,
        "waitingTriggers": len(record.triggers(subject)),
    }


def _print(record: DatabaseRecord, names: list[str], limit: int, *, detailed: bool) -> None:
    from rich.console import Console

    console = Console(soft_wrap=True, highlight=False)
    if not names:
        console.print("no subject yet; cabc assess makes the first assessment")
    for name in names:
        console.print(status_line(_current(record, name), name))
        if detailed:
            _print_details(console, record, name, limit)


def _print_details(console: Console, record: DatabaseRecord, subject: str, limit: int) -> None:
    from rich.markup import escape

    from cabc.text import one_line

    for waiver in record.waivers(subject):
        if waiver.expires > now():
            said = f"{waiver.requirement} waived until {waiver.expires:%Y-%m-%d %H:%M} UTC by {waiver.approver}"
            console.print(escape(one_line(f"{said}: {waiver.reason}", limit=500)))
    if pin := record.baseline(subject):
        console.print(escape(f"baseline: assessment {pin.assessment}, pinned by {pin.actor}"))
    if waiting := len(record.triggers(subject)):
        console.print(f"{waiting} triggers wait for the next run")
    console.print("\n[bold]history[/]")
    for step in record.history(subject, limit=limit):
        colour = COLOURS[step.status.value]
        version = f" version {step.version}" if step.version else ""
        moved = f"[{colour}]{step.status.value}[/]" + (
            f" (was {step.previous.value})" if step.previous is not step.status else ""
        )
        cause = escape(one_line(f"{version}: {step.cause}", limit=500))
        console.print(f"  {step.since:%Y-%m-%d %H:%M:%S}  {moved}{cause}")


def waive(
    subject: SubjectArgument,
    requirement: Annotated[str, typer.Argument(help="Path of the requirement, dimension/requirement.")],
    reason: ReasonOption,
    until: UntilOption,
    approver: Annotated[str | None, typer.Option("--approver", help="Who accepts it; you when not given.")] = None,
    *,
    json_: JsonOption = False,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Accept a requirement's failure until an instant. The verdict stays; the next assessment sees the waiver."""
    from cabc.engine import statements

    with open_home(home).record() as record:
        document = statements.audited(record, subject)
        end = statements.parse_until(until, now())
        by = approver or user()
        waiver = statements.say(
            record,
            subject,
            lambda: statements.waive(
                document, requirement=requirement, reason=reason, approver=by, until=end, now=now()
            ),
        )
    _said(waiver, f"waiver {waiver.id}: {requirement} until {waiver.expires:%Y-%m-%d %H:%M} UTC by {by}", json_=json_)


def attest(
    subject: SubjectArgument,
    leaf: Annotated[str, typer.Argument(help="Path of the manual measurement.")],
    value: Annotated[str, typer.Option("--value", help="The answer, in the measurement's type and unit.")],
    statement: Annotated[str, typer.Option("--statement", help="What you vouch for.")],
    until: UntilOption,
    *,
    by: ByOption = None,
    json_: JsonOption = False,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Answer a manual measurement until an instant."""
    from cabc.document.model import Measurement
    from cabc.engine import statements

    with open_home(home).record() as record:
        document = statements.audited(record, subject)
        end = statements.parse_until(until, now())
        element = next((each.element for each in document.leaves() if each.path == leaf), None)
        answer = statements.parse_value(element, value) if isinstance(element, Measurement) else value
        attestation = statements.say(
            record,
            subject,
            lambda: statements.attest(
                document, path=leaf, value=answer, statement=statement, party=by or user(), until=end, now=now()
            ),
        )
    text = f"attestation {attestation.id}: {leaf} is {value} until {attestation.valid_until:%Y-%m-%d %H:%M} UTC"
    _said(attestation, f"{text} by {attestation.party}", json_=json_)


def revoke(
    subject: SubjectArgument,
    reason: ReasonOption,
    by: ByOption = None,
    *,
    json_: JsonOption = False,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Revoke the status by hand. Only an assessment in which everything is due and passes issues it again."""
    from cabc.engine import statements

    with open_home(home).record() as record:
        step = statements.say(
            record,
            subject,
            lambda: statements.withdraw(record, subject, reason=reason, actor=by or user(), now=now()),
        )
    _said(step, f"{subject}: revoked (was {step.previous.value}); {step.cause}", json_=json_)


@_baseline.command("pin")
def pin(
    subject: SubjectArgument,
    assessment: Annotated[str, typer.Argument(help="Id of the assessment, from cabc status or a report.")],
    reason: ReasonOption = "chosen as baseline",
    by: ByOption = None,
    *,
    json_: JsonOption = False,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Choose the assessment that targets relative to the baseline count from."""
    from cabc.engine import statements

    with open_home(home).record() as record:
        made = statements.say(
            record,
            subject,
            lambda: statements.pin(record, subject, assessment, reason=reason, actor=by or user(), now=now()),
        )
    _said(made, f"baseline of {subject}: assessment {made.assessment}, pinned by {made.actor}", json_=json_)


@_baseline.command("show")
def show(subject: SubjectArgument, *, json_: JsonOption = False, home: HomeOption = DEFAULT_HOME) -> None:
    """Show which assessment is the baseline."""
    with open_home(home).record("read") as record:
        found = record.baseline(subject)
    if found is None:
        msg = f"{subject} has no baseline"
        raise CabcError(msg, fix="cabc baseline pin SUBJECT ASSESSMENT")
    _said(found, f"{found.assessment} since {found.created:%Y-%m-%d %H:%M} UTC by {found.actor}", json_=json_)


def _said(body: Any, text: str, *, json_: bool) -> None:
    from cabc.text import one_line

    typer.echo(json.dumps(plain(body), indent=2, ensure_ascii=False) if json_ else one_line(text, limit=1000))
