"""JSONPath as `pulumi.com/waitFor` takes it: `{.status.phase}` of kubectl and `$.status.phase` of RFC 9535.

Understood are names, `['names']`, `[0]`, `[-1]`, slices, `*`, `..` and filters `[?(@.type=="Ready")]` with
comparisons, `&&`, `||`, `!` and bare existence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

__all__ = ["JsonPathError", "compile_path"]

Step = Callable[[Any], Iterable[Any]]
Test = Callable[[Any], bool]

_TOKEN = re.compile(
    r"""\s*(?:(?P<op>==|!=|<=|>=|<|>|&&|\|\||!(?!=))|(?P<paren>[()])
    |(?P<number>-?\d+(?:\.\d+)?)|(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    |(?P<word>true|false|null)\b|(?P<path>[@$](?:\.{1,2}[\w*-]+|\[[^\]]*\])*))""",
    re.VERBOSE,
)
_NAME = re.compile(r"[^.\[\]{}\s'\"]+")


class JsonPathError(ValueError):
    """The expression is not one this provider understands."""


def compile_path(text: str) -> Callable[[Any], list[Any]]:
    """Return a function that finds all values an expression leads to."""
    bare = text.strip()
    if bare.startswith("{") and bare.endswith("}"):
        bare = bare[1:-1].strip()
    steps = list(_steps(bare[1:] if bare[:1] in ("$", "@") else bare, text))

    def find(document: Any) -> list[Any]:
        values: list[Any] = [document]
        for step in steps:
            values = [found for value in values for found in step(value)]
        return values

    return find


def _steps(path: str, text: str) -> Iterator[Step]:
    position = 0
    while position < len(path):
        if path.startswith("..", position):
            yield _descend
            position += 2
            if path[position : position + 1] == "[":
                continue
            name, position = _name(path, position, text)
            yield _child(name)
        elif path[position] == ".":
            position += 1
            name, position = _name(path, position, text)
            yield _child(name)
        elif path[position] == "[":
            end = _closing(path, position, text)
            yield _bracket(path[position + 1 : end].strip(), text)
            position = end + 1
        elif position == 0:
            name, position = _name(path, position, text)
            yield _child(name)
        else:
            message = f"unexpected {path[position]!r} in JSONPath {text!r}"
            raise JsonPathError(message)


def _name(path: str, position: int, text: str) -> tuple[str, int]:
    characters: list[str] = []
    while position < len(path):
        if path[position] == "\\" and position + 1 < len(path):  # kubectl: .metadata.labels.app\.kubernetes\.io/name
            characters.append(path[position + 1])
            position += 2
        elif found := _NAME.match(path[position]):
            characters.append(found.group())
            position += 1
        else:
            break
    if not characters:
        message = f"a name is missing in JSONPath {text!r}"
        raise JsonPathError(message)
    return "".join(characters), position


def _closing(path: str, start: int, text: str) -> int:
    depth, quote, position = 0, "", start
    while position < len(path):
        character = path[position]
        if quote:
            if character == "\\":
                position += 1
            elif character == quote:
                quote = ""
        elif character in "'\"":
            quote = character
        elif character == "[":
            depth += 1
        elif character == "]":
            depth -= 1
            if depth == 0:
                return position
        position += 1
    message = f"a bracket is not closed in JSONPath {text!r}"
    raise JsonPathError(message)


def _child(name: str) -> Step:
    if name == "*":
        return _children
    return lambda value: [value[name]] if isinstance(value, dict) and name in value else []


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else []


def _descend(value: Any) -> Iterator[Any]:
    yield value
    for child in _children(value):
        yield from _descend(child)


def _bracket(inner: str, text: str) -> Step:
    if inner == "*":
        return _children
    if inner.startswith("?"):
        test = _Filter(inner[1:].strip(), text).parse()
        return lambda value: [child for child in _children(value) if test(child)]
    if len(inner) > 1 and inner[0] in "'\"" and inner[-1] == inner[0]:
        return _child(_unquoted(inner))
    if re.fullmatch(r"-?\d+", inner):
        index = int(inner)
        return lambda value: value[index:][:1] if isinstance(value, list) and index >= -len(value) else []
    if re.fullmatch(r"(-?\d*):(-?\d*)(?::(-?\d*))?", inner):
        parts = slice(*(int(part) if part else None for part in inner.split(":")))
        return lambda value: value[parts] if isinstance(value, list) else []
    message = f"[{inner}] is not understood in JSONPath {text!r}"
    raise JsonPathError(message)


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1])


class _Filter:
    """A recursive-descent parser of filter expressions."""

    def __init__(self, source: str, text: str) -> None:
        self._text = text
        self._tokens: list[tuple[str, str]] = []
        position = 0
        while position < len(source):
            found = _TOKEN.match(source, position)
            if not found or not found.lastgroup:
                self._fail(source[position:])
                break
            self._tokens.append((found.lastgroup, found.group(found.lastgroup)))
            position = found.end()
            position += len(source[position:]) - len(source[position:].lstrip())

    def _fail(self, what: str) -> None:
        message = f"filter {what!r} is not understood in JSONPath {self._text!r}"
        raise JsonPathError(message)

    def parse(self) -> Test:
        test = self._either()
        if self._tokens:
            self._fail(self._tokens[0][1])
        return test

    def _take(self, *values: str) -> str:
        if self._tokens and self._tokens[0][1] in values and self._tokens[0][0] in ("op", "paren"):
            return self._tokens.pop(0)[1]
        return ""

    def _either(self) -> Test:
        tests = [self._both()]
        while self._take("||"):
            tests.append(self._both())
        return lambda value: any(test(value) for test in tests)

    def _both(self) -> Test:
        tests = [self._one()]
        while self._take("&&"):
            tests.append(self._one())
        return lambda value: all(test(value) for test in tests)

    def _one(self) -> Test:
        if self._take("!"):
            inner = self._one()
            return lambda value: not inner(value)
        if self._take("("):
            inner = self._either()
            if not self._take(")"):
                self._fail("(")
            return inner
        left = self._operand()
        operator = self._take("==", "!=", "<", "<=", ">", ">=")
        if not operator:
            return lambda value: bool(left(value))
        right = self._operand()
        return lambda value: _compared(operator, left(value), right(value))

    def _operand(self) -> Callable[[Any], list[Any]]:
        if not self._tokens:
            self._fail("an empty operand")
        kind, text = self._tokens.pop(0)
        if kind == "path":
            return compile_path(text)
        constants: dict[str, Any] = {"true": True, "false": False, "null": None}
        if kind == "word":
            literal = constants[text]
        elif kind == "number":
            literal = float(text)
        elif kind == "text":
            literal = _unquoted(text)
        else:
            self._fail(text)
        return lambda _: [literal]


def _compared(operator: str, left: list[Any], right: list[Any]) -> bool:
    if operator in ("==", "!="):
        equal = left == right if len(left) != 1 or len(right) != 1 else left[0] == right[0]
        return equal is (operator == "==")
    if not left or not right:
        return False
    try:
        return bool(
            {"<": left[0] < right[0], "<=": left[0] <= right[0], ">": left[0] > right[0], ">=": left[0] >= right[0]}[
                operator
            ]
        )
    except TypeError:
        return False
