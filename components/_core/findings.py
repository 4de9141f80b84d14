"""Say in plain words what pydantic found wrong in an order form."""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pydantic
from pydantic.fields import FieldInfo

from components._core.config import DnsName, Quantity, Settings
from components._core.errors import OrderFormError, PlatformError

__all__ = ["closest", "describe", "explain"]

Keys = tuple[str | int, ...]

_LONGEST = 60
"""Characters of a value that are shown; the rest helps nobody."""

_DNS_NAME = typing.get_args(DnsName)[1].pattern

_PATTERNS = {
    _DNS_NAME: ("a name Kubernetes accepts: lower-case letters, digits and `-`, none at either end"),
    typing.get_args(Quantity)[1].pattern: "a Kubernetes quantity such as `250m` or `1Gi`",
}

_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "string": "a text",
    "bool": "true or false",
    "dict": "a mapping",
    "model": "a mapping",
    "mapping": "a mapping",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
}

_LIMITS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "greater_than_equal": lambda limit: f"at least {limit['ge']}",
    "greater_than": lambda limit: f"more than {limit['gt']}",
    "less_than_equal": lambda limit: f"at most {limit['le']}",
    "less_than": lambda limit: f"less than {limit['lt']}",
    "string_too_long": lambda limit: f"at most {limit['max_length']} characters",
    "string_too_short": lambda limit: f"at least {limit['min_length']} character{'s' * (limit['min_length'] > 1)}",
    "too_long": lambda limit: f"at most {limit['max_length']} entries",
    "too_short": lambda limit: f"at least {limit['min_length']} entries",
}


def explain(
    prefix: Sequence[str], error: pydantic.ValidationError, model: type[Settings], values: Any
) -> list[PlatformError]:
    """Turn pydantic's findings into ours. `prefix` is the path of `values` in the order form."""
    found: dict[Keys, PlatformError] = {}
    for finding in error.errors(include_url=False):
        keys = _keys(finding["loc"], values)
        # A union reports one finding per member; the first is enough.
        found.setdefault(keys, _one((*prefix, *keys), keys, typing.cast("dict[str, Any]", finding), model))
    return list(found.values())


def closest(word: str, words: Iterable[str]) -> str | None:
    """Return the word that was probably meant."""
    words = list(words)
    lowered = {each.lower(): each for each in words}
    close = difflib.get_close_matches(word.lower(), lowered, n=1)
    return lowered[close[0]] if close else None


def describe(value: Any) -> str:
    """Return a value as people write it, shortened; mappings and lists by their kind alone."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case str():
            text = f"{value!r}"
            return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…'"
        case Mapping():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case _:
            return str(value)[:_LONGEST]


def _one(path: Keys, keys: Keys, finding: Mapping[str, Any], model: type[Settings]) -> PlatformError:
    kind: str = finding["type"]
    if kind == "extra_forbidden":
        names = [field.alias or key for key, field in _fields(model, keys[:-1]).items()]
        close = closest(str(keys[-1]), names)
        return OrderFormError(
            path,
            found=f"unknown key {str(keys[-1])!r}",
            wanted=f"one of {', '.join(names)}" if names else "no key at all, nothing can be configured here",
            fix=f"write {close}" if close else "remove the key",
        )
    if kind == "missing":
        under = f" under {path[-2]}" if len(path) > 1 else ""
        return OrderFormError(path, found="nothing", wanted=f"the key {keys[-1]}", fix=f"add `{keys[-1]}: …`{under}")
    wanted = _wanted(kind, finding)
    fix = f"give {'.'.join(map(str, path[-2:])) if keys and isinstance(keys[-1], int) else path[-1]} {wanted}"
    if wanted == _PATTERNS[_DNS_NAME] and (slug := _slug(str(finding["input"]))):
        fix = f"write {slug}"
    elif kind in {"literal_error", "enum"} and (close := closest(str(finding["input"]), _quoted(finding))):
        fix = f"write {close}"
    elif kind == "string_type" and isinstance(finding["input"], int | float) and not isinstance(finding["input"], bool):
        fix = f'write "{finding["input"]}" with quotes'
    elif (example := _example(model, keys)) is not None:
        fix = f"write for example `{keys[-1]}: {example}`, the default"
    return OrderFormError(path, found=describe(finding["input"]), wanted=wanted, fix=fix)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _wanted(kind: str, finding: Mapping[str, Any]) -> str:
    limits: Mapping[str, Any] = finding.get("ctx", {})
    if kind in _LIMITS:
        return _LIMITS[kind](limits)
    if kind == "string_pattern_mismatch":
        return _PATTERNS.get(limits["pattern"], f"a text that matches {limits['pattern']}")
    if kind in {"literal_error", "enum"}:
        return f"one of {', '.join(_quoted(finding))}"
    if kind.rpartition("_")[2] in {"type", "parsing", "size"} or kind == "int_from_float":
        base = _TYPES.get(kind.partition("_")[0])
        if base:
            return base
    message: str = finding["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return message[:1].lower() + message[1:]


def _quoted(finding: Mapping[str, Any]) -> list[str]:
    expected = str(finding.get("ctx", {}).get("expected", ""))
    return [word.strip(" '") for word in expected.replace(" or ", ", ").split(", ")]


def _keys(loc: Sequence[str | int], values: Any) -> Keys:
    """Return a finding's place as keys of the order form, without the marks pydantic adds for unions and the like."""
    keys: list[str | int] = []
    for index, part in enumerate(loc):
        if isinstance(values, Mapping) and (part in values or index == len(loc) - 1):
            keys.append(part)
            values = values.get(part)
        elif isinstance(values, list) and isinstance(part, int) and part < len(values):
            keys.append(part)
            values = values[part]
    return tuple(keys)


def _example(model: type[Settings], keys: Keys) -> str | None:
    if not keys or not isinstance(keys[-1], str):
        return None
    field = next((field for name, field in _fields(model, keys[:-1]).items() if keys[-1] in (field.alias, name)), None)
    if field is None or field.is_required() or not isinstance(field.default, str | int | float):
        return None
    return str(field.default).lower() if isinstance(field.default, bool) else str(field.default)


def _fields(model: type[Settings], keys: Keys) -> Mapping[str, FieldInfo]:
    """Return the fields of the model at a place inside another."""
    current: Any = model
    for key in keys:
        if isinstance(current, type) and issubclass(current, pydantic.BaseModel):
            fields = current.model_fields
            current = next((field.annotation for name, field in fields.items() if key in (field.alias, name)), None)
        else:
            current = next(reversed(typing.get_args(current)), None)
        current = _unwrap(current)
    return current.model_fields if isinstance(current, type) and issubclass(current, pydantic.BaseModel) else {}


def _unwrap(annotation: Any) -> Any:
    """Return the model of `Model | None` and of `Annotated[Model, …]`."""
    if typing.get_origin(annotation) is typing.Annotated:
        return _unwrap(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in {types.UnionType, typing.Union}:
        members = [each for each in typing.get_args(annotation) if each is not types.NoneType]
        return _unwrap(members[0])
    return annotation
