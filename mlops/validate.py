"""Find everything that is wrong with an order form before anything runs: where, what was found, what was wanted."""

from __future__ import annotations

import importlib.metadata
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components._core import catalogue, findings, order_form, paths
from components._core.errors import PlatformError
from mlops import order_form_file
from mlops.order_form_file import Keys, OrderFormFile, Problem

__all__ = ["Finding", "check", "files"]

PREFIX = f"{paths.APPLICATION}:"

TOP_LEVEL = ("config", "encryptionsalt", "secretsprovider", "encryptedkey", "environment")
"""The keys that Pulumi knows in a stack's file."""

_NAME = re.compile(r"Pulumi\.(?P<stack>[A-Za-z0-9_.-]{1,100})\.ya?ml")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, and where."""

    file: str
    line: int
    column: int
    key: str
    found: str
    wanted: str
    fix: str

    def __str__(self) -> str:
        key = f" {self.key}:" if self.key else ""
        return f"{self.file}:{self.line}:{self.column}:{key} found {self.found}, wanted {self.wanted}; fix: {self.fix}"


def files() -> list[Path]:
    """Return the order forms of the project."""
    return sorted((paths.CHECKOUT / "stacks").glob("Pulumi.*.yaml"))


def check(file: Path, known: catalogue.Catalogue | None = None) -> list[Finding]:
    """Return everything that is wrong with one order form, in the order of its lines.

    `known` stands in for the components of the catalogue.
    """
    shown = _shown(file)
    try:
        form = order_form_file.read(file)
        problems = [*_check_name(file), *_check_form(form, known)]
    except* Problem as group:
        form, problems = None, [each for each in _leaves(group) if isinstance(each, Problem)]
    located = [_locate(shown, form, problem) for problem in problems]
    return sorted(located, key=lambda finding: (finding.line, finding.column))


def _locate(shown: str, form: OrderFormFile | None, problem: Problem) -> Finding:
    line, column = problem.position or (form.position(problem.keys, at_key=problem.at_key) if form else (1, 1))
    key = ".".join(str(part).removeprefix(PREFIX) for part in problem.keys if part != "config") or _last(problem.keys)
    return Finding(shown, line, column, key, problem.found, problem.wanted, problem.fix)


def _last(keys: Keys) -> str:
    return str(keys[-1]) if keys else ""


def _check_name(file: Path) -> list[Problem]:
    if _NAME.fullmatch(file.name):
        return []
    stack = re.sub(r"[^A-Za-z0-9_.-]+", "-", file.name.removeprefix("Pulumi.").partition(".y")[0])[:100] or "team"
    return [
        Problem(
            found=f"the file name {file.name}",
            wanted="Pulumi.<stack>.yaml, the stack in letters, digits, `-`, `_` and `.`, at most 100",
            fix=f"rename it to Pulumi.{stack}.yaml",
            position=(1, 1),
        )
    ]


def _check_form(form: OrderFormFile, known: catalogue.Catalogue | None) -> list[Problem]:
    found = [*form.problems, *_check_top_level(form.values)]
    config = form.values.get("config")
    if not isinstance(config, Mapping):
        wanted = "a mapping with the order form's keys"
        if "config" not in form.values and any(problem.fix == "write config" for problem in found):
            return found  # the misspelled key is reported already
        what = findings.describe(config)
        return [*found, Problem(("config",), found=what, wanted=wanted, fix=f"add config: {{{PREFIX}components: …}}")]
    found += _check_prefixes(config)
    values: dict[str, Any] = {}
    for key in (key for key in config if str(key).startswith(PREFIX)):
        values[key.removeprefix(PREFIX)] = _decode(config[key])
    misspelled = any(problem.fix == f"write {key}" for key in order_form.config_keys() for problem in found)
    if misspelled and not values:
        return found
    try:
        order_form.parse(values, known)
    except* PlatformError as group:
        found += [
            _from_platform(error)
            for error in _leaves(group)
            if isinstance(error, PlatformError) and not form.is_secret(_in_file(error.keys))
        ]
    fixes = {problem.fix for problem in found}  # a key that is misspelled is not missing as well
    return [each for each in found if not (each.found == "nothing" and f"write {each.keys[-1]}" in fixes)]


def _check_top_level(values: Mapping[Any, Any]) -> list[Problem]:
    found = []
    for key, value in values.items():
        if key in TOP_LEVEL:
            if key not in {"config", "environment"} and not isinstance(value, str):
                what = findings.describe(value)
                found.append(Problem((key,), found=what, wanted="a text", fix=f"let Pulumi write {key}, or remove it"))
            continue
        close = findings.closest(str(key), TOP_LEVEL)
        fix = f"write {close}" if close else "remove the key"
        if str(key).startswith(PREFIX):
            fix = "indent it under config"
        wanted = f"one of {', '.join(TOP_LEVEL)}"
        found.append(Problem((key,), found=f"unknown key {str(key)!r}", wanted=wanted, fix=fix, at_key=True))
    return found


def _check_prefixes(config: Mapping[Any, Any]) -> list[Problem]:
    """Refuse keys of a namespace that belongs neither to the project nor to an installed provider."""
    found = []
    namespaces = _namespaces()
    for key in config:
        namespace, colon, name = str(key).partition(":")
        if namespace in namespaces and name:
            continue
        ours = order_form.config_keys()
        close = findings.closest(str(key), ours) or findings.closest(
            name if colon else namespace, [each.removeprefix(PREFIX) for each in ours]
        )
        fix = f"write {PREFIX}{close.removeprefix(PREFIX)}" if close else "remove the key"
        what = f"the prefix {namespace!r}" if colon else f"{str(key)!r} without a prefix"
        found.append(
            Problem(("config", key), found=what, wanted=f"one of {', '.join(namespaces)}", fix=fix, at_key=True)
        )
    return found


def _namespaces() -> list[str]:
    """Return whose configuration a stack's file may hold: ours, Pulumi's, that of installed providers."""
    names = {str(each.metadata["Name"]).lower().replace("_", "-") for each in importlib.metadata.distributions()}
    return [
        paths.APPLICATION,
        "pulumi",
        *sorted(name.removeprefix("pulumi-") for name in names if name.startswith("pulumi-")),
    ]


def _decode(value: Any) -> Any:
    """Return what `Config.get_object` would: Pulumi keeps some values as JSON in a text."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _in_file(keys: tuple[str | int, ...]) -> Keys:
    return ("config", f"{PREFIX}{keys[0]}", *keys[1:]) if keys else ("config",)


def _from_platform(error: PlatformError) -> Problem:
    at_key = error.found.startswith(("unknown key", "component", "nothing")) or error.keys[:1] == ("components",)
    at_value = type(error).__name__ == "OrderFormError" and not error.found.startswith("unknown key")
    fix = error.fix
    if len(error.keys) == 1:  # a key of the form itself, which carries the prefix in the file
        fix = fix.replace("write ", f"write {PREFIX}").replace("add `", f"add `{PREFIX}")
    return Problem(
        _in_file(error.keys), found=error.found, wanted=error.wanted, fix=fix, at_key=at_key and not at_value
    )


def _leaves(group: BaseExceptionGroup[Any]) -> list[BaseException]:
    found: list[BaseException] = []
    for each in group.exceptions:
        found += _leaves(each) if isinstance(each, BaseExceptionGroup) else [each]
    return found


def _shown(file: Path) -> str:
    """Return the path as people would type it."""
    try:
        return str(file.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(file)
