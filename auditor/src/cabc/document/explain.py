"""What pydantic found wrong, as problems that say where, what was found, what is wanted and what to write instead."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from cabc.document.nodes import Node, Tree, dotted, quoted
from cabc.document.problems import Problem
from cabc.document.shapes import keys_of, models_at, models_by_name

__all__ = ["explain", "similar"]

_KNOWN = 1_000
_PREFIX = 3
_SLUG = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
_NUMERIC = ("float_type", "int_type")
_PATTERNS = {
    _SLUG: "lower-case letters, digits and dashes, at most 63",
    r"^sha256:[0-9a-f]{64}$": "sha256: and 64 hexadecimal digits",
    r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$": "letters, digits, dashes and underscores, at most 63",
    r"^subject\.[a-zA-Z]+$": "subject.version, subject.runId, subject.digest or another fact of the subject",
}
_SIMPLE = {
    "string_type": "text",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "none_required": "nothing",
    "timezone_aware": "a moment with its time zone, like 2026-01-31T12:00:00Z",
    "datetime_type": "a moment, like 2026-01-31T12:00:00Z",
    "datetime_parsing": "a moment, like 2026-01-31T12:00:00Z",
    "datetime_from_date_parsing": "a moment, like 2026-01-31T12:00:00Z",
    "finite_number": "a finite number",
}
_LIMITS = {
    "greater_than": ("more than", "gt", ""),
    "greater_than_equal": ("at least", "ge", ""),
    "less_than": ("less than", "lt", ""),
    "less_than_equal": ("at most", "le", ""),
    "string_too_short": ("text of at least", "min_length", " characters"),
    "string_too_long": ("text of at most", "max_length", " characters"),
    "too_long": ("at most", "max_length", " items"),
    "too_short": ("at least", "min_length", " items"),
}
_NUMBER = re.compile(r"[-+]?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?\Z")
_SWITCHES = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}


@dataclass(frozen=True, slots=True)
class _Error:
    """One of pydantic's errors, taken apart along the file."""

    raw: ErrorDetails
    path: tuple[str | int, ...]
    """Keys and indexes that lead to `node`, as they are in the file."""
    node: Node
    rest: tuple[str | int, ...]
    """What pydantic names below the node: a branch of a union, a missing key."""
    key: int | None
    """Place of the last key on the way."""


