"""The plan and the cluster agree after `up`; a change made behind its back is found and repaired."""

from __future__ import annotations

import pytest

from tests.support.platform import Platform

pytestmark = pytest.mark.cluster

NO_CHANGES_EXPECTED = 7
"""Exit code of pulumi when changes were found and none were expected."""


def test_plan_is_clean_right_after_up(platform: Platform) -> None:
    platform.pulumi("preview", "--expect-no-changes")
    platform.pulumi("refresh", "--preview-only", "--expect-no-changes")


def test_edit_of_an_owned_field_is_found_and_repaired(platform: Platform) -> None:
    before = platform.kubectl_json("get", "deployment", "mlflow", "-n", "mlflow")["spec"]
    scaled = '{"spec":{"replicas":0}}'
    platform.kubectl("patch", "deployment", "mlflow", "-n", "mlflow", "--type=merge", "-p", scaled)
    found = platform.pulumi("refresh", "--preview-only", "--expect-no-changes", "--diff", check=False)
    assert found.returncode == NO_CHANGES_EXPECTED, found.stdout
    assert "replicas" in found.stdout
    platform.pulumi("up", "--yes", "--skip-preview")
    after = platform.kubectl_json("get", "deployment", "mlflow", "-n", "mlflow")["spec"]
    assert after["replicas"] == before["replicas"]
    platform.pulumi("preview", "--expect-no-changes")
