"""`cabc demo`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cabc.cli._common import JsonOption

if TYPE_CHECKING:
    from cabc.demo.run import DemoResult

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(demo)


def demo(
    folder: Annotated[Path, typer.Argument(help="Folder to make; becomes an auditor's home.")] = Path("cabc-demo"),
    *,
    open_: Annotated[
        bool | None, typer.Option("--open/--no-open", help="Open the status page; by default when on a terminal.")
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Train two small models on real data, audit them, see the unfair one suspended, check the record.

    Takes about a minute; the first time it also installs MLflow and scikit-learn into an environment of their own.
    """
    import json
    import webbrowser

    from cabc.demo.run import expected, run
    from cabc.errors import CabcError

    if folder.exists() and any(folder.iterdir()) and not (folder / "record.db").exists():
        msg = f"{folder} is not empty and no demo's"
        raise CabcError(msg, fix="name another folder: cabc demo FOLDER")
    result = run(folder, _say(quiet=json_))
    if json_:
        typer.echo(json.dumps(_facts(result), indent=2))
    else:
        _show(result)
    if open_ or (open_ is None and not json_ and sys.stdout.isatty()):
        webbrowser.open(result.page.as_uri())
    if not expected(result):
        raise typer.Exit(1)


def _say(*, quiet: bool) -> Any:
    import time

    started = time.monotonic()

    def say(text: str) -> None:
        if not quiet:
            typer.echo(f"  {time.monotonic() - started:5.1f} s  {text}", err=True)

    return say


def _facts(result: DemoResult) -> dict[str, Any]:
    return {
        "folder": str(result.folder),
        "page": str(result.page),
        "verified": result.verified,
        "seconds": round(result.seconds, 1),
        "audited": [
            {
                "version": each.version,
                "status": each.status.status,
                "cause": each.status.cause,
                "assessment": each.assessment.id,
                "metrics": each.metrics,
                "findings": [finding.model_dump(mode="json") for finding in each.findings],
            }
            for each in result.audited
        ],
    }


def _show(result: DemoResult) -> None:
    from rich.console import Console
    from rich.table import Table

    from cabc.text import safe

    console = Console()
    table = Table("version", "inputs", "AUC", "approval ratio", "status", box=None, pad_edge=False)
    risks = {risk.id: risk.statement for risk in result.document.specification.risks}
    colours = {"conformant": "green", "suspended": "red"}
    for each in result.audited:
        status = each.status.status.value
        table.add_row(
            each.version,
            each.inputs.replace("-group", " the group"),
            f"{each.metrics['auc']:.3f}",
            f"{each.metrics['approval_ratio']:.3f}",
            f"[{colours.get(status, 'yellow')}]{status}[/]",
        )
    console.print(table)
    for each in result.audited:
        for finding in each.findings:
            console.print(f"\n[red]✖[/] version {each.version}: {safe(finding.reason)}")
            for risk in finding.risks:
                console.print(f"  risk {risk}: {safe(risks.get(risk, ''))}")
            if finding.remediation:
                console.print(f"  what to do: {safe(finding.remediation)}")
    console.print(f"\n{safe(result.verification)}")
    subject = result.document.specification.subject.name
    home = f"--home {result.folder.name}"
    rows = [
        (
            f"{result.page.relative_to(Path.cwd()) if result.page.is_relative_to(Path.cwd()) else result.page}",
            "the status page",
        ),
        (f"cabc trace {subject} R1 {home}", "from the risk to the evidence"),
        (f"cabc report {subject} --reader auditor {home}", "every leaf with its evidence"),
        (f"cabc waive {subject} fairness/equal-treatment … {home}", "accept the failure for a while"),
        (f"cabc serve {home}", "pages and API on this machine"),
    ]
    console.print("\nnext")
    for command, what in rows:
        console.print(f"  {command}\n      {what}", highlight=False)
