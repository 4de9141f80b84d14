"""Kinds are found by name, and nothing heavy is imported until a connection needs it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from cabc.document.interfaces import CORE
from cabc.interfaces.base import InterfacePlugin, RetrieveError
from cabc.interfaces.manual import ManualPlugin, answer
from cabc.interfaces.registry import installed, kinds, plugin, plugins

from tests.support.retrieval import SUBJECT, retrieve, spec


def test_every_kind_of_a_document_has_its_plugin() -> None:
    assert set(kinds()) == {str(model.model_fields["kind"].annotation.__args__[0]) for model in CORE}  # type: ignore[union-attr]
    for kind, found in plugins().items():
        assert found.kind == kind
        assert isinstance(found(), InterfacePlugin)
        assert found.spec in CORE
        if found.connection is not None:
            assert found.connection.model_fields["kind"].annotation.__args__ == (kind,)


def test_an_unknown_kind_is_an_error() -> None:
    assert installed() == {}
    with pytest.raises(KeyError):
        plugin("nothing")


def test_importing_the_plugins_loads_nothing_heavy() -> None:
    code = (
        "import sys; from cabc.interfaces.registry import plugins; plugins();"
        "print([name for name in ('kubernetes', 'pyarrow', 'sqlalchemy', 'psycopg', 'mlflow', 'pulumi')"
        " if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_a_manual_value_waits_for_a_person() -> None:
    question = spec(ManualPlugin.spec, kind="manual", question="Is there a human in the loop?")
    with pytest.raises(RetrieveError, match=r"human in the loop\? \(cabc attest\)"):
        retrieve(ManualPlugin(), question, None, SUBJECT)
    assert ManualPlugin().extract(question, answer(value=True), "application/json", {}) is True
