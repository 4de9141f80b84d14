"""From stored bytes to one value of one type. Pure: the same bytes give the same value, here and at a verifier's."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from cabc.document.interfaces import Extracting, Reduce
from cabc.interfaces.base import ExtractError, Value
from cabc.interfaces.structured import parse, text_of
from cabc.patterns import compile_pattern
from cabc.text import one_line

__all__ = ["cast", "compiled", "extract", "finish", "pointed", "queried", "reduced"]

Cast = str | None

_NUMBER = re.compile(r"[-+]?(?:\d{1,400}(?:\.\d{0,400})?|\.\d{1,400})(?:[eE][-+]?\d{1,4})?", re.ASCII)
_PATH = 1000
_INDEX = re.compile(r"0|[1-9][0-9]{0,15}", re.ASCII)


def extract(spec: Extracting, body: bytes, media_type: str) -> Value:
    """Return the value that pointer, JSONPath or regular expression selects; without one, the whole answer."""
    given = [key for key in ("pointer", "jsonpath", "regex") if getattr(spec, key) is not None]
    if len(given) > 1:
        msg = f"{' and '.join(given)} are given; give one of them"
        raise ExtractError(msg)
    if spec.pointer is not None:
        return finish(pointed(parse(body, media_type), spec.pointer), spec.reduce, spec.cast)
    if spec.jsonpath is not None:
        return finish(queried(parse(body, media_type), spec.jsonpath), spec.reduce, spec.cast, several=True)
    if spec.regex is not None:
        return finish(captured(text_of(body), spec.regex), spec.reduce, spec.cast, several=True)
    whole = text_of(body).strip() if media_type.startswith("text/") else parse(body, media_type)
    return finish(whole, spec.reduce, spec.cast)


def pointed(document: Any, pointer: str) -> Any:
    """Resolve a JSON pointer (RFC 6901), nothing beyond it: no index from the end, no key as a value."""
    if pointer and not pointer.startswith("/"):
        msg = f"the pointer {one_line(pointer)!r} must be empty or begin with a slash"
        raise ExtractError(msg)
    here = document
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(here, dict) and name in here:
            here = here[name]
        elif isinstance(here, list) and _INDEX.fullmatch(name) and int(name) < len(here):
            here = here[int(name)]
        else:
            msg = f"there is nothing at {one_line(pointer)!r}: {one_line(name)!r} is not in {_kind(here)}"
            raise ExtractError(msg)
    return here


def queried(document: Any, path: str) -> list[Any]:
    """Return all nodes that a JSONPath (RFC 9535) selects, in bounded time."""
    from jsonpath import JSONPathError

    try:
        _bounded(path)
        return [match.obj for match in _jsonpath(path).finditer(document)]
    except (JSONPathError, RecursionError) as error:
        msg = f"the JSONPath {one_line(path)!r} does not work: {one_line(str(error))}"
        raise ExtractError(msg) from error


@lru_cache(maxsize=1024)
def _jsonpath(path: str) -> Any:
    from jsonpath import JSONPathEnvironment

    environment = JSONPathEnvironment(strict=True)
    for name in ("match", "search"):
        function = environment.function_extensions[name]
        environment.function_extensions[name] = _linear(function, whole=name == "match")
    return environment.compile(path)


def _linear(function: Any, *, whole: bool) -> Any:
    """Return the standard's function with RE2, which no pattern can stall, in place of a backtracking engine."""

    class Linear(type(function)):  # type: ignore[misc]  # its class is chosen by name
        def __call__(self, value: object, pattern: object) -> bool:
            if not isinstance(value, str) or not isinstance(pattern, str):
                return False
            regex = compiled(pattern)
            return bool(regex.fullmatch(value) if whole else regex.search(value))

    return Linear()


