"""YAML as a tree that knows its places: YAML 1.2 core types, bounded in size, depth, aliases and time.

The parser is libyaml's, read event by event: a document that is too deep, too large or that multiplies itself through
aliases is refused before it is built.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import yaml

from cabc.document.problems import Problem, ProblemsError

__all__ = ["Limits", "Node", "Tree", "child", "dotted", "parse", "plain", "quoted"]

_COLUMNS = 1 << 24
_LARGEST = 2**53 - 1
_NUMERAL = 40
_TYPED = frozenset("~nNtTfF-+.0123456789")
"""What a plain scalar that is no text can begin with."""
_NULL = re.compile(r"(~|null|Null|NULL|)\Z")
_BOOL = re.compile(r"(true|True|TRUE|false|False|FALSE)\Z")
_INT = re.compile(r"(?P<decimal>[-+]?[0-9]+)\Z|0o(?P<octal>[0-7]+)\Z|0x(?P<hex>[0-9a-fA-F]+)\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_NOT_FINITE = re.compile(r"([-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))\Z")
_SURROGATES = re.compile(rb"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_WORD = re.compile(r"[A-Za-z0-9_-]{1,63}\Z")
_TAGGED = {"null": (type(None),), "bool": (bool,), "int": (int,), "float": (float, int)}
_ESCAPES = 50_000
_CORE = "tag:yaml.org,2002:"
_SYNTAX = {
    "found character that cannot start any token": "quote a value that begins with @, ` or %; indent with spaces only",
    "mapping values are not allowed in this context": "quote a value that holds ': ', or correct the indentation",
    "could not find expected ':'": "write `key: value`",
    "did not find expected key": "correct the indentation, or close what was opened before",
    "did not find expected '-' indicator": "correct the indentation of this list",
    "did not find expected ',' or ']'": "close the list with ], or quote a value that holds [, { or a comma",
    "did not find expected ',' or '}'": "close the mapping with }, or quote a value that holds {, [ or a comma",
    "found unexpected end of stream": "close the quotation mark",
    "exceeded maximum nesting depth": "nest less",
    "control characters are not allowed": "remove the control character",
    "found unknown escape character": "use single quotes, or double the backslash",
    "found a tab character": "indent with spaces",
    "found undefined tag handle": "remove the tag",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a file may cost."""

    size: int = 5_000_000
    """Bytes."""
    nodes: int = 500_000
    """Keys and values, each use of an alias counted."""
    aliased: int = 20_000
    """Keys and values that aliases add."""
    depth: int = 40
    keys: int = 2_000
    """Keys of one mapping."""
    scalar: int = 64_000
    """Characters of one text."""
    seconds: float = 20.0
    """Processor time for reading the text; a busy machine is no reason to refuse one."""


@dataclass(slots=True)
class Node:
    """One value and its place. Values are plain data, `list[Node]` or `dict[str, Node]`."""

    at: int
    """Line and column from 0, packed into one number: files have many nodes."""
    value: object
    key: int | None = None
    """Place of its key, packed likewise."""
    start: int = 0
    """Number of nodes before it."""
    size: int = 1
    """Number of nodes in it, itself counted."""
    faulty: bool = False
    """A mistake was found in it already; what validation says of it adds nothing."""
    aliased: bool = False
    """Its content stands elsewhere."""
    indexes: list[int] | None = None
    """Of a list of which only a part was kept: the items' indexes in the file."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A parsed file: its root and the mistakes of form that do not keep it from being read."""

    file: str
    root: Node
    problems: list[Problem]
    moved: dict[int, list[int]]
    """Columns, by line, where the text was shortened before it was parsed."""

    def place(self, packed: int) -> tuple[int, int]:
        """Return line and column of the file, counted from 1."""
        line, column = divmod(packed, _COLUMNS)
        return line + 1, column + 1 + 2 * sum(column > moved for moved in self.moved.get(line, ()))


def quoted(value: object, length: int = 60) -> str:
    """Return a value as it may stand in a message: short, on one line, nothing invisible."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        keys = ", ".join(map(quoted, list(value)[:5])) + (", …" if len(value) > 5 else "")  # noqa: PLR2004 (a line)
        return f"a mapping with {keys}" if value else "an empty mapping"
    text = str(value)
    return repr(text if len(text) <= length else f"{text[:length]}…")


def child(node: Node, step: str | int) -> Node | None:
    """Return the value under a key, or the item that has this index in the file."""
    value = node.value
    if isinstance(value, dict):
        found = value.get(step)
        return found if isinstance(found, Node) else None
    if isinstance(value, list) and isinstance(step, int):
        index = node.indexes.index(step) if node.indexes else step
        return value[index] if index < len(value) else None
    return None


def dotted(path: Iterable[str | int]) -> str:
    """Return a path as people write it: `dimensions[0].requirements[1].id`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _WORD.match(step):
            text += f".{step}" if text else step
        else:
            text += f"[{quoted(step)}]"
    return text


def plain(value: object) -> Any:
    """Return the plain data of a node's value."""
    if isinstance(value, dict):
        return {key: plain(node.value) for key, node in value.items()}
    if isinstance(value, list):
        return [plain(node.value) for node in value]
    return value


