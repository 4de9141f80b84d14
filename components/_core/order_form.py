"""The order form: what a stack asks for, as one model, and how to read it without and with Pulumi."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

import pulumi
import pydantic

from components._core import catalogue, paths
from components._core.config import ComponentConfig, Settings
from components._core.errors import OrderFormError, PlatformError

__all__ = ["OrderForm", "config_keys", "load", "parse"]


class OrderForm(Settings):
    """What one stack gets. In `Pulumi.<stack>.yaml` each field is a key under `config`, with the project's prefix."""

    components: dict[str, Any]
    """The components of the platform by their name in the catalogue, each with what differs from its defaults."""


def config_keys() -> list[str]:
    """Return the keys of an order form as they stand under `config` in a stack's file."""
    return [f"{paths.APPLICATION}:{field.alias or name}" for name, field in OrderForm.model_fields.items()]


def parse(values: Mapping[str, Any]) -> dict[str, ComponentConfig]:
    """Return the config of every asked component, in deployment order.

    `values` are the order form's fields without the project's prefix. Raises PlatformError, or ExceptionGroup of
    PlatformError when more than one thing is wrong.
    """
    problems: list[PlatformError] = []
    try:
        form = OrderForm.model_validate(dict(values))
    except pydantic.ValidationError as error:
        raise ExceptionGroup("order form", list(_explain((), error, OrderForm))) from error
    configs: dict[str, ComponentConfig] = {}
    known = catalogue.keys()
    for key, entry in form.components.items():
        if key not in known:
            continue
        model = catalogue.component_class(known[key]).config_class
        try:
            configs[key] = model.model_validate({} if entry is None else entry)
        except pydantic.ValidationError as error:
            problems.extend(_explain(("components", key), error, model))
    try:
        order = catalogue.order(list(form.components))
    except PlatformError as error:
        problems.append(error)
    if problems:
        raise ExceptionGroup("order form", problems)
    return {key: configs[key] for key in order}


def load() -> dict[str, ComponentConfig]:
    """Read the order form of the stack that Pulumi is running; see `parse` for what it raises."""
    config = pulumi.Config(paths.APPLICATION)
    return parse(
        {
            key: value
            for name, field in OrderForm.model_fields.items()
            if (value := config.get_object(key := field.alias or name)) is not None
        }
    )


def _explain(prefix: tuple[str, ...], error: pydantic.ValidationError, model: type[Settings]) -> list[PlatformError]:
    """Turn pydantic's findings into ours, each with the path of its key."""
    return [_one(prefix, finding, model) for finding in error.errors(include_url=False)]


def _one(prefix: tuple[str, ...], finding: Any, model: type[Settings]) -> PlatformError:
    keys = (*prefix, *finding["loc"])
    what = finding["input"]
    found = "nothing" if finding["type"] == "missing" else f"{what!r} ({type(what).__name__})"
    wanted = finding["msg"].removeprefix("Value error, ")
    fix = f"correct {'.'.join(map(str, keys))}"
    if finding["type"] == "extra_forbidden":
        names = _aliases(model, finding["loc"][:-1])
        found, wanted = f"unknown key {finding['loc'][-1]!r}", f"one of {', '.join(names)}" if names else "no key"
        fix = _closest(str(finding["loc"][-1]), names)
    elif finding["type"] == "missing":
        fix = f"add {'.'.join(map(str, keys))}"
    return OrderFormError(keys, found=found, wanted=wanted[:1].lower() + wanted[1:], fix=fix)


def _closest(word: str, names: list[str]) -> str:
    close = difflib.get_close_matches(word, names, n=1)
    return f"write {close[0]}" if close else "remove the key"


def _aliases(model: type[Settings], loc: tuple[str | int, ...]) -> list[str]:
    """Return the keys a (nested) model knows."""
    current: Any = model
    for part in loc:
        for name, field in current.model_fields.items():
            if part in (field.alias, name):
                current = field.annotation
                break
        else:
            return []
        if not (isinstance(current, type) and issubclass(current, pydantic.BaseModel)):
            return []
    return [field.alias or name for name, field in current.model_fields.items()]
