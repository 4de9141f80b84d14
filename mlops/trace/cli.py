"""`mlops trace`: the command."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from cabc_platform.documents import Document
from cabc_platform.trace.collected import Collected
from cabc_platform.trace.collecting import Sources, collect
from cabc_platform.trace.errors import InputError, TraceError
from cabc_platform.trace.hops import State, Trace
from cabc_platform.trace.judging import judge

from mlops import console
from mlops.errors import OperationError, UsageError
from mlops.loop.cluster import Cluster
from mlops.trace.passing import Passing, told

__all__ = ["app", "trace"]

app = typer.Typer(add_completion=False)

_SIGNS = {
    State.VERIFIED: f"[green]{console.OK}[/]",
    State.UNVERIFIED: f"[red]{console.FAILED}[/]",
    State.MISSING: f"[yellow]{console.WARNING}[/]",
    State.NONE: "[dim]○[/]",
}


@app.command()
def trace(
    request: Annotated[str | None, typer.Argument(help="Id of the request, as the prediction log has it.")] = None,
    *,
    stack: Annotated[str, typer.Option("--stack", "-s", help="Stack that answered it.")] = "local",
    kubeconfig: Annotated[Path | None, typer.Option(help="Use this cluster instead of the stack's.")] = None,
    row: Annotated[int | None, typer.Option(min=0, help="One row of the request; all, if none.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a page that stands alone.")] = None,
    export: Annotated[
        Path | None, typer.Option(help="Write everything that was collected, to be checked offline.")
    ] = None,
    verify: Annotated[Path | None, typer.Option(help="Check such an export instead of asking the platform.")] = None,
) -> None:
    """Follow one prediction to its model, data, status and infrastructure of then; exit code 1 if a hop is open."""
    if (request is None) == (verify is None):
        raise UsageError("give either the id of a request or --verify FILE", fix="mlops trace --help")
    try:
        if verify is not None:
            found, row, number = _checked(verify, row)
            console.err.print(f"{console.OK} the manifest of {verify} is {number}", markup=False)
        else:
            found = collect(_sources(stack, kubeconfig), str(request), stack=stack)
        result = judge(found, row)
        if export is not None:
            number = found.export(export, result.plain())
            console.err.print(f"{console.OK} {export}: its manifest is {number}", markup=False)
    except TraceError as error:
        kind = UsageError if isinstance(error, InputError) else OperationError
        raise kind(str(error), fix=error.fix) from error
    if html is not None:
        from cabc_platform.trace.page import page

        _write(html, page(result))
    if as_json:
        sys.stdout.write(f"{json.dumps(result.plain(), indent=2, ensure_ascii=False)}\n")
    else:
        _show(result)
    raise typer.Exit(1 if result.open else 0)


def _checked(file: Path, row: int | None) -> tuple[Collected, int | None, str]:
    """Return what an export holds, the row it is about and its number, after judging it again."""
    found, kept, number = Collected.read(file)
    about = kept.get("row") if isinstance(kept, dict) else None
    if json.loads(json.dumps(judge(found, about).plain())) != kept:
        msg = f"{file} tells another trace than its own files give"
        raise OperationError(msg, fix="believe the files: they are what was collected; ask who made the export")
    return found, about if row is None else row, number


def _sources(stack: str, kubeconfig: Path | None) -> Sources:
    from mlops.engine import Stack
    from mlops.evidence import reading
    from mlops.loop import places
    from mlops.loop.auditor import Auditor

    if kubeconfig is not None:
        try:
            access = kubeconfig.expanduser().read_text()
        except OSError as error:
            msg = f"--kubeconfig {kubeconfig} cannot be read: {error.strerror}"
            raise UsageError(msg) from error
    else:
        access = Stack(stack).kubeconfig()
    cluster = Cluster(access)
    found = places.find(cluster)

    def evidence() -> Sequence[Document]:
        with told():
            return reading.entries(stack, cluster)

    def record(subject: str) -> bytes:
        with told():
            return Auditor(cluster, str(found.auditor)).export(subject)

    return Sources(
        services=Passing(cluster),
        prediction_log=found.prediction_log,
        mlflow=found.mlflow,
        auditor=found.auditor,
        export=record,
        evidence=evidence,
    )


def _show(result: Trace) -> None:
    row = f", row {result.row}" if result.row is not None else ""
    console.out.print(f"prediction {result.request}{row}, as of {result.at or 'an unknown time'}", markup=False)
    width = max(len(hop.title) for hop in result.hops)
    for hop in result.hops:
        console.out.print(f"{_SIGNS[hop.state]} {hop.title:<{width}}", end="  ")
        console.out.print(hop.summary, markup=False)
        for check in hop.checks:
            if not check.holds:
                console.out.print(f"    {check.what}: found {check.found}, wanted {check.wanted}", markup=False)
        if hop.digest:
            console.out.print(f"    {hop.digest}", markup=False, style="dim")
        if hop.link:
            console.out.print(f"    {hop.link}", markup=False, style="dim")
    if result.open:
        names = ", ".join(f"{hop.title} ({hop.state})" for hop in result.open)
        console.err.print(f"{console.WARNING} not verified: {names}", markup=False)


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text)
    except OSError as error:
        msg = f"{file} cannot be written: {error.strerror}"
        raise UsageError(msg, fix="name another file") from error
