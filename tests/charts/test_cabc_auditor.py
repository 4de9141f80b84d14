"""The chart, rendered by Helm, asks for the objects that the component asks for."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.cabc_auditor import chart
from components.cabc_auditor.objects import NAME
from tests.support import auditor_plans
from tests.support.apiserver import ApiServer, running_api_server
from tests.support.plans import Plan, planned

pytestmark = pytest.mark.timeout(1200)  # Helm is built when it is not there yet

NAMESPACE = "cabc-auditor"

FORM = {
    **auditor_plans.FORM,
    "predictionLog": {},
    "cabcAuditor": {
        **auditor_plans.FORM["cabcAuditor"],
        "namespaces": ["credit"],
        "connections": {"lake": {"kind": "rest", "url": "https://lake.example.org"}},
        "retention": {"evidence": 400},
        "retiredKeys": {"assess-2026": "-----BEGIN PUBLIC KEY-----"},
    },
}

LEFT_TO_THE_INSTALLER = {
    ("Namespace", None, NAMESPACE): "`helm install --create-namespace`, or one that is there",
    ("NetworkPolicy", NAMESPACE, "same-namespace"): "a cluster's policies are its own",
    ("NetworkPolicy", NAMESPACE, NAME): "a cluster's policies are its own",
    ("NetworkPolicy", NAMESPACE, f"{NAME}-collect"): "a cluster's policies are its own",
    ("NetworkPolicy", NAMESPACE, f"{NAME}-publish"): "a cluster's policies are its own",
    ("Secret", NAMESPACE, NAME): "secrets are no values of a chart",
    ("Secret", NAMESPACE, f"{NAME}-collect"): "secrets are no values of a chart",
    ("Secret", NAMESPACE, f"{NAME}-publish"): "secrets are no values of a chart",
    ("Secret", NAMESPACE, f"{NAME}-owner"): "secrets are no values of a chart",
    ("Secret", NAMESPACE, f"{NAME}-read"): "secrets are no values of a chart",
    ("Secret", NAMESPACE, f"{NAME}-tokens"): "people keep their own",
    ("Secret", "prometheus", f"{NAME}-scrape"): "secrets are no values of a chart",
    ("Secret", "prometheus", f"{NAME}-receiver"): "Alertmanager's configuration is its owner's",
    ("AlertmanagerConfig", "prometheus", NAME): "Alertmanager's configuration is its owner's",
}
"""Objects of the component that the chart has not, and why."""

Key = tuple[str, str | None, str]
Render = Callable[..., dict[Key, dict[str, Any]]]


@pytest.fixture(scope="session")
def render(tmp_path_factory: pytest.TempPathFactory) -> Render:
    """Give what renders the chart with some values."""
    from mlops import toolchain

    helm = toolchain.binary("helm")

    def rendered(values: dict[str, Any]) -> dict[Key, dict[str, Any]]:
        file = tmp_path_factory.mktemp("values") / "values.yaml"
        file.write_text(json.dumps(values))
        command = [str(helm), "template", NAME, str(chart.FOLDER), "--namespace", NAMESPACE, "--values", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return {key(found): found for found in yaml.safe_load_all(done.stdout) if found}

    return rendered


def key(manifest: dict[str, Any]) -> Key:
    metadata = manifest["metadata"]
    return manifest["kind"], metadata.get("namespace"), without_key(metadata["name"])


def without_key(name: str) -> str:
    """Return the name of a Job without its key, which each way of installing makes of what it knows."""
    return re.sub(rf"^({NAME}-(?:migrate|subscribe))-[0-9a-f]{{8}}$", r"\1", name)


def component(plan: Plan) -> dict[Key, dict[str, Any]]:
    """Return the objects that the component asks for."""
    found = {}
    for each in plan:
        if each["parent"].endswith("::cabc-auditor") and each["type"].startswith("kubernetes:"):
            group, _, kind = each["type"].removeprefix("kubernetes:").rpartition(":")
            manifest = {"apiVersion": group.removeprefix("core/"), "kind": kind, **each["inputs"]}
            found[key(manifest)] = manifest
    return found


def values(plan: Plan) -> dict[str, Any]:
    """Return the values that ask the chart for what the plan asks for."""
    maps = {name: found["data"] for (kind, _, name), found in component(plan).items() if kind == "ConfigMap"}
    told = json.loads(maps[NAME]["cabc.yaml"])
    service = {key: told["service"][key] for key in ("tokens", "pages")}
    deployment = component(plan)["Deployment", NAMESPACE, NAME]
    return {
        "image": deployment["spec"]["template"]["spec"]["containers"][0]["image"],
        "settings": {"retention": told["retention"], "service": service},
        "connections": json.loads(maps[NAME]["connections.yaml"])["connections"],
        "publicKeys": maps[f"{NAME}-keys"],
        "specifications": maps[f"{NAME}-specifications"],
        "documents": maps[f"{NAME}-documents"],
        "apiToken": True,
        "storageClass": "fast",
        "models": {"namespaces": ["models", "credit"]},
        "metrics": {"namespace": "prometheus", "labels": {"app.kubernetes.io/part-of": "oss-mlops-platform"}},
        "registry": {"url": "http://mlflow.mlflow.svc.cluster.local:5000"},
    }


def comparable(value: Any) -> Any:
    """Return an object without what each way of installing has of its own; texts that are JSON as what they say."""
    if isinstance(value, dict):
        return {
            name: "" if name in {"app.kubernetes.io/managed-by", "oss-mlops-platform/settings"} else comparable(inner)
            for name, inner in sorted(value.items())
            if name != "pulumi.com/skipAwait" and inner != {"pulumi.com/skipAwait": "true"}
        }
    if isinstance(value, list):
        return [comparable(inner) for inner in value]
    if isinstance(value, str):
        return json.loads(value) if value.startswith(("{\n", '{"')) else without_key(value)
    return value


@pytest.mark.parametrize("processes", ["three", "one"])
def test_chart_and_component_ask_for_the_same(render: Render, tmp_path: Path, processes: str) -> None:
    plan = planned(tmp_path, {**FORM, "cabcAuditor": {**FORM["cabcAuditor"], "processes": processes}})
    wanted = {key: found for key, found in component(plan).items() if key not in LEFT_TO_THE_INSTALLER}
    found = render({**values(plan), "processes": processes})
    assert found.keys() == wanted.keys()
    assert len(found) > 15
    for each in sorted(wanted, key=str):
        assert comparable(found[each]) == comparable(wanted[each]), each


def test_everything_that_is_left_out_is_something_the_component_has(tmp_path: Path) -> None:
    assert LEFT_TO_THE_INSTALLER.keys() <= component(planned(tmp_path, FORM)).keys()


def test_secrets_that_the_chart_mounts_are_those_that_its_readme_has_people_make(
    render: Render, tmp_path: Path
) -> None:
    readme = (chart.FOLDER / "README.md").read_text()
    mounted: set[str] = set()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            source = value.get("secret")
            mounted.update([source.get("name") or source["secretName"]] if isinstance(source, dict) else [])
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(list(render(values(planned(tmp_path, FORM))).values()))
    assert mounted == {NAME, f"{NAME}-collect", f"{NAME}-publish", f"{NAME}-owner", f"{NAME}-read"}
    assert all(f"secret generic {name} " in readme for name in mounted)


def test_made_files_are_those_that_the_functions_make() -> None:
    made = chart.files()
    by_people = {"Chart.yaml", "values.yaml", "README.md"}
    there = {str(file.relative_to(chart.FOLDER)) for file in chart.FOLDER.rglob("*") if file.is_file()}
    assert there == by_people | made.keys(), "python -m components.cabc_auditor.chart"
    for name, text in made.items():
        assert (chart.FOLDER / name).read_text() == text, f"{name}: python -m components.cabc_auditor.chart"


def test_pods_are_made_anew_when_a_specification_changes(render: Render) -> None:
    def digest(text: str) -> str:
        found = render({"image": "example.org/cabc:1", "specifications": {"loans.yaml": text}})
        template = found["Deployment", NAMESPACE, NAME]["spec"]["template"]
        return str(template["metadata"]["annotations"]["oss-mlops-platform/settings"])

    assert digest("a: 1") != digest("a: 2")


def test_jobs_run_again_when_what_they_use_changes(render: Render) -> None:
    told = {"image": "example.org/cabc:1", "registry": {"url": "http://mlflow:5000"}}

    def names(changed: dict[str, Any]) -> dict[str, str]:
        found = render({**told, **changed})
        jobs = {name: found["Job", NAMESPACE, f"{NAME}-{name}"] for name in ("migrate", "subscribe")}
        return {name: job["metadata"]["name"] for name, job in jobs.items()}

    before = names({})
    for changed, again in (
        ({"image": "example.org/cabc:2"}, {"migrate", "subscribe"}),
        ({"secretsRevision": "2"}, {"migrate", "subscribe"}),
        ({"registry": {"url": "http://mlflow:5001"}}, {"subscribe"}),
        ({"processes": "one"}, {"subscribe"}),
        ({"specifications": {"loans.yaml": "a: 1"}}, set()),
    ):
        after = names(changed)
        assert {name for name in before if before[name] != after[name]} == again


def test_values_that_ask_for_nothing_leave_the_rest_out(render: Render) -> None:
    kinds = {kind for kind, _, _ in render({"image": "example.org/cabc:1"})}
    assert not kinds & {"PodMonitor", "PrometheusRule", "Role", "RoleBinding"}


def test_text_of_people_cannot_leave_its_place(render: Render) -> None:
    text = 'a: "b" # {{ .Values.image }}\n---\nkind: Secret\n\'<&>\u2028'
    found = render({"image": "example.org/cabc:1", "documents": {"note.txt": text}})
    assert found["ConfigMap", NAMESPACE, f"{NAME}-documents"]["data"] == {"note.txt": text}


PLURALS = {
    "ConfigMap": "api/v1/namespaces/{}/configmaps",
    "PersistentVolumeClaim": "api/v1/namespaces/{}/persistentvolumeclaims",
    "Service": "api/v1/namespaces/{}/services",
    "ServiceAccount": "api/v1/namespaces/{}/serviceaccounts",
    "Deployment": "apis/apps/v1/namespaces/{}/deployments",
    "Job": "apis/batch/v1/namespaces/{}/jobs",
    "CronJob": "apis/batch/v1/namespaces/{}/cronjobs",
    "Role": "apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
    "RoleBinding": "apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    yield from running_api_server(tmp_path_factory, controllers=False)


@pytest.mark.apiserver
def test_api_server_takes_every_object_and_every_pod(render: Render, server: ApiServer, tmp_path: Path) -> None:
    """Unknown fields are refused, and so are pods that Pod Security `restricted` does not allow."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    for name in (NAMESPACE, "models", "credit"):
        server.create("/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
        # No controller makes it here.
        server.create(f"/{PLURALS['ServiceAccount'].format(name)}", {"metadata": {"name": "default"}})
    found = render(values(planned(tmp_path, FORM)))
    pods = []
    for (kind, namespace, _), manifest in sorted(found.items(), key=lambda each: each[0][0] != "ServiceAccount"):
        if kind in PLURALS:
            server.create(f"/{PLURALS[kind].format(namespace)}?fieldValidation=Strict", manifest)
        spec = manifest.get("spec", {})
        template = spec.get("jobTemplate", {}).get("spec", spec).get("template")
        if template:
            name = manifest["metadata"]["name"]
            pods.append({"metadata": {**template["metadata"], "name": name}, "spec": template["spec"]})
    assert len(pods) == 6
    for pod in pods:
        server.create(f"/api/v1/namespaces/{NAMESPACE}/pods?dryRun=All&fieldValidation=Strict", pod)