def parse(text: bytes, file: str, limits: Limits) -> Tree:
    """Return the tree of a YAML or JSON file; ProblemsError when it cannot be read at all."""
    if len(text) > limits.size:
        found = f"a file of {len(text):,} bytes"
        raise ProblemsError([Problem(file, 1, 1, "", found, f"at most {limits.size:,}", "split the document")])
    _check_encoding(text, file)
    text, moved = _without_surrogates(text)
    try:
        tree = _Composer(file, limits, moved).compose(text)
    except yaml.YAMLError as error:
        raise ProblemsError([_syntax(error, text, file)]) from None
    return tree


def _check_encoding(text: bytes, file: str) -> None:
    try:
        text.decode()
    except UnicodeDecodeError as error:
        before = text[: error.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode()) + 1
        found = f"the byte 0x{text[error.start]:02x}"
        raise ProblemsError([Problem(file, line, column, "", found, "UTF-8", "save the file as UTF-8")]) from None


def _without_surrogates(text: bytes) -> tuple[bytes, dict[int, list[int]]]:
    r"""Write JSON's surrogate pairs as YAML's `\U` escapes, and tell where lines became two characters shorter."""
    moved: dict[int, list[int]] = {}
    if text.lstrip()[:1] not in (b"{", b"[") or text.count(b"\\u") > _ESCAPES:
        return text, moved
    lines = text.split(b"\n")
    for number, line in enumerate(lines):
        parts: list[bytes] = []
        end = column = 0
        for match in _SURROGATES.finditer(line):
            before = line[end : match.start()] + match[1]
            column += len(before.decode()) + len("\\U0001F600")
            moved.setdefault(number, []).append(column - 1)
            high, low = int(match[2], 16), int(match[3], 16)
            parts += [before, b"\\U%08X" % (0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))]
            end = match.end()
        if parts:
            lines[number] = b"".join([*parts, line[end:]])
    return b"\n".join(lines), moved


def _syntax(error: yaml.YAMLError, text: bytes, file: str) -> Problem:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        line, column, problem = error.problem_mark.line, error.problem_mark.column, str(error.problem)
        if error.context and problem == "found unexpected end of stream" and error.context_mark is not None:
            line, column = error.context_mark.line, error.context_mark.column
    else:
        position = min(getattr(error, "position", 0), len(text))
        before = text[:position]
        line, column = before.count(b"\n"), len(before[before.rfind(b"\n") + 1 :].decode(errors="replace"))
        problem = str(getattr(error, "reason", error))
    fix = next((fix for start, fix in _SYNTAX.items() if problem.startswith(start)), None)
    found = problem.removeprefix("found ")
    if "did not find expected" in problem or "could not find expected" in problem:
        found = f"no {problem.split('expected ')[1]}"
    return Problem(file, line + 1, column + 1, "", found, "YAML", fix)


def _at(event: yaml.Event) -> int:
    mark = event.start_mark
    return 0 if mark is None else int(mark.line * _COLUMNS + mark.column)


