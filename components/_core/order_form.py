"""The order form: what a stack asks for, as one model, and how to read it without and with Pulumi."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
import pydantic

from components._core import catalogue, findings, paths
from components._core.component import Component
from components._core.config import ComponentConfig, Settings
from components._core.errors import PlatformError, UnknownComponentError

__all__ = ["OrderForm", "config_keys", "load", "parse"]


class OrderForm(Settings):
    """What one stack gets. In `Pulumi.<stack>.yaml` each field is a key under `config`, with the project's prefix."""

    components: dict[str, Any]
    """The components of the platform by their name in the catalogue, each with what differs from its defaults."""


def config_keys() -> list[str]:
    """Return the keys of an order form as they stand under `config` in a stack's file."""
    return [f"{paths.APPLICATION}:{field.alias or name}" for name, field in OrderForm.model_fields.items()]


def parse(values: Mapping[str, Any], known: catalogue.Catalogue | None = None) -> dict[str, ComponentConfig]:
    """Return the config of every asked component, in deployment order.

    `values` are the order form's fields without the project's prefix; `known` stands in for the components of
    the catalogue. Raises PlatformError, or ExceptionGroup of
    PlatformError when more than one thing is wrong.
    """
    try:
        form = OrderForm.model_validate(dict(values))
    except pydantic.ValidationError as error:
        raise ExceptionGroup("order form", findings.explain((), error, OrderForm, values)) from error
    problems: list[PlatformError] = []
    configs: dict[str, ComponentConfig] = {}
    classes: dict[str, type[Component[Any]]] = {}
    known = catalogue.Components() if known is None else known
    for key, entry in form.components.items():
        if key not in known:
            problems.append(UnknownComponentError(key, known, findings.closest(key, known)))
            continue
        classes[key] = known[key]
        model = classes[key].config_class
        given = {} if entry is None else entry
        try:
            configs[key] = model.model_validate(given)
        except pydantic.ValidationError as error:
            problems.extend(findings.explain(("components", key), error, model, given))
    if len(classes) == len(form.components):  # else every need of the misspelled one would be reported as well
        problems.extend(catalogue.conflicts(classes, known))
    if problems:
        raise ExceptionGroup("order form", problems)
    return {key: configs[key] for key in catalogue.order_classes(classes)}


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
