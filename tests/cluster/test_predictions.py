"""One prediction of a platform that has closed its loop: the auditor's page says what `mlops trace` says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mlops.loop import places
from mlops.loop.auditor import Auditor
from mlops.loop.cluster import Cluster
from tests.support.platform import Platform

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900), pytest.mark.usefixtures("closed")]

ITS_OWN = {"link"}
"""What each way may say in its own words: whoever reads in the auditor's pages is there already."""


def hops(trace: dict[str, Any]) -> list[dict[str, Any]]:
    return [{key: value for key, value in hop.items() if key not in ITS_OWN} for hop in trace["hops"]]


def test_the_auditor_and_the_command_tell_the_same(platform: Platform, cluster: Cluster) -> None:
    found = places.find(cluster)
    (last, *_) = cluster.ask(str(found.prediction_log), "/v1/requests", query={"limit": "1"}).json()
    request = last["request_id"]
    shown = Auditor(cluster, str(found.auditor)).get(f"/api/v1/predictions/{request}")
    told = platform.mlops("trace", request, "--stack", platform.stack, "--json", check=False)
    assert {hop["name"]: hop["state"] for hop in shown["hops"]}["prediction"] == "verified"
    assert not [hop for hop in shown["hops"] if hop["state"] == "missing"], shown
    assert hops(shown) == hops(json.loads(told.stdout))


@pytest.mark.parametrize(
    ("verb", "resource", "namespace", "may"),
    [
        ("list", "configmaps", "infrastructure-evidence", "yes"),
        ("get", "secrets", "infrastructure-evidence", "no"),
        ("create", "configmaps", "infrastructure-evidence", "no"),
        ("list", "configmaps", "cabc-auditor", "no"),
        ("get", "secrets", "cabc-auditor", "no"),
        ("list", "inferenceservices.serving.kserve.io", "models", "no"),
    ],
)
def test_the_process_with_the_pages_may_read_evidence_and_no_more(
    platform: Platform, verb: str, resource: str, namespace: str, may: str
) -> None:
    who = ["--as=system:serviceaccount:cabc-auditor:cabc-auditor", "--as-group=system:serviceaccounts:cabc-auditor"]
    done = platform.kubectl("auth", "can-i", verb, resource, "-n", namespace, *who, check=False)
    assert done.stdout.strip() == may, (verb, resource, namespace, done.stderr)
