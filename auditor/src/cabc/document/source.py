"""Read what a person wrote, YAML or JSON, into a model; every mistake comes with its line and column."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from cabc.document.explain import explain
from cabc.document.nodes import Limits, Node, Tree, child, dotted, parse, plain
from cabc.document.problems import Problem, ProblemsError
from cabc.document.shapes import keys_of

__all__ = ["Limits", "Source", "read", "read_source"]

M = TypeVar("M", bound=BaseModel)

_WINDOW = 4_000
"""Nodes that are validated at once when a file is large: pydantic keeps every error of a run in memory."""
_ERRORS = 6_000
"""Errors of one run that are looked at; a mistake in a union gives about ten."""
_MANY = 500
"""Problems after which nobody reads on."""


@dataclass(frozen=True, slots=True)
class Source(Generic[M]):
    """A model together with the places of its keys and values in the file."""

    model: M
    tree: Tree
    skip: int
    """Keys at the beginning of every path that go without saying."""

    def problem(
        self, path: Iterable[str | int], found: str, wanted: str, fix: str | None = None, *, key: bool = False
    ) -> Problem:
        """Return a problem at a path (keys as in the file); at the nearest place above when the path ends early.

        `key` points at the last key instead of its value.
        """
        node, steps = self.tree.root, list(path)
        for step in steps:
            below = child(node, step)
            if below is None:
                key = True
                break
            node = below
        line, column = self.tree.place(node.key if key and node.key is not None else node.at)
        return Problem(self.tree.file, line, column, dotted(steps[self.skip :]), found, wanted, fix)


def read(model: type[M], text: bytes, file: str, limits: Limits = Limits()) -> M:  # noqa: B008 (frozen)
    """Return the model that a file describes; ProblemsError with all its mistakes."""
    return read_source(model, text, file, limits).model


def read_source(model: type[M], text: bytes, file: str, limits: Limits = Limits()) -> Source[M]:  # noqa: B008 (frozen)
    """Return the model and the places of everything in it; ProblemsError with all mistakes."""
    skip = 1 if len(model.model_fields) == 1 else 0
    whole = keys_of(model)[0] if skip else ""
    try:
        return _validated(model, parse(text, file, limits), skip)
    except ProblemsError as error:
        problems = [replace(one, key=_short(one.key, whole)) for one in error.problems]
    raise ProblemsError(problems)


def _short(key: str, whole: str) -> str:
    rest = key.removeprefix(whole)
    return rest.removeprefix(".") if rest[:1] in (".", "[", "") else key


def _validated(model: type[M], tree: Tree, skip: int) -> Source[M]:
    problems = list(tree.problems)
    if tree.root.size > _WINDOW:
        for part in _parts(tree.root):
            problems += explain(model, tree, part, _errors(model, part)[:_ERRORS])
            if len(set(problems)) > _MANY:
                break
    if not problems or tree.root.size <= _WINDOW:
        try:
            value = model.model_validate_json(_json(tree.root), by_alias=True, by_name=False)
        except ValidationError as error:
            problems += explain(model, tree, tree.root, error.errors(include_url=False, include_input=False))
        else:
            if not problems:
                return Source(value, tree, skip)
    raise ProblemsError(_bounded(problems))


def _json(node: Node) -> str:
    return json.dumps(plain(node.value), ensure_ascii=False)


def _errors(model: type[BaseModel], part: Node) -> list[ErrorDetails]:
    try:
        model.model_validate_json(_json(part), by_alias=True, by_name=False)
    except ValidationError as error:
        return error.errors(include_url=False, include_input=False)
    return []


def _bounded(problems: list[Problem]) -> list[Problem]:
    ordered = sorted(set(problems))
    if len(ordered) > _MANY:
        last = ordered[_MANY]
        more = Problem(last.file, last.line, last.column, "", "more mistakes", "none", "correct these first")
        return [*ordered[:_MANY], more]
    return ordered


def _parts(root: Node) -> Iterator[Node]:
    """Give the tree in parts: each keeps the list items of one window, and the keys on the way to them."""
    for start in range(0, root.size, _WINDOW):
        yield _part(root, start, start + _WINDOW)


def _part(node: Node, start: int, end: int) -> Node:
    value = node.value
    if node.aliased or not isinstance(value, dict | list):
        return node
    if isinstance(value, list):
        first = bisect_left(value, start, key=lambda item: item.start + item.size - 1)
        kept = list(range(first, bisect_left(value, end, key=lambda item: item.start)))
        items = [_part(value[index], start, end) for index in kept]
        return Node(node.at, items, node.key, node.start, node.size, node.faulty, indexes=kept)
    parts: dict[str, Node] = {}
    for key, item in value.items():
        inside = item.size == 1 or _meets(item, start, end)
        left_out = Node(item.at, None, item.key, item.start, item.size, faulty=True)
        parts[key] = _part(item, start, end) if inside else left_out
    return Node(node.at, parts, node.key, node.start, node.size, node.faulty)


def _meets(node: Node, start: int, end: int) -> bool:
    return node.start < end and node.start + node.size > start
