"""`mlops images`: build, load, list, pin, prune."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.table import Table

from components._core import images, plan
from mlops import console
from mlops.errors import OperationError, UsageError
from mlops.images import registry, transfer
from mlops.images.build import Builder
from mlops.images.store import Store, Stored

__all__ = ["app"]

_BYTES_PER_SECOND = 40e6
"""How quickly layers get into a node, to tell people what to expect."""

app = typer.Typer(help="The container images: which there are, and where they are.", no_args_is_help=True)


@app.command("list")
def list_(
    stack: Annotated[str | None, typer.Option(help="Only what this stack's program asks for.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """Show every image: where it comes from, whether it is built, and what uses it."""
    rows = _of_stack(stack) if stack else _of_catalogue()
    if as_json:
        console.out.print_json(json.dumps(rows))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("image", "state", "MiB"):
        table.add_column(heading, no_wrap=True, overflow="ignore")
    table.add_column("used by" if stack else "what it is", overflow="fold")
    for row in rows:
        size = f"{row['bytes'] / 2**20:.0f}" if row["bytes"] else ""
        used = ", ".join(row["usedBy"][:3]) + (" …" if len(row["usedBy"]) > 3 else "")  # noqa: PLR2004 (fits a line)
        reference = row["reference"].removeprefix(f"{images.LOCAL}/").partition("@")[0]
        table.add_row(reference, row["state"], size, used if stack else row["summary"])
    console.out.print(table)


@app.command()
def build(
    names: Annotated[list[str] | None, typer.Argument(help="Images by name; all, when none is named.")] = None,
) -> None:
    """Build what is missing. What is built already is kept; can be interrupted and run again."""
    unknown = sorted(set(names or []) - set(images.names()))
    if unknown:
        msg = f"there is no image {', '.join(unknown)}"
        raise UsageError(msg, fix=f"images are {', '.join(images.names())}")
    builder = Builder()
    built = builder.ensure(names or images.names())
    for stored in built:
        console.out.print(stored.reference, markup=False)
    if not built:
        console.err.print(f"Nothing to build: all of it is published, and {builder.source} uses it from there.")


@app.command()
def load(
    references: Annotated[list[str], typer.Argument(help="Images by reference or by name.")],
    cluster: Annotated[str | None, typer.Option(help="Into every node of this kind cluster.")] = None,
    *,
    engine: Annotated[bool, typer.Option("--engine", help="Into the container engine of this machine.")] = False,
) -> None:
    """Put images where pods or kind find them, building them first when they are missing. Quick when they are there."""
    if bool(cluster) == engine:
        raise UsageError("an image goes into one place", fix="give either --cluster NAME or --engine")
    builder = Builder()
    nodes = transfer.nodes(builder.engine, cluster) if cluster else []
    for reference in references:
        stored = _stored(reference, builder)
        if stored is None:
            console.err.print(f"{reference} is pulled by whoever runs it", markup=False)
            continue
        with console.step(f"load {stored.reference}", expected=stored.size / _BYTES_PER_SECOND):
            if engine:
                transfer.into_engine(builder.engine, builder.store, stored)
            for node in nodes:
                transfer.into_node(builder.engine, builder.store, node, stored)


@app.command()
def pin(
    names: Annotated[list[str] | None, typer.Argument(help="Images by name; all, when none is named.")] = None,
) -> None:
    """Ask the registries for the digests of the upstream images and write them into the recipes."""
    for name in names or images.names():
        if images.image(name).upstream and registry.pin(name):
            console.err.print(f"{name}: {registry.upstream(name)}", markup=False)


@app.command()
def prune() -> None:
    """Remove built images that the recipes of this checkout do not make any more."""
    builder = Builder()
    keep = {images.reference(name, builder.source) for name in images.names()}
    transfer.prune(builder.engine, keep)
    freed = builder.store.prune(keep)
    console.err.print(f"{freed / 2**20:.0f} MiB freed")


def _stored(reference: str, builder: Builder) -> Stored | None:
    """Return the image that a reference or name means, built if need be; None when it is not built here."""
    if reference in images.names():
        reference = images.reference(reference, builder.source)
    if not images.is_local(reference):
        return None
    if found := builder.store.find(reference):
        return found
    name, _, _ = reference.removeprefix(f"{images.LOCAL}/").partition(":")
    if name not in images.names():
        msg = f"there is no image {name}"
        raise UsageError(msg, fix=f"images are {', '.join(images.names())}")
    current = images.reference(name, builder.source)
    if reference != current:
        msg = f"{reference} is not built, and the recipe now makes {current}"
        raise OperationError(msg, fix="mlops up, which asks for what the recipe makes")
    return next(iter(builder.ensure([name])))


def _of_catalogue() -> list[dict[str, Any]]:
    store = Store()
    return [_row(images.reference(name), store, images.image(name).summary, []) for name in images.names()]


def _of_stack(stack: str) -> list[dict[str, Any]]:
    users: dict[str, list[str]] = {}
    for resource in plan.resources(stack):
        for reference in images.find_references(resource["inputs"]):
            users.setdefault(reference, []).append(resource["name"])
    store = Store()
    return [_row(reference, store, "", sorted(set(names))) for reference, names in sorted(users.items())]


def _row(reference: str, store: Store, summary: str, used_by: list[str]) -> dict[str, Any]:
    stored = store.find(reference)
    local = images.is_local(reference)
    return {
        "reference": reference,
        "source": "built here" if local else "registry",
        "state": ("built" if stored else "not built") if local else "pulled",
        "bytes": stored.size if stored else None,
        "summary": summary,
        "usedBy": used_by,
    }
