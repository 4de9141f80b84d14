"""`mlops loop`: the command."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from mlops import console
from mlops.errors import UsageError
from mlops.loop.cluster import Cluster
from mlops.loop.ledger import Stage
from mlops.loop.loop import Options, Outcome, run, verify

__all__ = ["loop"]


def loop(
    stack: Annotated[str, typer.Option(help="Stack whose cluster is used.")] = "local",
    kubeconfig: Annotated[Path | None, typer.Option(help="Use this cluster instead of the stack's.")] = None,
    example: Annotated[str, typer.Option(help="Folder of examples/ to run.")] = "loan_approval",
    gate: Annotated[float | None, typer.Option(help="Least AUC of a model that may be registered.")] = None,
    timeout: Annotated[float, typer.Option(min=30, help="Seconds for all of it.")] = 600,
    keep: Annotated[bool, typer.Option(help="Leave the model served.")] = True,  # noqa: FBT002 (typer makes a flag)
    verify_only: Annotated[bool, typer.Option(help="Only compare what is served with the registry.")] = False,  # noqa: FBT002
    as_json: Annotated[bool, typer.Option("--json", help="Print the evidence as JSON.")] = False,  # noqa: FBT002
) -> None:
    """Train, register, serve and measure the sample model, and assert every step from outside."""
    cluster = Cluster(_kubeconfig(stack, kubeconfig))
    options = Options(example=example, gate=gate, keep=keep, timeout=timeout)
    screen = console.err if as_json else console.out

    def tell(stage: Stage) -> None:
        seconds = f"{stage.seconds:.1f} s"
        screen.print(f"[green]{console.OK}[/] {stage.name:<11} {seconds:>7}  {stage.summary}")

    outcome = (verify if verify_only else run)(cluster, options, tell=tell)
    if as_json:
        print(json.dumps(outcome.plain(), indent=2, default=str))
    _conclude(outcome)


def _conclude(outcome: Outcome) -> None:
    if outcome.failure:
        console.err.print(f"[red]{console.FAILED}[/] {outcome.failure}", markup=True)
        raise typer.Exit(outcome.failure.exit_code)
    console.err.print(
        f"[green]{console.OK}[/] the loop is closed: {len(outcome.facts)} facts in {outcome.seconds:.0f} s, "
        f"version {outcome.version} of run {outcome.run_id}"
    )


def _kubeconfig(stack: str, file: Path | None) -> str:
    if file is None and (named := os.environ.get("MLOPS_KUBECONFIG")):
        file = Path(named)
    if file is not None:
        try:
            return file.expanduser().read_text()
        except OSError as error:
            msg = f"--kubeconfig {file} cannot be read: {error.strerror}"
            raise UsageError(msg) from error
    from mlops import engine

    return engine.kubeconfig(stack)
