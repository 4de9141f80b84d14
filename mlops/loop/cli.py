"""`mlops loop`: the command."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from mlops import console
from mlops.errors import OperationError, UsageError
from mlops.loop.cluster import Cluster
from mlops.loop.ledger import Stage, StageError
from mlops.loop.loop import close, verify
from mlops.loop.outcome import Options, Outcome
from mlops.loop.scenarios import SCENARIOS, play

__all__ = ["app", "kubeconfig_text", "loop", "run"]

app = typer.Typer()

Scenario = Enum("Scenario", {name: name for name in SCENARIOS}, type=str)  # type: ignore[misc]


@app.command()
def loop(
    *,
    stack: Annotated[str, typer.Option("--stack", "-s", help="Stack whose cluster is used.")] = "local",
    kubeconfig: Annotated[Path | None, typer.Option(help="Use this cluster instead of the stack's.")] = None,
    example: Annotated[str, typer.Option(help="Folder of examples/ to run.")] = "loan_approval",
    gate: Annotated[float | None, typer.Option(help="Least AUC of a model that may be registered.")] = None,
    timeout: Annotated[float, typer.Option(min=30, help="Seconds for all of it.")] = 600,
    keep: Annotated[bool, typer.Option(help="Leave the model served.")] = True,
    scenario: Annotated[
        Scenario | None, typer.Option(help="Do this to the platform on purpose, and assert that it is caught.")
    ] = None,
    verify_only: Annotated[
        bool, typer.Option("--verify-only", help="Only compare what is served with the registry.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the evidence as JSON.")] = False,
) -> None:
    """Train, register, serve, watch and audit the sample model, and assert every step from outside."""
    if scenario and verify_only:
        msg = "--scenario trains models, --verify-only trains none"
        raise UsageError(msg, fix="give one of them")
    options = Options(
        example=example, gate=gate, keep=keep, timeout=timeout, scenario=scenario.value if scenario else ""
    )
    # A cluster that a kubeconfig names need not be the stack's, whose evidence is none of it.
    records = not verify_only and kubeconfig is None and not os.environ.get("MLOPS_KUBECONFIG")
    try:
        run(stack, options, kubeconfig=kubeconfig, verify_only=verify_only, as_json=as_json)
    except StageError:
        if records:
            _record(stack)
        raise
    if records:
        _record(stack)


def _record(stack: str) -> None:
    """Write down which model is served since, where the stack keeps evidence: the next loop may replace it."""
    from mlops import evidence, runs
    from mlops.engine import Stack
    from mlops.evidence.keeping import ClusterChain

    # Who holds the stack now records at its own end.
    with contextlib.suppress(OperationError), runs.exclusive(stack, f"loop --stack {stack}"):
        if ClusterChain(Cluster(kubeconfig_text(stack, None))).ready():
            evidence.record_quietly(Stack(stack), "mlops loop")


def run(
    stack: str,
    options: Options | None = None,
    *,
    kubeconfig: Path | None = None,
    verify_only: bool = False,
    as_json: bool = False,
) -> Outcome:
    """Run the loop on a stack's cluster and print a line per stage. Raises StageError where it broke."""
    screen = console.err if as_json else console.out

    def tell(stage: Stage) -> None:
        seconds = f"{stage.seconds:.1f} s"
        screen.print(f"[green]{console.OK}[/] {stage.name:<11} {seconds:>7}  {stage.summary}")

    chosen = options or Options()
    work = play if chosen.scenario else verify if verify_only else close
    outcome = work(Cluster(kubeconfig_text(stack, kubeconfig)), chosen, tell=tell)
    if as_json:
        sys.stdout.write(f"{json.dumps(outcome.plain(), indent=2, default=str)}\n")
    if outcome.failure:
        raise outcome.failure
    number, seconds = len(outcome.facts), outcome.seconds
    what = "what is served is what is registered" if verify_only else "the loop is closed"
    model = f"version {outcome.version} of run {outcome.run_id}"
    if chosen.scenario:
        what = f"scenario {chosen.scenario}: what was done on purpose was noticed"
        model = f"of the model itself the loop says {outcome.model_exit_code}"
    console.err.print(f"[green]{console.OK}[/] {what}: {number} facts in {seconds:.0f} s, {model}")
    return outcome


def kubeconfig_text(stack: str, file: Path | None) -> str:
    """Return the kubeconfig of a file, of MLOPS_KUBECONFIG, or of a stack's cluster. Raises UsageError."""
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
