"""Read a stack's file as YAML with the position of every key, from bytes that nobody has vouched for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import ruamel.yaml
from ruamel.yaml import events
from ruamel.yaml.error import MarkedYAMLError, StreamMark, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

__all__ = ["Keys", "OrderFormFile", "Position", "Problem", "read"]

Keys = tuple[str | int, ...]
Position = tuple[int, int]
"""Line and column, counted from 1."""

LARGEST = 256 * 1024
"""Bytes of an order form; a real one has a few hundred."""

DEEPEST = 40
"""Nested mappings and lists."""

MOST_ALIASES = 20
"""References to anchors; more make a small text explode into a big one."""


MOST_VALUES = 20_000
"""Values after anchors are followed."""


class Problem(Exception):  # noqa: N818 (a finding, raised where nothing more can be read)
    """One thing that is wrong: in the file at a key, or at a position."""

    def __init__(
        self,
        keys: Keys = (),
        *,
        found: str,
        wanted: str,
        fix: str,
        position: Position | None = None,
        at_key: bool = False,
    ) -> None:
        super().__init__(found)
        self.keys = keys
        self.found = found
        self.wanted = wanted
        self.fix = fix
        self.position = position
        self.at_key = at_key


@dataclass
class OrderFormFile:
    """What a stack's file says, and where."""

    values: Mapping[Any, Any] = field(default_factory=dict)
    key_positions: dict[Keys, Position] = field(default_factory=dict)
    value_positions: dict[Keys, Position] = field(default_factory=dict)
    secrets: set[Keys] = field(default_factory=set)
    """Keys whose value is `secure: <ciphertext>`; what it is nobody knows without the passphrase."""

    problems: list[Problem] = field(default_factory=list)

    size: int = 0
    """Values read so far, those behind anchors as often as they are used."""

    def position(self, keys: Keys, *, at_key: bool = False) -> Position:
        """Return where a key or its value stands; of one that is not there, where the one around it does."""
        for end in range(len(keys), 0, -1):
            part = keys[:end]
            if part in self.value_positions:
                at_key = at_key or end < len(keys)
                return (
                    self.key_positions.get(part, self.value_positions[part]) if at_key else self.value_positions[part]
                )
        return (1, 1)

    def is_secret(self, keys: Keys) -> bool:
        """Tell whether a key lies in an encrypted value."""
        return any(keys[:end] in self.secrets for end in range(1, len(keys) + 1))


def read(file: Path) -> OrderFormFile:
    """Read one file. Raises Problem where nothing can be read any further."""
    text = _decode(_bytes(file))
    yaml = ruamel.yaml.YAML(typ="safe", pure=True)
    yaml.allow_duplicate_keys = True  # reported by us, all of them
    try:
        _bound(yaml.parse(text))
        node = yaml.compose(text)
    except MarkedYAMLError as error:
        _raise_syntax(error, text)
    except ReaderError as error:
        _stop(text, error.position, f"the character U+{ord(str(error.character)[:1]):04X}", "text", "remove it")
    except (YAMLError, RecursionError, ValueError) as error:
        raise Problem(found=f"no YAML ({error})", wanted="YAML", fix="correct it", position=(1, 1)) from error
    if node is None or (isinstance(node, ScalarNode) and not node.value):
        raise Problem(
            found="an empty file", wanted="the key config", fix="copy stacks/Pulumi.local.yaml", position=(1, 1)
        )
    if not isinstance(node, MappingNode):
        raise Problem(
            found="a list" if isinstance(node, SequenceNode) else "a single text",
            wanted="a mapping with the key config",
            fix="copy stacks/Pulumi.local.yaml",
            position=_place(node.start_mark),
        )
    found = OrderFormFile()
    found.values = _build(yaml, node, (), found)
    return found


def _bytes(file: Path) -> bytes:
    try:
        if file.is_dir():
            raise Problem(found="a folder", wanted="a file", fix=f"name a file in it: {file}/Pulumi.<stack>.yaml")
        if not file.is_file() and file.exists():
            raise Problem(found="no regular file", wanted="a file", fix="name a Pulumi.<stack>.yaml")
        with file.open("rb") as stream:
            content = stream.read(LARGEST + 1)
    except FileNotFoundError:
        near = sorted(each.name for each in file.parent.glob("Pulumi.*.yaml")) if file.parent.is_dir() else []
        fix = f"name one of {', '.join(near)}" if near else "name a Pulumi.<stack>.yaml"
        raise Problem(found="no such file", wanted="a file", fix=fix) from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise Problem(
            found=reason, wanted="a file that can be read", fix="check the path and who may read it"
        ) from None
    if len(content) > LARGEST:
        raise Problem(found=f"more than {LARGEST // 1024} KiB", wanted="an order form", fix="name the right file")
    return content


