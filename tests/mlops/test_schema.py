"""The committed JSON schema says what the models say, and accepts what `mlops validate` accepts."""

from __future__ import annotations

import json

from components._core import paths
from mlops import schema, validate
from tests.support.house import HOUSE


def test_committed_schema_is_current(*, update_test_data: bool) -> None:
    if update_test_data:
        schema.write()
    schema.check()


def test_every_form_of_the_project_names_it_for_editors() -> None:
    for form in validate.files():
        assert form.read_text().startswith(f"# yaml-language-server: $schema={schema.FILE.name}\n")


def test_keys_are_closed_and_described() -> None:
    found = json.loads(schema.build(HOUSE))
    components = found["properties"]["config"]["properties"][f"{paths.APPLICATION}:components"]
    assert components["additionalProperties"] is False
    assert set(components["properties"]) == set(HOUSE)
    database = found["$defs"]["DatabaseConfig"]
    assert database["additionalProperties"] is False
    assert database["properties"]["storage"]["description"] == "Size of the volume."
    assert {"$ref": "#/$defs/secure"} in database["properties"]["storage"]["anyOf"]
    assert database["properties"]["replicas"]["maximum"] == 5
