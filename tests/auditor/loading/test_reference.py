"""What is generated from the models is what the models say today, and covers the seed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cabc.document.model import Element
from cabc.loading.reference import ATTRIBUTES, page
from cabc.loading.schema import json_schema, schema_text

ROOT = Path(__file__).parents[3]


def test_schema_file_is_current() -> None:
    file = ROOT / "auditor" / "conformity-specification.schema.json"
    assert file.read_text() == schema_text(), "run: make docs"


def test_reference_page_is_current() -> None:
    file = ROOT / "docs" / "reference" / "conformity-specification.md"
    assert file.read_text() == page(), "run: make docs"


def test_all_29_attributes_of_tables_21_to_25_have_a_key() -> None:
    assert [(table, len(attributes)) for table, _, attributes in ATTRIBUTES] == [
        (21, 5),
        (22, 5),
        (23, 6),
        (24, 5),
        (25, 8),
    ]
    assert sum(len(attributes) for _, _, attributes in ATTRIBUTES) == 29


@pytest.mark.parametrize(("element", "key"), [(element, row[2]) for _, element, rows in ATTRIBUTES for row in rows])
def test_an_attribute_is_a_key_of_its_model(element: type[Element], key: str) -> None:
    aliases = {field.alias for field in element.model_fields.values()}
    assert key in aliases
    assert f"| `{key}` |" in page()


def test_page_counts_the_attributes_it_maps() -> None:
    rows = [line for line in page().splitlines() if line.startswith(("| 21 ", "| 22 ", "| 23 ", "| 24 ", "| 25 "))]
    assert len(rows) == 29


def test_schema_defines_every_core_interface_once() -> None:
    schema = json_schema()
    kinds = schema["$defs"]["Interface"]["discriminator"]["mapping"]
    assert sorted(kinds) == [
        "assessor",
        "command",
        "file",
        "kubernetes",
        "log",
        "manual",
        "mlflow",
        "prometheus",
        "rest",
        "sql",
    ]
    assert json.dumps(schema).count('"discriminator"') == 1


def test_every_reference_in_the_schema_leads_somewhere() -> None:
    text = schema_text()
    schema = json.loads(text)
    named = {part.split('"')[0] for part in text.split("#/$defs/")[1:]}
    assert named == set(schema["$defs"])
