"""The doctor's report on paper: sections, a sign, what was found, and one fix line each."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from rich.markup import escape

from mlops import console
from mlops.doctor.checks import Check, Status

__all__ = ["show"]

_SIGNS = {
    Status.OK: f"[green]{console.OK}[/]",
    Status.WARNING: f"[yellow]{console.WARNING}[/]",
    Status.FAILED: f"[red]{console.FAILED}[/]",
}


def show(checks: Iterable[Check]) -> None:
    """Print what was found."""
    checks = list(checks)
    for section, found in groupby(checks, key=lambda check: check.section):
        console.out.print(f"[bold]{section}[/]")
        for check in found:
            console.out.print(f"  {_SIGNS[check.status]} {check.name}: {escape(check.found)}")
            if check.fix:
                console.out.print(f"      fix: {check.fix}", markup=False)
    counts = {status: sum(check.status is status for check in checks) for status in Status}
    failed, warned = counts[Status.FAILED], counts[Status.WARNING]
    if failed:
        console.out.print(f"\n{_SIGNS[Status.FAILED]} {failed} to put right before the platform can run")
    elif warned:
        console.out.print(f"\n{_SIGNS[Status.WARNING]} the platform can run; {warned} to look at")
    else:
        console.out.print(f"\n{_SIGNS[Status.OK]} everything is as it should be")
