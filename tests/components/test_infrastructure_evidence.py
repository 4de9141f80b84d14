"""A namespace that only administrators write to and, where there is one, the auditor reads."""

from __future__ import annotations

from typing import Any

import pytest

from components._core import catalogue
from components._core.contracts import Auditor
from components.infrastructure_evidence.component import READER
from mlops.evidence.keeping import NAMESPACE
from tests.support.plans import Plan, planned


@pytest.fixture(scope="module")
def resources(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return planned(tmp_path_factory.mktemp("form"), {"infrastructureEvidence": {}})


def test_the_namespace_is_the_one_that_documents_go_to(resources: Plan) -> None:
    metadata = resources.of("Namespace")["inputs"]["metadata"]
    assert metadata["name"] == NAMESPACE
    assert metadata["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_the_role_only_reads(resources: Plan) -> None:
    (rule,) = resources.of("Role", READER)["inputs"]["rules"]
    assert rule == {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}


def test_nothing_runs_and_nobody_is_let_in_without_an_auditor(resources: Plan) -> None:
    assert not resources.pods()
    assert not resources.all("RoleBinding")


def test_the_auditor_is_let_in_where_there_is_one(tmp_path: Any) -> None:
    providers = [folder for folder in catalogue.folders() if Auditor in catalogue.component_class(folder).provides]
    if not providers:
        pytest.skip("no component provides an Auditor")
    form = {"postgres": {}, "objectStore": {}, "mlflow": {}, "cabcAuditor": {}, "infrastructureEvidence": {}}
    found = planned(tmp_path, form).of("RoleBinding", READER)["inputs"]
    assert found["roleRef"]["name"] == READER
    assert found["subjects"] == [
        {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "Group",
            "name": "system:serviceaccounts:cabc-auditor",
        }
    ]
