"""Which models may stand at a place of a file, found from the annotations of the model of the whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel
from typing_extensions import TypeAliasType

from cabc.document.base import Model
from cabc.document.nodes import Node, child

__all__ = ["keys_of", "models_at", "models_by_name"]


@cache
def models_by_name() -> dict[str, type[BaseModel]]:
    """Return every model of the program by its name, as pydantic calls a union's branches."""
    found: dict[str, type[BaseModel]] = {}
    waiting: list[type[BaseModel]] = [Model]
    while waiting:
        model = waiting.pop()
        found[model.__name__] = model
        waiting += model.__subclasses__()
    return found


def keys_of(model: type[BaseModel]) -> list[str]:
    """Return the keys of a model as they are written in a file."""
    return [field.alias or name for name, field in model.model_fields.items()]


def models_at(model: type[BaseModel], root: Node, path: Iterable[str | int]) -> list[type[BaseModel]]:
    """Return the models that may stand at a path; where `kind` tells them apart, the one that is meant."""
    models: list[type[BaseModel]] = [model]
    node: Node | None = root
    for step in path:
        if isinstance(step, str):
            fields = [
                field for model in models for name, field in model.model_fields.items() if step in (field.alias, name)
            ]
            models = [found for field in fields for found in _models_in(field.annotation)] if fields else models
        node = child(node, step) if node is not None else None
        value = node.value if node is not None else None
        kind = value["kind"].value if isinstance(value, dict) and "kind" in value else None
        models = [model for model in models if _has_kind(model, kind)] or models
        if isinstance(value, dict) and len(models) > 1:
            best = max(sum(key in keys_of(model) for key in value) for model in models)
            models = [model for model in models if sum(key in keys_of(model) for key in value) == best]
    return models


def _flat(annotation: Any) -> Iterator[Any]:
    """Give the types that an annotation is made of: members of unions, items of lists, values of mappings."""
    if isinstance(annotation, TypeAliasType):
        annotation = annotation.__value__
    arguments = get_args(annotation)
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _flat(arguments[0])
    elif origin is dict:
        yield from _flat(arguments[1])
    elif arguments and origin is not Literal:
        for argument in arguments:
            yield from _flat(argument)
    else:
        yield annotation


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    return [kind for kind in _flat(annotation) if isinstance(kind, type) and issubclass(kind, BaseModel)]


def _has_kind(model: type[BaseModel], kind: object) -> bool:
    field = model.model_fields.get("kind")
    return field is not None and kind is not None and kind in get_args(field.annotation)
