"""Say whether this machine can carry the platform, and how the platform is: sections, one fix line each."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent import futures

from mlops.doctor.checks import Check, Status
from mlops.doctor.host import Host, RealHost

__all__ = ["Check", "Host", "RealHost", "Status", "blocking", "examine"]


def examine(stack: str | None = None, *, host: Host | None = None, network: bool = True) -> list[Check]:
    """Look at everything at once and return what was found, by section.

    Without `network` no registry is asked; without `stack` no cluster is.
    """
    from mlops.doctor import cluster, containers, machine, registries, tools

    host = host or RealHost()
    sections = [
        lambda: machine.examine(host),
        lambda: containers.examine(host),
        *([registries.examine] if network else []),
        tools.examine,
        *([lambda: cluster.examine(stack)] if stack else []),
    ]
    with futures.ThreadPoolExecutor(max_workers=len(sections)) as pool:
        return [check for found in pool.map(lambda section: section(), sections) for check in found]


def blocking(checks: Iterable[Check]) -> list[Check]:
    """Return what must be put right before anything can run."""
    return [check for check in checks if check.status is Status.FAILED]
