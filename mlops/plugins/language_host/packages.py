"""The packages of a program: all of them for `pulumi about`, those with a Pulumi plugin for the engine."""

from __future__ import annotations

import base64
import json
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlops.plugins.language_host.environments import Environment, Pip, search_up
from mlops.plugins.language_host.errors import HostError

__all__ = ["Interpreter", "Package", "Plugin", "dependencies", "inspect", "plugin_version", "plugins"]

_WITHOUT_PLUGIN = {"pulumi-policy", "pulumi-esc-sdk"}
"""Distributions called pulumi-* that have no plugin and ship no pulumi-plugin.json to say so."""

_INSPECT = """
import json, os, sys
found = []
for folder in sys.path:
    try:
        names = os.listdir(folder or ".")
    except OSError:
        continue
    for name in names:
        stem, extension = os.path.splitext(name)
        if extension not in (".dist-info", ".egg-info") or "-" not in stem:
            continue
        project, version = stem.split("-")[:2]
        module = project.replace("-", "_").replace(".", "_")
        try:
            with open(os.path.join(folder, module, "pulumi-plugin.json")) as file:
                plugin = json.load(file)
        except FileNotFoundError:
            plugin = None
        if plugin is not None or project.startswith("pulumi"):
            found.append([project, version, plugin])
print(json.dumps({"executable": sys.executable, "version": list(sys.version_info[:3]), "packages": found}))
"""
"""Runs in the program's Python; looks only at folder names, so that it costs milliseconds where pip takes a second."""


@dataclass(frozen=True)
class Package:
    """One installed distribution."""

    name: str
    version: str
    plugin: dict[str, Any] | None = None
    """Content of its pulumi-plugin.json; None when it has none."""


@dataclass(frozen=True)
class Interpreter:
    """What the program's Python says of itself."""

    executable: str
    version: tuple[int, int, int]
    packages: list[Package] = field(default_factory=list)
    """Distributions that may have a plugin."""


@dataclass(frozen=True)
class Plugin:
    """A provider plugin that the engine must have before the program runs."""

    name: str
    version: str
    server: str = ""
    parameterization: tuple[str, str, bytes] | None = None
    extension: tuple[str, str, bytes] | None = None


def inspect(environment: Environment) -> Interpreter:
    """Ask the program's Python for its version and its Pulumi packages."""
    told = json.loads(environment.python("-c", _INSPECT).output("failed to inspect the program's Python"))
    packages = [Package(_normal(name), version, plugin) for name, version, plugin in told["packages"]]
    major, minor, patch = told["version"]
    return Interpreter(told["executable"], (major, minor, patch), packages)


def plugins(packages: Iterable[Package]) -> list[Plugin]:
    """Return the plugins of the packages, sorted by name; a package whose version has no equivalent is left out."""
    found = {plugin.name: plugin for package in packages if (plugin := _plugin(package))}
    return [found[name] for name in sorted(found)]


def dependencies(environment: Environment, program: Path, *, transitive: bool) -> list[Package]:
    """List what the program depends on: with pip what is installed, else what its lock file says."""
    if isinstance(environment, Pip):
        args = ["-m", "pip", "list", "--format", "json", *([] if transitive else ["--not-required"])]
        told = json.loads(environment.python(*args).output("calling `python -m pip list`"))
        return [Package(_normal(each["name"]), each["version"]) for each in told]
    lock = f"{environment.tool}.lock"
    folder = search_up(program, lock)
    if folder is None:
        msg = f"could not find {lock}"
        raise HostError(msg)
    locked = tomllib.loads((folder / lock).read_text())["package"]
    found = [
        Package(_normal(each["name"]), each.get("version", ""))
        for each in locked
        if not each.get("source", {}).get("virtual")
    ]
    if transitive:
        return found
    wanted = _direct(tomllib.loads((folder / "pyproject.toml").read_text()))
    return [package for package in found if package.name in wanted]


def plugin_version(version: str) -> str | None:
    """Translate a Python version into the plugin's; None for an epoch or a form that has no equivalent.

    `1.0` → `1.0.0`, `1.2.3a4` → `1.2.3-alpha.4`, `1.2.3.post4.dev5` → `1.2.3+post4dev5`.
    """
    form = r"(\d+(?:\.\d+)*)(?:(a|b|rc)(\d+))?(?:\.post(\d+))?(?:\.dev(\d+))?"
    parts = re.fullmatch(form, version, re.ASCII)
    if parts is None:
        return None
    numbers, stage, count, post, dev = parts.groups()
    segments = numbers.split(".")
    text = ".".join(segments + ["0"] * (3 - len(segments)))
    if stage:
        text += f"-{ {'a': 'alpha', 'b': 'beta', 'rc': 'rc'}[stage] }.{count}"
    suffix = (f"post{post}" if post is not None else "") + (f"dev{dev}" if dev is not None else "")
    return f"{text}+{suffix}" if suffix else text


def _plugin(package: Package) -> Plugin | None:
    told = package.plugin
    first_party = package.name.startswith("pulumi-")
    if (told is None and not first_party) or package.name in _WITHOUT_PLUGIN:
        return None
    if told is not None and not told.get("resource", False):
        return None
    told = told or {}
    version = told.get("version") or plugin_version(package.version)
    if not version:
        return None
    return Plugin(
        name=told.get("name") or package.name.removeprefix("pulumi-"),
        version=version if version.startswith("v") else f"v{version}",
        server=told.get("server", ""),
        parameterization=_parameter(told.get("parameterization")),
        extension=_parameter(told.get("extensionParameterization")),
    )


def _parameter(told: dict[str, str] | None) -> tuple[str, str, bytes] | None:
    return (told["name"], told["version"], base64.b64decode(told["value"])) if told else None


def _direct(pyproject: dict[str, Any]) -> set[str]:
    project = pyproject.get("project", {})
    lines = [*project.get("dependencies", []), *pyproject.get("tool", {}).get("poetry", {}).get("dependencies", {})]
    for group in pyproject.get("dependency-groups", {}).values():
        lines += [line for line in group if isinstance(line, str)]
    return {_normal(name.group()) for line in lines if (name := re.match(r"[A-Za-z0-9._-]+", line))}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
