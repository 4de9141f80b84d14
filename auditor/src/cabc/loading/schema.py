"""The JSON schema of a document, for editors and for programs that write one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from cabc.document.interfaces import CORE
from cabc.document.model import Document

__all__ = ["json_schema", "schema_text"]

_DEFINITION = "#/$defs/"


def json_schema(*, plugins: bool = False) -> dict[str, Any]:
    """Return the schema; with the interfaces of installed plugins only if asked, so that it is the same everywhere."""
    schema = Document.model_json_schema()
    core = {f"{_DEFINITION}{model.__name__}" for model in CORE}
    unions: list[dict[str, Any]] = [part for part in _parts(schema) if "discriminator" in part]
    for union in unions:
        kinds = union["discriminator"]["mapping"]
        kept = {kind: ref for kind, ref in kinds.items() if plugins or ref in core}
        union["discriminator"]["mapping"] = kept
        union["oneOf"] = [{"$ref": ref} for ref in kept.values()]
        schema["$defs"]["Interface"] = {
            "description": "How a value is retrieved; `kind` decides which other keys there are.",
            **{key: value for key, value in union.items() if key in ("discriminator", "oneOf")},
        }
    for union in unions:
        for key in ("discriminator", "oneOf"):
            del union[key]
        union["$ref"] = f"{_DEFINITION}Interface"
    schema["$defs"] = {name: schema["$defs"][name] for name in sorted(_reached(schema))}
    title = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Conformity specification"}
    return {**schema, **title}


def schema_text(*, plugins: bool = False) -> str:
    """Return the schema as the file that is committed."""
    return json.dumps(json_schema(plugins=plugins), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _parts(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for part in list(value.values()):
            yield from _parts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _parts(part)


def _reached(schema: dict[str, Any]) -> set[str]:
    """Return the names of all definitions that the schema uses."""
    reached: set[str] = set()
    waiting: list[Any] = [{key: value for key, value in schema.items() if key != "$defs"}]
    while waiting:
        for part in _parts(waiting.pop()):
            name = str(part.get("$ref", "")).removeprefix(_DEFINITION)
            if name and name not in reached:
                reached.add(name)
                waiting.append(schema["$defs"][name])
    return reached
