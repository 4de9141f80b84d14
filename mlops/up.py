"""From whatever there is to a running platform: every phase can be repeated, and is quick when nothing changed."""

from __future__ import annotations

import datetime as dt
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components._core import files, images, paths, plan
from components._core.sources import Source
from mlops import console, doctor, engine, evidence, runs, status, validate
from mlops.errors import OperationError, UsageError

__all__ = ["images_of", "kubeconfig_file", "up"]


def up(stack: str, *, loop: bool = True, source: Source | None = None) -> None:
    """Do everything that leads to a running platform, then show it.

    Raises UsageError for a wrong order form, OperationError naming what failed, Interrupted on Ctrl-C.
    """
    from mlops import toolchain

    started, began = time.monotonic(), dt.datetime.now(dt.UTC)
    if source:
        os.environ["MLOPS_SOURCE"] = source
    _check_order_form(stack)
    with runs.exclusive(stack, f"up --stack {stack}"):
        with _phase("checking the machine", stack), console.step("machine"):
            _check_machine()
        with _phase("installing tools", stack):
            choice = toolchain.install(source=source)
            console.err.print(f"[green]{console.OK}[/] tools: {choice.source} ({choice.reason})")
        with _phase("building images", stack):
            _bring_images(stack)
        with _phase("deploying", stack):
            _deploy(engine.Stack(stack))
            evidence.record_quietly(engine.Stack(stack), "mlops up", since=began)
        if loop:
            with _phase("running the loop", stack, then=f"mlops loop --stack {stack}"):
                _run_loop(stack)
                evidence.record_quietly(engine.Stack(stack), "mlops up", since=began)  # which model is served since
    _finish(stack, time.monotonic() - started, loop=loop)


def images_of(resources: list[dict[str, Any]]) -> list[str]:
    """Return the names of the images we build that a plan asks for anywhere, the node's among them."""
    references = {found for each in resources for found in images.find_references(each["inputs"])}
    prefix = f"{images.LOCAL}/"
    return sorted({each.removeprefix(prefix).partition(":")[0] for each in references if images.is_local(each)})


def kubeconfig_file(stack: str) -> Path:
    """Return where the kubeconfig of a deployed stack is kept for people and kubectl."""
    return paths.state("kubeconfigs", f"{stack}.yaml")


def _check_order_form(stack: str) -> None:
    file = plan.stack_file(stack)
    found = validate.check(file)
    if not file.exists():
        known = ", ".join(each.name.split(".")[1] for each in validate.files())
        msg = f"there is no stack {stack!r}: {file.relative_to(paths.CHECKOUT)} does not exist"
        raise UsageError(msg, fix=f"use one of {known}, or write that file")
    if found:
        raise UsageError("\n".join(map(str, found)), fix="correct the lines above; nothing was changed")


def _check_machine() -> None:
    checks = doctor.examine(network=False)
    blocking = doctor.blocking(checks)
    if blocking:
        lines = "\n".join(f"{check.name}: {check.found}; fix: {check.fix}" for check in blocking)
        raise OperationError(lines, fix="put that right; `mlops doctor` shows the whole machine")


def _bring_images(stack: str) -> None:
    from mlops import images as builder

    try:
        names = images_of(plan.resources(stack))
    except plan.PlanError as error:
        msg = f"the program of stack {stack} fails before anything is changed:\n{error}"
        raise OperationError(msg) from error
    if not names:
        return
    builder.ensure(names)
    console.err.print(f"[green]{console.OK}[/] images: {', '.join(names)}")


def _deploy(stack: engine.Stack) -> None:
    started = time.monotonic()
    stack.recover()
    stack.ensure()
    console.err.print(f"  pulumi up of stack {stack.name} …")
    progress = stack.up()
    seconds = time.monotonic() - started
    console.err.print(f"[green]{console.OK}[/] pulumi up: {progress.summary}  [dim]{seconds:.1f} s[/]")
    write_kubeconfig(stack)


def write_kubeconfig(stack: engine.Stack) -> Path:
    """Keep the way to a stack's cluster where `mlops env` points kubectl to; only its owner can read it."""
    file = kubeconfig_file(stack.name)
    files.write(file, stack.kubeconfig(), mode=0o600)
    return file


def _run_loop(stack: str) -> None:
    from mlops import loop

    loop.run(stack)


def _finish(stack: str, seconds: float, *, loop: bool) -> None:
    report = status.read(stack)
    console.out.print()
    status.show(report)
    console.out.print("\n[bold]next[/]")
    for line, why in _next_steps(stack, loop=loop).items():
        console.out.print(f"  {line:<46}  {why}", markup=False)
    console.err.print(f"\n[green]{console.OK}[/] stack {stack} is up  [dim]{seconds:.0f} s[/]")


def _next_steps(stack: str, *, loop: bool) -> Mapping[str, str]:
    option = "" if stack == "local" else f" --stack {stack}"
    return {
        f'eval "$(mlops env{option})"': "lets kubectl and pulumi work on this stack",
        f"mlops loop{option}": "trains, registers and serves the next version" if loop else "proves that it works",
        f"mlops status{option}": "shows this again",
        f"mlops down{option}": "removes everything",
    }


@contextmanager
def _phase(name: str, stack: str, *, then: str | None = None) -> Iterator[None]:
    """Turn Ctrl-C into a note on how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        again = then or f"mlops up --stack {stack}"
        msg = f"stopped while {name}; what is finished is kept"
        raise engine.Interrupted(msg, fix=f"run `{again}` to go on from here") from None