def similar(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that was probably meant; looks at a bounded number of them."""
    by_shape = {_shape(name): name for name in islice(known, _KNOWN)}
    shape = _shape(word)
    close = difflib.get_close_matches(shape, by_shape, n=1, cutoff=0.7)
    close += [name for name in by_shape if len(min(name, shape, key=len)) >= _PREFIX and _begins(name, shape)]
    return by_shape[close[0]] if close else None


def _begins(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def _shape(word: str) -> str:
    return re.sub(r"[^a-z0-9]", "", word[:100].lower())


def explain(model: type[BaseModel], tree: Tree, root: Node, errors: Iterable[ErrorDetails]) -> list[Problem]:
    """Turn pydantic's errors into problems: one for each mistake, whatever the number of a union's branches.

    `root` may be a part of the tree.
    """
    located = [error for raw in errors if (error := _located(root, raw)) is not None]
    return _Narrator(model, tree, root).tell(_united(located))


def _united(errors: Iterable[_Error]) -> list[_Error]:
    """Put those errors together that pydantic gives for the branches of one union."""
    groups: dict[tuple[str | int, ...], list[_Error]] = {}
    single: list[_Error] = []
    for error in errors:
        if error.rest and not (len(error.rest) == 1 and error.raw["type"] == "missing"):
            groups.setdefault(error.path, []).append(error)
        else:
            single.append(error)
    for group in groups.values():
        single += _most_likely(group)
    return single


def _located(root: Node, raw: ErrorDetails) -> _Error | None:
    """Walk pydantic's location along the file; None when something wrong there has been said already."""
    node, key = root, None
    path: list[str | int] = []
    steps = list(raw["loc"])
    while steps:
        value, step = node.value, steps[0]
        if isinstance(value, dict) and isinstance(step, str) and not _is_tag(value, steps):
            if step not in value:
                break
            node = value[step]
            key = node.key
            path.append(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            path.append(node.indexes[step] if node.indexes else step)
            node = value[step]
        elif not (isinstance(value, dict) and _is_tag(value, steps)):
            break
        steps.pop(0)
        if node.faulty:
            return None
    return _Error(raw, tuple(path), node, tuple(steps), key)


def _is_tag(value: Mapping[str, Node], steps: list[str | int]) -> bool:
    """Tell whether a step repeats the mapping's `kind`, as pydantic does for unions that it tells apart by it."""
    kind = value.get("kind")
    return kind is not None and kind.value == steps[0] and (steps[0] not in value or len(steps) > 1)


def _most_likely(group: list[_Error]) -> list[_Error]:
    """Of a union's errors keep those of the branch that the author probably meant, or one that names all branches."""
    node = group[0].node
    branches: dict[str | int, list[_Error]] = {}
    for error in group:
        branches.setdefault(error.rest[0], []).append(error)
    best: list[_Error] | None = None
    if isinstance(node.value, dict):
        models = models_by_name()
        overlap = {
            branch: sum(_near(key, models[str(branch)]) for key in node.value)
            for branch in branches
            if str(branch) in models
        }
        chosen = max(overlap, key=lambda branch: overlap[branch], default=None)
        if chosen is not None and overlap[chosen]:
            best = branches[chosen]
    elif isinstance(node.value, list):
        best = next((errors for branch, errors in branches.items() if str(branch).startswith("list[")), None)
    if best is None:
        return [_either(group)]
    return _united(inner for error in best if (inner := _inside(error)) is not None)


def _near(key: str, model: type[BaseModel]) -> float:
    names = keys_of(model)
    if key in names:
        return 1.0
    return 0.5 if similar(key, names) else 0.0


def _either(group: list[_Error]) -> _Error:
    """Return one error for all branches of a union."""
    first = group[0]
    branches = {error.rest[0]: error for error in reversed(group)}
    wanted = list(dict.fromkeys(_branch(branch, error) for branch, error in reversed(branches.items())))
    if "a number" in wanted and "an integer" in wanted:
        wanted.remove("an integer")
    raw: ErrorDetails = {
        "type": "union",
        "loc": first.raw["loc"],
        "msg": " or ".join(wanted),
        "input": None,
        "ctx": {"known": [word for error in group for word in _words(error)]},
    }
    return _Error(raw, first.path, first.node, (), first.key)


def _inside(error: _Error) -> _Error | None:
    """Go on along the file behind the name of a union's branch."""
    inner = _located(error.node, {**error.raw, "loc": error.rest[1:]})
    return inner and replace(inner, path=(*error.path, *inner.path), key=inner.key or error.key)


def _branch(branch: str | int, error: _Error) -> str:
    models = models_by_name()
    if str(branch) in models:
        return "{" + ", ".join(keys_of(models[str(branch)])) + "}"
    return _wanted(error)


class _Narrator:
    """Says errors in our words, each at the place where the author has to change something."""

    def __init__(self, model: type[BaseModel], tree: Tree, root: Node) -> None:
        self.model = model
        self.tree = tree
        self.root = root
        self.skip = 1 if len(model.model_fields) == 1 else 0

    def tell(self, errors: list[_Error]) -> list[Problem]:
        """Return the problems; a key that is missing because it is misspelt counts once."""
        misspelt: set[tuple[str | int, ...]] = set()
        problems: list[Problem] = []
        for error in errors:
            if error.raw["type"] == "extra_forbidden":
                meant = similar(str(error.path[-1]), self.known(error.path[:-1]))
                misspelt.add((*error.path[:-1], meant or ""))
                fix = f"did you mean `{meant}`?" if meant else self.choice(error.path[:-1])
                problems.append(self.problem(error, error.key, f"the key {quoted(error.path[-1])}", "a known key", fix))
        for error in errors:
            kind = error.raw["type"]
            if kind == "missing" and (*error.path, *error.rest) not in misspelt:
                problems.append(self.missing(error))
            elif kind == "union_tag_invalid":
                problems.append(self.untold(error))
            elif kind not in ("missing", "extra_forbidden"):
                found = quoted(error.node.value)
                if kind == "union_tag_not_found":
                    problems.append(self.problem(error, None, found, "a mapping with the key kind", "add `kind:`"))
                else:
                    problems.append(self.problem(error, None, found, _wanted(error), _repair(error)))
        return problems

    def problem(self, error: _Error, at: int | None, found: str, wanted: str, fix: str | None) -> Problem:
        line, column = self.tree.place(error.node.at if at is None else at)
        return Problem(self.tree.file, line, column, dotted(error.path[self.skip :]), found, wanted, fix)

    def missing(self, error: _Error) -> Problem:
        name = str(error.rest[-1])
        at = error.key if error.path and isinstance(error.path[-1], str) else error.node.at
        wanted = f"`{name}`"
        for model in models_at(self.model, self.root, error.path):
            for field_name, field in model.model_fields.items():
                if name in (field.alias, field_name) and field.description:
                    wanted += f" ({' '.join(field.description.split()).split('. ')[0].rstrip('.')})"
                    break
        return self.problem(replace(error, path=(*error.path, name)), at, "nothing", wanted, f"add `{name}:`")

    def untold(self, error: _Error) -> Problem:
        """Say that there is no such kind."""
        context = error.raw.get("ctx", {})
        kinds = re.findall(r"'([^']+)'", str(context.get("expected_tags", "")))
        kind = error.node.value.get("kind") if isinstance(error.node.value, dict) else None
        error = replace(error, path=(*error.path, "kind"))
        fix = _meant(str(context.get("tag")), kinds)
        return self.problem(error, kind and kind.at, quoted(kind.value if kind else None), _one_of(kinds), fix)

    def choice(self, path: tuple[str | int, ...]) -> str:
        keys = self.known(path)
        return f"remove it, or write one of {', '.join(keys)}" if keys else "remove it"

    def known(self, path: tuple[str | int, ...]) -> list[str]:
        """Return the keys that are known at a path."""
        return list(dict.fromkeys(key for model in models_at(self.model, self.root, path) for key in keys_of(model)))


def _one_of(words: list[str]) -> str:
    return f"one of {', '.join(words)}" if len(words) > 1 else "".join(words)


def _meant(word: str, known: list[str]) -> str | None:
    meant = similar(word, known)
    return f"did you mean {meant}?" if meant else None


def _words(error: _Error) -> list[str]:
    """Return the words that an error says are allowed."""
    context = error.raw.get("ctx", {})
    return [str(word) for word in context.get("known", re.findall(r"'([^']+)'", str(context.get("expected", ""))))]


def _wanted(error: _Error) -> str:
    """Return what is wanted, in a few words."""
    kind, message, context = error.raw["type"], error.raw["msg"], error.raw.get("ctx", {})
    said = _SIMPLE.get(kind, message)
    if kind in ("literal_error", "enum"):
        said = _one_of(_words(error)) or message
    elif kind == "string_pattern_mismatch":
        pattern = str(context.get("pattern"))
        said = _PATTERNS.get(pattern, f"text that matches {pattern}")
    elif kind == "model_type":
        model = models_by_name().get(str(context.get("class_name")))
        said = "{" + ", ".join(keys_of(model)) + "}" if model else "a mapping"
    elif kind in _LIMITS:
        word, key, unit = _LIMITS[kind]
        said = f"{word} {context.get(key)}{unit}"
        if said == "text of at least 1 characters":
            said = "some text"
    elif kind == "value_error":
        said = str(context.get("error", message)).split("; ", 1)[0]
        if match := re.match(r".* is no (.*)\Z", said, re.DOTALL):
            return f"{'an' if match[1][:1] in 'aeiouAEIOU' else 'a'} {match[1]}"
        said = re.sub(r"^('.*'|\".*\") must (.*)$", r"one that must \2", said, flags=re.DOTALL)
    return said


def _repair(error: _Error) -> str | None:
    """Return what to write instead, when it can be told."""
    kind, value = error.raw["type"], error.node.value
    if kind == "value_error":
        _, _, fix = str(error.raw.get("ctx", {}).get("error", "")).partition("; ")
        return fix or None
    if kind == "list_type" and value is not None:
        return "begin each item with `- `, or write [a, b]"
    if isinstance(value, str):
        return _repair_text(kind, value, error)
    if kind == "string_type" and isinstance(value, bool | int | float):
        return "put it in quotation marks"
    return None


def _repair_text(kind: str, value: str, error: _Error) -> str | None:
    word = value.lower()
    if kind == "bool_type" and word in _SWITCHES:
        return f"write {_SWITCHES[word]}"
    if (kind == "bool_type" and word in ("true", "false")) or (kind in _NUMERIC and _NUMBER.match(value)):
        return "remove the quotation marks"
    if kind == "string_pattern_mismatch" and error.raw["ctx"].get("pattern") == _SLUG:
        spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", value[:100]).lower()
        slug = re.sub(r"[^a-z0-9]+", "-", spaced)[:63].strip("-")
        return f"write {slug}" if slug else None
    return _meant(value, _words(error))
