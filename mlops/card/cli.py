"""`mlops card`: the command."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mlops import console
from mlops.card import render
from mlops.card.card import build
from mlops.card.gather import gather
from mlops.errors import UsageError
from mlops.loop import places
from mlops.loop.cli import kubeconfig_text
from mlops.loop.cluster import Cluster
from mlops.loop.registry import Registry

__all__ = ["FILES", "app", "card"]

FILES = {"markdown": "card/model-card.md", "html": "card/model-card.html", "json": "card/model-card.json"}
"""Where the card is kept under the version's run, by form."""

app = typer.Typer()


@app.command()
def card(
    model: Annotated[str, typer.Argument(help="Registered model.")],
    *,
    version: Annotated[str | None, typer.Option(help="Version; that with alias champion, if none.")] = None,
    stack: Annotated[str, typer.Option("--stack", "-s", help="Stack whose cluster is used.")] = "local",
    kubeconfig: Annotated[Path | None, typer.Option(help="Use this cluster instead of the stack's.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write the card to this file as HTML.")] = None,
    store: Annotated[bool, typer.Option(help="Keep the card in all three forms under the version's run.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines, in place of Markdown.")] = False,
) -> None:
    """Write the model card of a version: what it is for, what was measured, what the auditor says."""
    cluster = Cluster(kubeconfig_text(stack, kubeconfig))
    found = gather(cluster, where := places.find(cluster), model, version)
    made = build(found)
    written = {"markdown": render.markdown(made), "html": render.html(made), "json": render.plain(made, found)}
    if html:
        try:
            html.write_text(written["html"])
        except OSError as error:
            msg = f"--html {html} cannot be written: {error.strerror}"
            raise UsageError(msg) from error
    if store:
        registry = Registry(cluster, where.mlflow)
        for form, path in FILES.items():
            registry.store(found.version, path, written[form])
        console.err.print(f"[green]{console.OK}[/] kept under run {found.version.run_id}: {', '.join(FILES.values())}")
    sys.stdout.write(written["json" if as_json else "markdown"])
