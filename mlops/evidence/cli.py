"""`mlops evidence`: the commands."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer
from cabc_platform import documents
from cabc_platform.documents import Document
from rich.console import Console
from rich.table import Table

from mlops import console, runs
from mlops.errors import OperationError, UsageError
from mlops.evidence import reading, recording
from mlops.loop.cluster import Cluster

__all__ = ["app"]

app = typer.Typer(
    add_completion=False, help="What was done to a stack, by whom and from which commit: recorded, shown, checked."
)

_WIDE = 160
"""Columns of the table in a file or a pipe."""

StackOption = Annotated[str, typer.Option("--stack", "-s", help="Name of the stack.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
OfflineOption = Annotated[bool, typer.Option("--offline", help="Use the file beside the state only.")]


@app.command()
def record(stack: StackOption = "local") -> None:
    """Write down every operation since the last time; `mlops up` and `mlops down` do it themselves."""
    from mlops.engine import Stack

    found = Stack(stack)
    if not found.exists():
        msg = f"stack {stack} does not exist"
        raise OperationError(msg, fix=f"mlops up --stack {stack}")
    with runs.exclusive(stack, f"evidence record --stack {stack}"):
        written = recording.record(found, recording.BY_HAND, recording.connect(found))
    told = ", ".join(entry.name for entry in written) or "nothing happened since the last recording"
    console.err.print(f"[green]{console.OK}[/] {told}")


@app.command()
def drift(stack: StackOption = "local", *, as_json: JsonOption = False) -> None:
    """Compare the cluster with the state and write down what differs; exit code 1 if anything does."""
    from mlops.engine import Stack

    found = Stack(stack)
    with runs.exclusive(stack, f"evidence drift --stack {stack}"):
        entry = recording.drift(found, "mlops evidence drift", recording.connect(found))
    told = entry.body["drift"]
    if as_json:
        console.out.print_json(entry.text)
    else:
        for each in told["open"]["items"]:
            what = {"delete": "is gone", "update": f"differs in {', '.join(each['changed']) or 'what it is'}"}
            line = f"{each['type'].rpartition(':')[2]} {each['object'] or each['name']} {what[each['operation']]}"
            console.out.print(f"{line}, since {each['since']}", markup=False)
        for each in told["resolved"]["items"]:
            console.out.print(f"resolved: {each['object'] or each['name']}, since {each['since']}", markup=False)
        word = (
            "nothing differs" if not told["objects"] else f"{told['objects']} objects differ; `mlops up` repairs them"
        )
        console.err.print(f"{console.OK if not told['objects'] else console.WARNING} {entry.name}: {word}")
    raise typer.Exit(1 if told["objects"] else 0)


@app.command()
def show(
    number: Annotated[int | None, typer.Argument(help="Number of a document; all in a table, if none.")] = None,
    stack: StackOption = "local",
    *,
    at: Annotated[str | None, typer.Option(help="Show the operation that was in force at this instant.")] = None,
    offline: OfflineOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show what was recorded."""
    chain = reading.entries(stack, _cluster(stack, offline=offline))
    if number is None and at is None:
        _list(chain, as_json=as_json)
        return
    chosen = documents.in_force(chain, reading.instant(at)) if at else _numbered(chain, number)
    if chosen is None:
        known = f"1 to {chain[-1].number}" if chain else "none"
        msg = f"stack {stack} has no document {f'for {at}' if at else number}; there are {known}"
        raise UsageError(msg, fix=f"mlops evidence show --stack {stack}")
    console.out.print_json(chosen.text)


@app.command()
def verify(stack: StackOption = "local", *, offline: OfflineOption = False, as_json: JsonOption = False) -> None:
    """Check that no document is missing or changed, in the file and in the cluster; exit code 1 if one is."""
    found = reading.check(stack, _cluster(stack, offline=offline))
    if as_json:
        faults = [{"where": fault.where, "what": fault.what} for fault in found.faults]
        told = {"holds": not faults, "inFile": found.in_file, "inCluster": found.in_cluster, "begins": found.begins}
        sys.stdout.write(f"{json.dumps({**told, 'faults': faults}, indent=2)}\n")
    else:
        for fault in found.faults:
            console.out.print(f"{console.FAILED} {fault}", markup=False)
        where = "the cluster was not asked" if found.in_cluster is None else f"{found.in_cluster} in the cluster"
        if not found.faults:
            first = "" if found.begins == 1 else f" from number {found.begins}, the first that the cluster still had"
            console.out.print(f"{console.OK} the evidence holds: {found.in_file} documents in the file{first}, {where}")
    raise typer.Exit(1 if found.faults else 0)


def _cluster(stack: str, *, offline: bool) -> Cluster | None:
    if offline:
        return None
    from mlops.engine import Stack

    return recording.connect(Stack(stack))


def _numbered(chain: list[Document], number: int | None) -> Document | None:
    return next((entry for entry in chain if entry.number == number), None)


def _list(chain: list[Document], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(f"[{','.join(entry.text for entry in chain)}]\n")
        return
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for title in ("document", "ended", "what", "commit", "by", "digest"):
        table.add_column(title, no_wrap=True)
    for entry in chain:
        table.add_row(entry.name, *_row(entry))
    out = console.out if console.out.is_terminal else Console(file=console.out.file, width=_WIDE)
    out.print(table)


def _row(entry: Document) -> tuple[str, str, str, str, str]:
    document = entry.body
    short = entry.digest.removeprefix("sha256:")[:12]
    by = document["recorded"]["by"]["user"]
    if document["kind"] == "update":
        update, commit = document["update"], document["commit"]
        sha = f"{commit['sha'][:12]}{' + changes' if commit['dirty'] else ''}" if commit else "-"
        return (
            update["ended"],
            f"{update['operation']} {update['result']}",
            sha,
            update["appliedBy"]["user"] or "-",
            short,
        )
    at = document["recorded"]["at"]
    if document["kind"] == "drift":
        return at, f"{document['drift']['objects']} objects differ", "-", by, short
    names = ", ".join(f"{each['model']} {each['version']}" for each in document["served"]["items"]) or "no model"
    return at, f"served: {names}", "-", by, short
