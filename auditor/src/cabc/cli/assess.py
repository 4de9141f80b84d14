"""`cabc plan` and `cabc assess`: what a run will do, and the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from cabc.cli._common import DEFAULT_HOME, HomeOption, JsonOption, open_home
from cabc.cli._runs import COLOURS, document_of, now, plain, status_line, user

if TYPE_CHECKING:
    from rich.console import Console

    from cabc.document.loaded import LoadedDocument
    from cabc.engine.auditor import Auditor, RunResult
    from cabc.engine.plan import Plan
    from cabc.home import Home
    from cabc.interfaces.base import Connection
    from cabc.record.types import Finding, StatusRecord, Trigger

__all__ = ["register"]

SpecArgument = Annotated[Path, typer.Argument(metavar="SPEC", help="Conformity specification, YAML or JSON.")]
RequirementOption = Annotated[
    list[str] | None,
    typer.Option("--requirement", "-r", metavar="PATH", help="Only this requirement is due; may be repeated."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("plan")(plan)
    app.command("assess")(assess)


def plan(
    spec: SpecArgument,
    requirement: RequirementOption = None,
    *,
    json_: JsonOption = False,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Say what a run would ask and of whom, and what cannot be had; nothing is asked."""
    place = open_home(home)
    connections, document = place.read_connections(), document_of(spec)
    found = _planned(place, document, connections, requirement)
    if json_:
        typer.echo(json.dumps(_plan_body(found), indent=2))
    else:
        _print_plan(found)
    if found.missing:
        raise typer.Exit(1)


def _planned(place: Home, document: LoadedDocument, connections: dict[str, Connection], due: list[str] | None) -> Plan:
    """Plan with what the record tells of earlier runs, when there is one."""
    from cabc.engine.auditor import Auditor
    from cabc.engine.plan import plan as planned

    if place.settings.database is None and not place.path("record.db").exists():
        return planned(document, due, connections, workers=place.settings.workers)
    with place.record("read") as record:
        return Auditor(place, record, connections).plan(document, due)


def _plan_body(found: Plan) -> dict[str, Any]:
    return {
        "due": list(found.due),
        "complete": found.complete,
        "leaves": [leaf.path for leaf in found.leaves],
        "queries": [
            {"kind": query.spec.kind, "connection": query.connection, "leaves": [*query.values, *query.targets]}
            for query in found.queries
        ],
        "perConnection": found.per_connection,
        "manual": list(found.manual),
        "notApplicable": list(found.not_applicable),
        "missing": [{"leaf": each.path, "reason": each.reason, "fix": each.fix} for each in found.missing],
        "estimatedSeconds": None if found.estimated is None else round(found.estimated, 3),
        "atMostSeconds": round(found.at_most, 3),
    }


def _print_plan(found: Plan) -> None:
    about = "" if found.estimated is None else f"about {found.estimated:.1f} s, "
    shared = sum(len(query.values) + len(query.targets) for query in found.queries) - len(found.queries)
    typer.echo(
        f"{len(found.due)} requirements due, {len(found.leaves)} leaves, {len(found.queries)} queries"
        f"{f' ({shared} leaves share one)' if shared else ''}, {about}at most {found.at_most:.0f} s"
    )
    for name, count in sorted(found.per_connection.items()):
        typer.echo(f"  {name}: {count} queries")
    for path in found.manual:
        typer.echo(f"  {path}: a person answers (cabc attest)")
    for path in found.not_applicable:
        typer.echo(f"  {path}: does not apply")
    for each in found.missing:
        typer.echo(f"✖ {each.path}: {each.reason}; {each.fix}")


