"""The JSON schema of an order form, for editors and for reviewers without this project; made from the models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from components._core import catalogue, paths
from components._core.order_form import OrderForm
from mlops.errors import OperationError

__all__ = ["FILE", "build", "check", "write"]

FILE = paths.CHECKOUT / "stacks" / "order-form.schema.json"

_SECURE = "secure"


def build(known: catalogue.Catalogue | None = None) -> str:
    """Return the schema as text, stable from run to run."""
    definitions: dict[str, Any] = {
        _SECURE: {
            "description": "A value encrypted by `pulumi config set --secret --path`.",
            "type": "object",
            "properties": {"secure": {"type": "string"}},
            "required": ["secure"],
            "additionalProperties": False,
        }
    }
    components: dict[str, Any] = {}
    for key, cls in (catalogue.Components() if known is None else known).items():
        schema = cls.config_class.model_json_schema(by_alias=True, ref_template="#/$defs/{model}")
        definitions.update({name: _with_secrets(each) for name, each in schema.pop("$defs", {}).items()})
        definitions[cls.config_class.__name__] = _with_secrets(schema)
        components[key] = {
            "description": (cls.__doc__ or key).strip().splitlines()[0],
            "anyOf": [{"$ref": f"#/$defs/{cls.config_class.__name__}"}, {"type": "null"}],
        }
    form = OrderForm.model_json_schema(by_alias=True, ref_template="#/$defs/{model}")
    definitions.update({name: _with_secrets(each) for name, each in form.pop("$defs", {}).items()})
    properties = {f"{paths.APPLICATION}:{name}": each for name, each in form["properties"].items()}
    properties[f"{paths.APPLICATION}:components"] |= {"properties": components, "additionalProperties": False}
    required = [f"{paths.APPLICATION}:{name}" for name in form.get("required", [])]
    return json.dumps(_whole(form["description"], properties, required, definitions), indent=2, sort_keys=True) + "\n"


def write() -> Path:
    """Write the schema where editors look for it."""
    FILE.write_text(build())
    return FILE


def check() -> None:
    """Raise OperationError when the committed schema is not what the models say."""
    if not FILE.exists() or FILE.read_text() != build():
        shown = FILE.relative_to(paths.CHECKOUT)
        msg = f"{shown} is not what the models say"
        raise OperationError(msg, fix="mlops schema --write")


def _whole(description: str, properties: Any, required: list[str], definitions: dict[str, Any]) -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Order form of the open-source MLOps platform",
        "description": description,
        "type": "object",
        "properties": {
            "config": {
                "type": "object",
                "properties": properties,
                "patternProperties": {rf"^(?!{paths.APPLICATION}:)[a-z][a-z0-9-]*:.+$": True},
                "required": required,
                "additionalProperties": False,
            },
            "encryptedkey": text,
            "encryptionsalt": text,
            "environment": True,
            "secretsprovider": text,
        },
        "required": ["config"],
        "additionalProperties": False,
        "$defs": definitions,
    }


def _with_secrets(schema: dict[str, Any]) -> dict[str, Any]:
    """Let every text be an encrypted one, as Pulumi does."""
    for name, each in schema.get("properties", {}).items():
        kinds = [each, *each.get("anyOf", [])]
        if any(kind.get("type") == "string" and "enum" not in kind for kind in kinds):
            about = {key: each.pop(key) for key in ("default", "description", "title") if key in each}
            rest = each.pop("anyOf", None) or [each]
            schema["properties"][name] = {**about, "anyOf": [*rest, {"$ref": f"#/$defs/{_SECURE}"}]}
    return schema
