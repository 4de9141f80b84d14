"""The reference page of the conformity specification, made from the models: `python -m cabc.loading.reference`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from cabc.document.interfaces import CORE, InterfaceSpec
from cabc.document.model import (
    AtLeast,
    BaselineTarget,
    ConformitySpecification,
    Dimension,
    DownPolicy,
    Element,
    InterfaceTarget,
    Measurement,
    Metric,
    NestedDocument,
    Party,
    RangeTarget,
    ReferenceTarget,
    Requirement,
    Risk,
    Source,
    StatusPolicy,
    SubjectSelector,
    Weighted,
)
from cabc.document.nodes import Limits
from cabc.loading.references import known_facts
from cabc.loading.schema import json_schema
from cabc.measurement.registry import Registry

__all__ = ["ATTRIBUTES", "page"]

_FIVE = (
    ("Name", "String", "name"),
    ("Comment", "String", "comment"),
    ("ConfidentialityFlag", "Boolean", "confidential"),
    ("Assessor", "String", "assessor"),
    ("AssessmentInterface", "String", "interface"),
)
ATTRIBUTES: tuple[tuple[int, type[Element], tuple[tuple[str, str, str], ...]], ...] = (
    (21, ConformitySpecification, _FIVE),
    (22, Dimension, _FIVE),
    (23, Requirement, (*_FIVE, ("Frequency", "String", "frequency"))),
    (24, Metric, _FIVE),
    (
        25,
        Measurement,
        (
            *_FIVE,
            ("ComparisonStrategy", "String", "comparison"),
            ("DataType", "Enum", "dataType"),
            ("TargetValue", "Generic", "target"),
        ),
    ),
)
"""Number of the seed's table, our model, and for each of its attributes name, type and our key."""

_LEVELS: tuple[type[Element], ...] = (ConformitySpecification, Dimension, Requirement, Metric, Measurement)
_PARTS: tuple[type[BaseModel], ...] = (
    Source,
    Party,
    Risk,
    SubjectSelector,
    StatusPolicy,
    DownPolicy,
    NestedDocument,
    AtLeast,
    Weighted,
    RangeTarget,
    ReferenceTarget,
    InterfaceTarget,
    BaselineTarget,
)
_HEAD = """# Conformity specification reference

Made by `python -m cabc.loading.reference` from the models in `auditor/src/cabc/document/`. The JSON schema for editors
is `auditor/conformity-specification.schema.json`; `cabc validate` checks what a schema cannot.

A specification is a YAML 1.2 or JSON file with one key, `conformitySpecification`. Its levels are those of IML4E D4.4
(CC BY 4.0), section 5.4.2: specification → dimensions → requirements → metrics → measurements. `yes`, `no`, `on`, `off`
and dates are text; a key that stands twice, a key that is no text, NaN and infinity are mistakes. Mistakes of form are
told first, all at once; mistakes of meaning (references, types, patterns, nested documents) once the form is right.

A file has at most {size:,} bytes, {nodes:,} keys and values, {depth} levels and {keys:,} keys in one mapping; aliases
may add {aliased:,} values.
"""
_TAIL = """
## Frequency

| form | example | meaning |
|---|---|---|
| ISO 8601 duration | `PT15M`, `P1D`, `P2W` | again when so much time has gone by; no months or years |
| cron, five fields, UTC | `0 6 * * 1` | at these times |
| `on-event` | `on-event` | when a trigger says so: a new model, a webhook, a changed file, `cabc assess` |

An element inherits the frequency of the nearest element above; each requirement must have one.

## Who answers

| element | `assessor` | `interface` |
|---|---|---|
| measurement | none | required: how its value is retrieved |
| measurement | a party | required, kind `assessor`: a `value` is compared here, a signed `result` is taken over |
| any other | none | none |
| any other | a party | required, kind `assessor`, `returns: result`; stands in place of everything below |
| dimension or requirement with `document` | a party or none | none: the nested document says how |

Leave `assessor` out, or write `null` or `None`, for no external assessor. A signed result needs the party's
`publicKeys` and the `specDigest` of the specification that it assessed. A dimension or a whole specification that an
assessor answers for counts as one requirement of severity critical.

## Nested documents

`document: {path, digest}` at a requirement or dimension holds another party's specification: a file below this
document's folder, without symbolic links, with exactly these bytes. At most five levels deep; a document must not hold
itself. Paths of its leaves begin with the path of the element that holds it. Its parties and risks are its own; the
subject is the outermost document's. A nested document has the frequency, confidentiality and assessor of its holder
unless it says otherwise.

## Facts about the subject

`target: {ref: …}`, `appliesWhen` and `${…}` in interfaces may use:
"""