def _decode(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8", errors="replace")
        _stop(before, len(before), f"the byte 0x{content[error.start]:02X}", "UTF-8", "save the file as UTF-8")


def _stop(text: str, offset: int, found: str, wanted: str, fix: str) -> NoReturn:
    before = text[:offset]
    position = (before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1)
    raise Problem(found=found, wanted=wanted, fix=fix, position=position) from None


def _bound(stream: Iterator[events.Event]) -> None:
    """Refuse what would explode when it is put together; the parser itself needs no more memory than the text."""
    depth = aliases = documents = 0
    for event in stream:
        problem = None
        match event:
            case events.MappingStartEvent() | events.SequenceStartEvent():
                depth += 1
                if depth > DEEPEST:
                    problem = (f"more than {DEEPEST} levels", "fewer", "flatten it")
            case events.MappingEndEvent() | events.SequenceEndEvent():
                depth -= 1
            case events.AliasEvent():
                aliases += 1
                if aliases > MOST_ALIASES:
                    problem = (f"more than {MOST_ALIASES} references to anchors", "fewer", "write the values out")
            case events.DocumentStartEvent():
                documents += 1
                if documents > 1:
                    problem = ("a second document", "one", "remove the line `---` and what follows")
            case _:
                pass
        if problem:
            what, wanted, fix = problem
            raise Problem(found=what, wanted=wanted, fix=fix, position=_place(event.start_mark))


def _raise_syntax(error: MarkedYAMLError, text: str) -> NoReturn:
    mark = error.problem_mark or error.context_mark
    line, column = _place(mark)
    lines = text.splitlines()
    here = lines[line - 1] if line <= len(lines) else ""
    if "\t" in here[: len(here) - len(here.lstrip())] or "'\\t'" in str(error.problem):
        place = (line, here.index("\t") + 1) if "\t" in here else (line, column)
        raise Problem(found="a tab", wanted="spaces", fix="indent with two spaces", position=place) from None
    problem = " ".join(str(error.problem or error).split())
    context = " ".join(str(error.context or "").split())
    raise Problem(
        found=f"no YAML ({problem}{f', {context}' if context else ''})",
        wanted="YAML",
        fix="correct this line or the one before it",
        position=(line, column),
    ) from None


def _build(yaml: ruamel.yaml.YAML, node: Node, keys: Keys, into: OrderFormFile) -> Any:
    """Turn nodes into plain values, noting where each stands."""
    into.value_positions.setdefault(keys, _place(node.start_mark))
    into.size += 1
    if into.size > MOST_VALUES or len(keys) > DEEPEST:
        what = f"more than {MOST_VALUES} values" if into.size > MOST_VALUES else "an anchor that contains itself"
        raise Problem(found=what, wanted="an order form", fix="write the values out", position=_place(node.start_mark))
    if isinstance(node, MappingNode):
        return _build_mapping(yaml, node, keys, into)
    if isinstance(node, SequenceNode):
        return [_build(yaml, each, (*keys, index), into) for index, each in enumerate(node.value)]
    return _scalar(yaml, node, keys, into)


def _build_mapping(yaml: ruamel.yaml.YAML, node: MappingNode, keys: Keys, into: OrderFormFile) -> Any:
    values: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        place = _place(key_node.start_mark)
        if not isinstance(key_node, ScalarNode) or key_node.value == "<<":
            what = "a merge key" if isinstance(key_node, ScalarNode) else "a key that is no text"
            into.problems.append(Problem(found=what, wanted="a plain key", fix="write the keys out", position=place))
            continue
        key = key_node.value
        path = (*keys, key)
        if key in values:
            line = into.key_positions[path][0]
            into.problems.append(
                Problem(
                    path, found=f"{key!r} twice", wanted="one", fix=f"remove it here or in line {line}", position=place
                )
            )
            continue
        into.key_positions[path] = place
        values[key] = _build(yaml, value_node, path, into)
    if set(values) == {"secure"} and isinstance(values["secure"], str) and keys[:1] == ("config",):
        into.secrets.add(keys)
        return values["secure"]
    return values


def _scalar(yaml: ruamel.yaml.YAML, node: Node, keys: Keys, into: OrderFormFile) -> Any:
    tag = str(node.tag)
    if not tag.startswith("tag:yaml.org,2002:"):
        problem = Problem(
            keys, found=f"the tag {tag}", wanted="a plain value", fix="remove it", position=_place(node.start_mark)
        )
        into.problems.append(problem)
        return node.value
    try:
        return yaml.constructor.construct_object(node, deep=True)
    except (ValueError, YAMLError, ArithmeticError):
        problem = Problem(
            keys,
            found=f"{node.value!r}",
            wanted="a plain value",
            fix="put it in quotes",
            position=_place(node.start_mark),
        )
        into.problems.append(problem)
        return node.value


def _place(mark: StreamMark | None) -> Position:
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)
