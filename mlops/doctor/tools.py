"""The tools: installed, or built and downloaded by the next `up`."""

from __future__ import annotations

from mlops import toolchain
from mlops.doctor.checks import Check, failed, good, warning
from mlops.errors import MlopsError
from mlops.toolchain import system

__all__ = ["examine"]

SECTION = "tools"


def examine() -> list[Check]:
    """Return which tools and plugins are there, and which packages of the system are missing."""
    try:
        tools = toolchain.tools()
        packages = system.missing(toolchain.current_source())
    except MlopsError as error:
        return [failed(SECTION, "toolchain", error.message, error.fix or "mlops toolchain install")]
    there = [tool for tool in tools if tool.installed and not tool.name.startswith("pulumi-")]
    missing = sorted({tool.name for tool in tools if not tool.installed and not tool.by_name})
    engine = {tool.name: tool for tool in there}
    found = [
        good(SECTION, name, f"{engine[name].version}, {engine[name].source}")
        for name in ("pulumi", "kind", "kubectl", "kubelet")
        if name in engine
    ]
    if there:
        found.append(good(SECTION, "installed", f"{len(there)} of {len(there) + len(missing)} executables"))
    if missing:
        found.append(warning(SECTION, "missing", ", ".join(missing), "mlops toolchain install (`mlops up` does it)"))
    for tool in tools:
        if tool.name.startswith("pulumi-") and tool.installed:
            kind = "stand-in, the official one cannot be had here" if tool.stand_in else "official"
            found.append(good(SECTION, tool.name, f"{tool.version}, {kind}"))
    if packages:
        names = ", ".join(package.name for package in packages)
        line = system.command(packages)
        found.append(
            warning(SECTION, "packages of the system", f"missing: {names}", f"{line} (`mlops up` does it as root)")
        )
    return found
