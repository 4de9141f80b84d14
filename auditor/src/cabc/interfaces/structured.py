"""JSON and YAML of another party: read strictly, in bounded time and memory."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import yaml

from cabc.interfaces.base import ExtractError
from cabc.text import one_line

__all__ = ["parse", "parse_json", "parse_yaml", "text_of"]

_DEPTH = 64
_NODES = 200_000


def text_of(body: bytes) -> str:
    """Return the text; ExtractError when it is not UTF-8."""
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        msg = "the answer is not UTF-8 text"
        raise ExtractError(msg) from error


def parse(body: bytes, media_type: str) -> Any:
    """Return the document in an answer of this type; ExtractError when it has none."""
    if media_type in {"application/json", "text/json"} or media_type.endswith("+json"):
        return parse_json(body)
    if "yaml" in media_type:
        return parse_yaml(body)
    msg = f"the answer's type is {one_line(media_type)}: a pointer or JSONPath needs JSON or YAML"
    raise ExtractError(msg)


def parse_json(body: bytes) -> Any:
    """Return a JSON document; a name that stands twice in an object is a mistake, since readers would differ."""
    try:
        return json.loads(text_of(body), object_pairs_hook=_unique)
    except RecursionError as error:
        msg = "the JSON is nested too deeply"
        raise ExtractError(msg) from error
    except ValueError as error:
        msg = f"the answer is no JSON: {one_line(str(error))}"
        raise ExtractError(msg) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        msg = f"the name {one_line(twice)!r} stands twice in one object"
        raise ExtractError(msg)
    return found


class _Loader(yaml.CSafeLoader):
    """YAML 1.2's core schema: `no` is text, `12:30` is text, dates are text."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}


for _tag, _regex, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]{1,400}", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_regex})$"), _first)


def _integer(loader: _Loader, node: yaml.ScalarNode) -> int:
    return int(loader.construct_scalar(node))


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    pairs = [
        (loader.construct_object(key, deep=True), loader.construct_object(value, deep=True))
        for key, value in node.value
    ]
    return _unique([(str(key), value) for key, value in pairs])


def _number(loader: _Loader, node: yaml.ScalarNode) -> float:
    text = str(loader.construct_scalar(node)).lower()
    if text.endswith("nan"):
        return math.nan
    return float(text.replace(".inf", "inf"))


_Loader.add_constructor("tag:yaml.org,2002:int", _integer)
_Loader.add_constructor("tag:yaml.org,2002:float", _number)
_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def parse_yaml(body: bytes) -> Any:
    """Return a YAML document (1.2 core schema); aliases, which bombs are made of, are refused."""
    text = text_of(body)
    try:
        _measure(text)
        return yaml.load(text, Loader=_Loader)  # noqa: S506 (a subclass of the safe loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        msg = f"the answer is no YAML: {one_line(str(error))}"
        raise ExtractError(msg) from error


def _measure(text: str) -> None:
    """Walk the events, which costs no memory, before anything is built from them."""
    depth = 0
    for nodes, event in enumerate(yaml.parse(text, Loader=yaml.CSafeLoader)):
        if isinstance(event, yaml.AliasEvent):
            msg = "the YAML has aliases, which are not read"
            raise ExtractError(msg)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEPTH or nodes > _NODES:
            msg = f"the YAML is nested more than {_DEPTH} deep or has more than {_NODES} nodes"
            raise ExtractError(msg)