def page() -> str:
    """Return the page."""
    limits = Limits()
    sizes = {name: getattr(limits, name) for name in ("size", "nodes", "depth", "keys", "aliased")}
    lines = [_HEAD.format(**sizes), *_attributes()]
    definitions = json_schema()["$defs"]
    for level in _LEVELS:
        lines += _section(level, definitions)
    lines += ["", "# Parts", *[line for part in _PARTS for line in _section(part, definitions)]]
    lines += ["", "# Interfaces", "", *_paragraphs(InterfaceSpec), ""]
    lines += [line for kind in CORE for line in _section(kind, definitions)]
    lines += ["", *_comparisons(), _TAIL.rstrip(), "", ", ".join(f"`{name}`" for name in known_facts())]
    return "\n".join(lines) + "\n"


def _attributes() -> Iterator[str]:
    number = sum(len(attributes) for _, _, attributes in ATTRIBUTES)
    yield f"## The seed's {number} attributes"
    yield ""
    yield "| table | element | attribute | type | key |"
    yield "|---|---|---|---|---|"
    for table, element, attributes in ATTRIBUTES:
        for name, kind, key in attributes:
            yield f"| {table} | {_title(element)} | {name} | {kind} | `{key}` |"


def _title(model: type[BaseModel]) -> str:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", model.__name__).lower()
    return words.capitalize()


def _paragraphs(model: type[BaseModel]) -> list[str]:
    return [" ".join(part.split()) for part in (model.__doc__ or "").split("\n\n")]


def _section(model: type[BaseModel], definitions: dict[str, Any]) -> list[str]:
    properties = definitions[model.__name__].get("properties", {})
    lines = ["", f"## {_title(model)}", "", *_paragraphs(model), ""]
    lines += ["| key | value | default | meaning |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        key = field.alias or name
        described = properties.get(key, {})
        default = "(required)" if field.is_required() else _default(field.get_default(call_default_factory=True))
        meaning = " ".join((field.description or "").split()).replace("|", "\\|")
        value = "[frequency](#frequency)" if key == "frequency" else _value(described)
        lines.append(f"| `{key}` | {value} | {default} | {meaning} |")
    return lines


def _default(value: object) -> str:
    if value is None or value in ([], {}):
        return ""
    if isinstance(value, BaseModel):
        return "see below"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


_SIMPLE = {"boolean": "true or false", "null": "", "string": "text"}


def _value(schema: dict[str, Any]) -> str:
    """Return in words what a part of the schema allows."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rsplit("/", 1)[-1]
        title = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
        return f"[{title}](#{'interfaces' if name == 'Interface' else title.replace(' ', '-')})"
    if "anyOf" in schema:
        words = dict.fromkeys(filter(None, map(_value, schema["anyOf"])))
        if "number" in words:
            words.pop("integer", None)
        return " or ".join(words)
    if "const" in schema or "enum" in schema:
        return ", ".join(f"`{word}`" for word in schema.get("enum", [schema.get("const")]))
    return _typed(schema, str(schema.get("type", "anything")))


def _typed(schema: dict[str, Any], kind: str) -> str:
    formats = {"duration": "duration", "date-time": "moment with time zone"}
    if kind == "array":
        return f"list of {_value(schema['items'])}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"mapping to {_value(schema['additionalProperties'])}"
    if str(schema.get("pattern", "")).startswith("^[a-z0-9]("):
        return "id"
    return formats.get(str(schema.get("format")), _SIMPLE.get(kind, kind))


def _comparisons() -> Iterator[str]:
    registry = Registry()
    yield "# Types and comparisons"
    yield ""
    yield "| `dataType` | `comparison` |"
    yield "|---|---|"
    for name, kind in registry.types.items():
        yield f"| `{name}` | {', '.join(f'`{pair}`' for pair in registry.pairs(kind))} |"
    yield ""
    yield "Plugins add types by the entry point `cabc.types`, comparisons by `cabc.strategies`, kinds of interfaces by"
    yield "`cabc.interfaces`."


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201 (a page for standard output)