def _bounded(path: str) -> None:
    """Refuse what makes a JSONPath more than linear: filters or descents inside a filter, descents after descents.

    The length is bounded because the library resolves segments by recursion, deep enough to crash the interpreter.
    """
    if len(path) > _PATH:
        msg = f"the JSONPath is longer than {_PATH} characters"
        raise ExtractError(msg)
    bare = re.sub(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", "''", path)
    outside: list[str] = []
    inside: list[str] = []
    filters: list[int] = []
    depth = 0
    for position, character in enumerate(bare):
        if character == "[":
            depth += 1
            if bare[position + 1 :].lstrip().startswith("?"):
                filters.append(depth)
        (inside if filters else outside).append(character)
        if character == "]":
            if filters and filters[-1] == depth:
                filters.pop()
            depth -= 1
        if len(filters) > 1:
            msg = "a filter inside a JSONPath filter is refused"
            raise ExtractError(msg)
    if ".." in "".join(inside) or "".join(outside).count("..") > 1 or "*" in "".join(inside):
        msg = "more than one `..` in a JSONPath, or `..` or `*` inside a filter, is refused"
        raise ExtractError(msg)


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> Any:
    """Return a compiled RE2 pattern; ExtractError when it is none."""
    try:
        return compile_pattern(pattern, memory=16 << 20)
    except ValueError as error:
        msg = f"{one_line(pattern)!r} is no RE2 pattern: {one_line(str(error))}"
        raise ExtractError(msg) from error


def captured(text: str, pattern: str) -> list[str]:
    """Return what the pattern's one group matched, each time it did."""
    regex = compiled(pattern)
    if regex.groups != 1:
        msg = f"the pattern {one_line(pattern)!r} has {regex.groups} groups; it needs exactly one"
        raise ExtractError(msg)
    return [match.group(1) for match in regex.finditer(text) if match.group(1) is not None]


def finish(found: Any, reduce: Reduce | None, to: Cast, *, several: bool = False) -> Value:
    """Cast, reduce and judge what was selected; `several` says that a list is a list of selections, not a value."""
    if reduce is not None:
        items = found if isinstance(found, list) else [found]
        return reduced(items if reduce == "count" else [cast(item, to) for item in items], reduce)
    if several:
        if not found:
            msg = "nothing was found"
            raise ExtractError(msg)
        if len(found) > 1:
            msg = f"{len(found)} values were found; select one, or say with `reduce` how they become one"
            raise ExtractError(msg)
        found = found[0]
    return cast(found, to)


def cast(found: Any, to: Cast) -> Value:
    """Return a value, turned into the type if one is asked for; never a guess."""
    if isinstance(found, list):
        return [_scalar(cast(item, to)) for item in found]
    if to == "numeric" and isinstance(found, str):
        return _numeric(found)
    if to == "numeric" and isinstance(found, bool):
        msg = f"found {found}, which is no number"
        raise ExtractError(msg)
    if to == "boolean" and isinstance(found, str) and found.strip().lower() in {"true", "false"}:
        return found.strip().lower() == "true"
    if to == "boolean" and not isinstance(found, bool):
        msg = f"found {_shown(found)}, which is neither true nor false"
        raise ExtractError(msg)
    if to == "string" and isinstance(found, bool | int | float):
        return str(found).lower() if isinstance(found, bool) else str(_scalar(found))
    return _scalar(found)


def _numeric(text: str) -> int | float:
    stripped = text.strip()
    if not _NUMBER.fullmatch(stripped):
        msg = f"found {_shown(text)}, which is no number"
        raise ExtractError(msg)
    try:
        return int(stripped)
    except ValueError:
        number = float(stripped)
    _scalar(number)
    return number


def _scalar(found: Any) -> bool | int | float | str:
    if isinstance(found, float) and not math.isfinite(found):
        msg = f"found {found}, which is no finite number"
        raise ExtractError(msg)
    if isinstance(found, bool | int | float | str):
        return found
    msg = f"found {_kind(found)}, which is no value"
    raise ExtractError(msg)


_ARITHMETIC: dict[str, Callable[[Sequence[Any]], Any]] = {
    "min": min,
    "max": max,
    "sum": math.fsum,
    "mean": lambda numbers: math.fsum(numbers) / len(numbers),
}


def reduced(items: Sequence[Any], how: Reduce) -> Value:
    """Make one value of several; of none only their number."""
    if how == "count":
        return len(items)
    if not items:
        msg = f"nothing was found, so there is no {how}"
        raise ExtractError(msg)
    if how in {"first", "last"}:
        return _scalar(items[0 if how == "first" else -1])
    for item in items:
        if isinstance(item, bool) or not isinstance(item, int | float):
            msg = f"found {_shown(item)} among the values, which is no number; `cast: numeric` reads numbers in text"
            raise ExtractError(msg)
    try:
        return _scalar(_ARITHMETIC[how]([_scalar(item) for item in items]))
    except OverflowError as error:
        msg = f"the {how} is too large"
        raise ExtractError(msg) from error


def _kind(found: Any) -> str:
    if found is None:
        return "null"
    return "an object" if isinstance(found, dict) else "a list" if isinstance(found, list) else _shown(found)


def _shown(found: Any) -> str:
    return f"text {one_line(found, limit=60)!r}" if isinstance(found, str) else one_line(str(found), limit=60)
