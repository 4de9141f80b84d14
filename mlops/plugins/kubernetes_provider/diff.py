"""Compare what the program wants with what is live, path by path."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from mlops.plugins.kubernetes_provider.immutable import Path, forces_replacement
from mlops.plugins.kubernetes_provider.wire import Unknown

__all__ = ["Change", "Op", "compare", "parse_path", "path_text", "without_ignored"]


class Op(IntEnum):
    """What happens to a property; the numbers are those of the protocol."""

    ADD = 0
    ADD_REPLACE = 1
    DELETE = 2
    DELETE_REPLACE = 3
    UPDATE = 4
    UPDATE_REPLACE = 5

    @property
    def replaces(self) -> bool:
        """Say whether the change cannot be made in place."""
        return bool(self & 1)

    @property
    def deletes(self) -> bool:
        """Say whether the property goes away."""
        return self in (Op.DELETE, Op.DELETE_REPLACE)

    def replacing(self) -> Op:
        """Return the same change, made by replacing the object."""
        return Op(self | 1)


@dataclass(frozen=True, slots=True)
class Change:
    """One property that differs."""

    path: Path
    op: Op
    value: Any

    @property
    def text(self) -> str:
        """Return the path as the engine writes it."""
        return path_text(self.path)


_ABSENT = object()


def compare(old: dict[str, Any], new: dict[str, Any], immutable: tuple[str, ...]) -> list[Change]:
    """Return the changes that lead from `old` (live, in the shape of the old inputs) to `new`."""
    changes: list[Change] = []
    _compare((), old, new, changes)
    return [
        Change(change.path, change.op.replacing(), change.value)
        if forces_replacement(change.path, change.value, immutable)
        else change
        for change in changes
    ]


def _compare(path: Path, old: Any, new: Any, changes: list[Change]) -> None:
    if new is _ABSENT:
        changes.append(Change(path, Op.DELETE, old))
    elif old is _ABSENT:
        changes.append(Change(path, Op.ADD, new))
    elif isinstance(new, Unknown):
        changes.append(Change(path, Op.UPDATE, new))
    elif isinstance(old, dict) and isinstance(new, dict):
        for key in [*new, *(key for key in old if key not in new)]:
            _compare((*path, key), old.get(key, _ABSENT), new.get(key, _ABSENT), changes)
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            _compare((*path, index), _at(old, index), _at(new, index), changes)
    elif not _same(old, new):
        changes.append(Change(path, Op.UPDATE, new))


def _at(items: list[Any], index: int) -> Any:
    return items[index] if index < len(items) else _ABSENT


def _same(old: Any, new: Any) -> bool:
    return bool(old == new) and isinstance(old, bool) == isinstance(new, bool)


def path_text(path: Path) -> str:
    """Write a path: `spec.ports[0].port`, `metadata.annotations["a.b/c"]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif re.search(r'[."\[\]]', step):
            escaped = step.replace('"', '\\"')
            text += f'["{escaped}"]'
        else:
            text += f".{step}" if text else step
    return text


_STEP = re.compile(r'\["((?:[^"\\]|\\.)*)"\]|\[(\d+|\*)\]|([^.\[\]"]+)|\.')


def parse_path(text: str) -> Path:
    """Read a path as `ignoreChanges` gives it; `*` matches every key or element."""
    path: list[str | int] = []
    position = 0
    for found in _STEP.finditer(text):
        if found.start() != position:
            break
        position = found.end()
        quoted, index, name = found.groups()
        if quoted is not None:
            path.append(quoted.replace('\\"', '"'))
        elif index is not None:
            path.append(index if index == "*" else int(index))
        elif name is not None:
            path.append(name)
    if position != len(text):
        message = f'failed to parse ignore path "{text}"'
        raise ValueError(message)
    return tuple(path)


def without_ignored(changes: list[Change], ignored: list[str]) -> list[Change]:
    """Leave out the changes at or below the paths of `ignoreChanges`."""
    paths = [parse_path(text) for text in ignored]
    return [change for change in changes if not any(_covers(path, change.path) for path in paths)]


def _covers(ignored: Path, path: Path) -> bool:
    return len(ignored) <= len(path) and all(wanted in ("*", step) for wanted, step in zip(ignored, path, strict=False))
