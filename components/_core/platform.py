"""Turn an order form into a platform: the way of the data in one page."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from typing import Any

import pulumi

from components._core import catalogue, order_form
from components._core.component import Component, Needs
from components._core.contracts import Contract
from components._core.errors import PlatformError

__all__ = ["deploy"]


def deploy() -> dict[str, Component[Any]]:
    """Deploy every component that the current stack's order form asks for and export what they tell.

    Order form → its configs in deployment order → each component gets its config and its needs, returns its
    promises → outputs. Raises pulumi.RunError, which Pulumi prints without a traceback.
    """
    gc.disable()  # a program ends in seconds: looking for garbage takes a fifth of them and finds none
    try:
        configs = order_form.load()
    except* PlatformError as group:
        raise _refused(group.exceptions, "wrong (`mlops validate` gives the lines)") from None
    promised: dict[type[Contract], Contract] = {}
    components: dict[str, Component[Any]] = {}
    known = catalogue.keys()
    for key, config in configs.items():
        cls = catalogue.component_class(known[key])
        wanted = (*cls.requires, *cls.uses)
        component = cls(config, Needs({contract: promised[contract] for contract in wanted if contract in promised}))
        for promise in component.promises:
            promised[type(promise)] = promise
        components[key] = component
        pulumi.export(key, component.outputs)
    if problems := [problem for component in components.values() for problem in component.problems()]:
        raise _refused(problems, "one that cannot work")
    return components


def _refused(problems: Iterable[Exception], what: str) -> pulumi.RunError:
    lines = "\n".join(f"  {problem}" for problem in problems)
    return pulumi.RunError(f"the order form of stack {pulumi.get_stack()} is {what}:\n{lines}")