class _Composer:
    """Builds the tree of one file from the parser's events."""

    def __init__(self, file: str, limits: Limits, moved: dict[int, list[int]]) -> None:
        self.file = file
        self.limits = limits
        self.problems: list[Problem] = []
        self.anchors: dict[str, Node | None] = {}
        self.count = 0
        self.aliased = 0
        self.tree = Tree(file, Node(0, None), self.problems, moved)
        self.path: list[str | int] = []
        self.end = time.thread_time() + limits.seconds

    def compose(self, text: bytes) -> Tree:
        events = yaml.parse(text, Loader=yaml.CSafeLoader)
        root: Node | None = None
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent) and root is not None:
                self.stop(_at(event), "a second document", "one document per file", "move it to a file of its own")
            if isinstance(event, yaml.NodeEvent):
                root = self.node(event, events, 0)
        if root is None:
            self.stop(0, "an empty file", "a mapping")
        return Tree(self.file, root, self.problems, self.tree.moved)

    def node(self, event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> Node:
        at = _at(event)
        if depth > self.limits.depth:
            self.stop(at, f"more than {self.limits.depth} levels", "a flatter document")
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event)
        start = self.grow(at)
        anchor = getattr(event, "anchor", None)
        if anchor is not None:
            self.anchors[anchor] = None
        node = Node(at, None, start=start)
        if isinstance(event, yaml.ScalarEvent):
            self.scalar(event, node)
        elif isinstance(event, yaml.SequenceStartEvent):
            self.check_tag(event, node, "seq")
            self.sequence(node, events, depth)
        elif isinstance(event, yaml.MappingStartEvent):
            self.check_tag(event, node, "map")
            self.mapping(node, events, depth)
        node.size = self.count - start
        if anchor is not None:
            self.anchors[anchor] = node
        return node

    def sequence(self, node: Node, events: Iterator[yaml.Event], depth: int) -> None:
        items: list[Node] = []
        node.value = items
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            self.path.append(len(items))
            items.append(self.node(event, events, depth + 1))
            self.path.pop()

    def mapping(self, node: Node, events: Iterator[yaml.Event], depth: int) -> None:
        items: dict[str, Node] = {}
        node.value = items
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            key = self.node(event, events, depth + 1)
            name = key.value
            if not isinstance(name, str) and not key.faulty:
                found = f"the key {quoted(plain(name))}"
                self.note(key.at, found, "text as a key", "put it in quotation marks")
            self.path.append(name if isinstance(name, str) else "?")
            value = self.node(next(events), events, depth + 1)
            value.key = key.at
            if not isinstance(name, str):
                pass
            elif name in items:
                line, column = self.tree.place(items[name].key or 0)
                found = f"a second {quoted(name)}"
                self.note(key.at, found, f"each key once (first at {line}:{column})", "remove one of them")
            else:
                items[name] = value
            self.path.pop()
            if len(items) > self.limits.keys:
                self.stop(key.at, f"more than {self.limits.keys} keys in one mapping", "fewer")

    def alias(self, event: yaml.AliasEvent) -> Node:
        at, anchor = _at(event), str(event.anchor)
        if anchor not in self.anchors:
            near = f"write &{anchor} before the value that it repeats"
            self.stop(at, f"the alias *{quoted(anchor)[1:-1]}", "the name of an anchor above", near)
        target = self.anchors[anchor]
        if target is None:
            self.stop(at, f"the alias *{quoted(anchor)[1:-1]} inside its own anchor", "no circle")
        self.aliased += target.size
        if self.aliased > self.limits.aliased:
            found = f"aliases that add more than {self.limits.aliased:,} values"
            self.stop(at, found, "fewer", "write out what is different, leave out what is the same")
        start = self.grow(at, target.size)
        return Node(at, target.value, start=start, size=target.size, faulty=target.faulty, aliased=True)

    def scalar(self, event: yaml.ScalarEvent, node: Node) -> None:
        text, tag = str(event.value), event.tag
        if len(text) > self.limits.scalar:
            self.stop(node.at, f"a text of {len(text):,} characters", f"at most {self.limits.scalar:,}")
        if tag is None and not event.implicit[0]:
            node.value = text
            return
        if tag is None:
            self.untagged(text, node)
            return
        kind = str(tag).removeprefix(_CORE)
        if kind in ("str", "!"):
            node.value = text
        elif kind in _TAGGED:
            self.untagged(text, node)
            if type(node.value) not in _TAGGED[kind] and not node.faulty:
                self.note(node.at, f"{quoted(text)} marked !!{kind}", f"a value of YAML's type {kind}", node=node)
        else:
            self.check_tag(event, node, "str")

    def untagged(self, text: str, node: Node) -> None:
        """Give an unquoted scalar its type by YAML 1.2's core schema; dates, yes, no, on, off stay text."""
        node.value = text
        if text and text[0] not in _TYPED:
            return
        if _NULL.match(text):
            node.value = None
        elif _BOOL.match(text):
            node.value = text.lower() == "true"
        elif _NOT_FINITE.match(text):
            self.note(
                node.at, quoted(text)[1:-1], "a finite number", "leave an end of a range out when it is open", node
            )
        elif len(text) <= _NUMERAL and (match := _INT.match(text)):
            number = int(match["decimal"]) if match["decimal"] else int(text, 0)
            node.value = number
            if abs(number) > _LARGEST:
                fix = "put it in quotation marks when it is text"
                self.note(node.at, text, f"an integer between -{_LARGEST} and {_LARGEST}", fix, node)
        elif _FLOAT.match(text):
            node.value = float(text) if len(text) <= _NUMERAL else math.inf
            if not math.isfinite(float(str(node.value))):
                fix = "put it in quotation marks when it is text"
                self.note(node.at, quoted(text)[1:-1], "a number of ordinary size", fix, node)

    def check_tag(self, event: yaml.NodeEvent, node: Node, kind: str) -> None:
        tag = getattr(event, "tag", None)
        if tag not in (None, "!", _CORE + kind):
            self.note(node.at, f"the tag {quoted(tag)[1:-1]}", "plain data", "remove the tag", node)

    def note(self, at: int, found: str, wanted: str, fix: str | None = None, node: Node | None = None) -> None:
        if node is not None:
            node.faulty = True
        line, column = self.tree.place(at)
        self.problems.append(Problem(self.file, line, column, dotted(self.path), found, wanted, fix))
        if len(self.problems) > 1_000:  # noqa: PLR2004 (nobody reads on)
            raise ProblemsError(self.problems)

    def grow(self, at: int, size: int = 1) -> int:
        start = self.count
        self.count += size
        if self.count > self.limits.nodes:
            self.stop(at, f"more than {self.limits.nodes:,} values", "a smaller document", "split the document")
        if start % 1_000 == 0 and time.thread_time() > self.end:
            self.stop(at, f"more than {self.limits.seconds:g} s of reading", "a simpler document")
        return start

    def stop(self, at: int, found: str, wanted: str, fix: str | None = None) -> NoReturn:
        line, column = self.tree.place(at)
        problem = Problem(self.file, line, column, dotted(self.path), found, wanted, fix)
        raise ProblemsError([*self.problems, problem])
