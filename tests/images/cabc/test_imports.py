"""An interface plugin and the auditor may be imported in any order: each order in an interpreter of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

FIRST = (
    "cabc_platform.infrastructure",
    "cabc_platform.chain",
    "cabc.document.model",
    "cabc.document.interfaces",
    "cabc.interfaces.mlflow",
    "cabc.interfaces.registry",
    "cabc.record.types",
)
KNOWN = (
    "from cabc.document.model import InterfaceTarget\n"
    "from cabc_platform.infrastructure import InfrastructureInterface\n"
    "interface = {'kind': 'infrastructure', 'connection': 'c', 'query': 'latest'}\n"
    "assert isinstance(InterfaceTarget(interface=interface).interface, InfrastructureInterface)\n"
)


@pytest.mark.parametrize("first", FIRST)
def test_documents_know_the_plugin_whatever_is_imported_first(first: str) -> None:
    command = [sys.executable, "-c", f"import {first}\n{KNOWN}"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