def assess(
    spec: SpecArgument,
    requirement: RequirementOption = None,
    *,
    json_: JsonOption = False,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Collect evidence, judge it and record the status. Ends with 0 when the subject is conformant, else with 1."""
    from cabc.engine.auditor import new_id
    from cabc.record.types import Status, Trigger

    place = open_home(home)
    connections, document = place.read_connections(), document_of(spec)
    at = now()
    subject = document.specification.subject.name
    trigger = Trigger(
        id=new_id("t", at),
        kind="manual",
        source=user(),
        subject=subject,
        received=at,
        requirements=sorted(set(requirement or [])),
    )
    with place.record() as record:
        from cabc.engine.auditor import Auditor

        with _Progress(shown=not json_) as progress:
            auditor = Auditor(place, record, connections, progress=progress.step)
            result = _run(auditor, document, trigger)
        findings = _findings(result) or (record.findings(result.answered_by) if result.answered_by else [])
    if json_:
        typer.echo(json.dumps(_body(result, findings), indent=2, ensure_ascii=False))
    else:
        _print(result, findings, result.status, subject)
    if result.status is None or result.status.status is not Status.CONFORMANT:
        raise typer.Exit(1)


def _run(auditor: Auditor, document: LoadedDocument, trigger: Trigger) -> RunResult:
    """Run until done; an interrupt or a polite kill ends it with everything recorded whole or not at all."""
    import asyncio
    import signal

    async def run() -> RunResult:
        task = asyncio.ensure_future(auditor.run(document, trigger))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await task

    try:
        return asyncio.run(run())
    except (asyncio.CancelledError, KeyboardInterrupt):
        typer.echo(
            "✖ interrupted; nothing half-done is recorded, and the next run does what this one was to do", err=True
        )
        raise typer.Exit(130) from None


class _Progress:
    """A bar on a terminal, nothing elsewhere."""

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        import sys

        if self._shown and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import Progress

            self._bar = Progress(console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task("collecting")
        return self

    def step(self, done: int, total: int, path: str) -> None:
        """Show how far it is."""
        del path
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total)

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()


def _findings(result: RunResult) -> list[Finding]:
    return result.assessed[-1].findings if result.assessed else []


def _body(result: RunResult, findings: list[Finding]) -> dict[str, Any]:
    """Return the result for programs; confidential findings keep their verdict and nothing else."""
    hidden = {"reason", "metrics", "failing", "remediation"}
    return {
        "subject": result.subject,
        "status": plain(result.status) if result.status else None,
        "assessment": plain(result.assessed[-1].assessment) if result.assessed else None,
        "answeredBy": result.answered_by,
        "findings": [
            {key: value for key, value in plain(each).items() if not (each.confidential and key in hidden)}
            for each in findings
        ],
    }


def _print(result: RunResult, findings: list[Finding], status: StatusRecord | None, subject: str) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("requirement", "severity", "verdict", "reason"):
        table.add_column(column, overflow="fold", no_wrap=column != "reason")
    for finding in findings:
        colour = COLOURS[finding.verdict.value]
        waived = " (waived)" if finding.waiver else ""
        table.add_row(
            escape(finding.requirement),
            finding.severity,
            f"[{colour}]{finding.verdict.value}[/]{waived}",
            _reason(finding),
        )
    console.print(table)
    console.print()
    _print_counts(console, result)
    console.print(status_line(status, subject), highlight=False)


def _reason(finding: Finding) -> str:
    from rich.markup import escape

    from cabc.text import one_line

    if finding.confidential:
        return "[dim]confidential[/]"
    reason = one_line(finding.reason, limit=300)
    risks = f" [risks {', '.join(finding.risks)}]" if finding.risks and finding.failing else ""
    return escape(reason + risks)


def _print_counts(console: Console, result: RunResult) -> None:
    if result.answered_by:
        console.print(f"answered by the run of another process: assessment {result.answered_by}", highlight=False)
    for each in result.assessed:
        assessment = each.assessment
        counts = ", ".join(f"{number} {verdict.value}" for verdict, number in sorted(assessment.counts.items()))
        scope = "complete" if assessment.complete else f"{len(assessment.trigger.requirements)} requirements due"
        console.print(f"assessment {assessment.id} ({scope}): {counts or 'no measurement'}", highlight=False)
