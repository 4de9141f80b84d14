"""The real engine and language host with a real program against a real API server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.apiserver import ApiServer

pytestmark = [pytest.mark.apiserver, pytest.mark.engine]

NO_CHANGES_EXPECTED = 7
"""Exit code of pulumi when changes were found and none were expected."""

PROGRAM = """
import json, os
import pulumi
import pulumi_kubernetes as k8s

space, options = os.environ["SPACE"], json.loads(os.environ["OPTIONS"])
provider = k8s.Provider("cluster", kubeconfig=open(os.environ["CLUSTER"]).read(), **options.get("provider", {}))
opts = pulumi.ResourceOptions(provider=provider)
namespace = k8s.core.v1.Namespace("space", metadata={"name": space}, opts=opts)
place = {"namespace": namespace.metadata.name}
settings = k8s.core.v1.ConfigMap("settings", metadata=place, data={"a": options.get("a", "1")}, opts=opts)
password = pulumi.Output.secret("hunter2")
secret = k8s.core.v1.Secret("password", metadata={**place, "name": "password"},
    string_data={"password": password}, opts=opts)
app = k8s.apps.v1.Deployment("app", metadata={**place, "name": "app"}, spec={
    "replicas": 1,
    "selector": {"match_labels": {"app": "app"}},
    "template": {
        "metadata": {"labels": {"app": "app", "test/fate": options.get("fate", "ready")}},
        "spec": {"termination_grace_period_seconds": 0, "containers": [{
            "name": "c", "image": options.get("image", "app:1"),
            "env_from": [{"config_map_ref": {"name": settings.metadata.name}}],
            "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}, "requests": {"cpu": 0.5}},
        }]},
    },
}, opts=pulumi.ResourceOptions(provider=provider, custom_timeouts=pulumi.CustomTimeouts(create="4s", update="4s")))
service = k8s.core.v1.Service("app", metadata={**place, "name": "app"},
    spec={"selector": {"app": "app"}, "ports": [{"port": 80, "target_port": "http"}]},
    opts=pulumi.ResourceOptions(provider=provider, depends_on=[app]))
definition = k8s.apiextensions.v1.CustomResourceDefinition("lamps", metadata={"name": f"lamps.{space}.example.org"},
    spec={
    "group": f"{space}.example.org", "scope": "Namespaced",
    "names": {"plural": "lamps", "singular": "lamp", "kind": "Lamp"},
    "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"open_apiv3_schema": {
        "type": "object", "properties": {"spec": {"type": "object", "x_kubernetes_preserve_unknown_fields": True}}}}}],
}, opts=opts)
lamp = k8s.apiextensions.CustomResource("lamp", api_version=f"{space}.example.org/v1", kind="Lamp",
    metadata={**place, "name": "lamp"}, spec={"watts": 5, "on": True},
    opts=pulumi.ResourceOptions(provider=provider, depends_on=[definition]))
job = k8s.batch.v1.Job("once", metadata={**place, "name": "once"}, spec={
    "template": {"metadata": {"labels": {"test/fate": "succeed"}},
                 "spec": {"restart_policy": "Never",
                          "containers": [{"name": "c", "image": options.get("image", "app:1")}]}},
}, opts=opts)
pulumi.export("settings", settings.metadata.name)
pulumi.export("ip", service.spec.cluster_ip)
"""


class Stack:
    """A stack of the program above, in a folder, a backend and a home of its own."""

    def __init__(self, folder: Path, server: ApiServer, space: str) -> None:
        from mlops import toolchain

        self.folder = folder
        self.space = space
        (folder / "state").mkdir(parents=True)
        runtime = {"name": "python", "options": {"virtualenv": sys.prefix}}
        (folder / "Pulumi.yaml").write_text(json.dumps({"name": "program", "runtime": runtime}))
        (folder / "__main__.py").write_text(PROGRAM)
        self.environment = toolchain.environment() | {
            "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "test",
            "CLUSTER": str(server.folder / "kubeconfig"),
            "SPACE": space,
        }
        self.environment.pop("PULUMI_CONFIG_PASSPHRASE_FILE", None)
        self.pulumi("stack", "init", "test")

    def command(self, *arguments: str, **options: Any) -> dict[str, Any]:
        return {
            "args": ["pulumi", *arguments, "--non-interactive"],
            "cwd": self.folder,
            "env": self.environment | {"OPTIONS": json.dumps(options)},
            "text": True,
        }

    def pulumi(self, *arguments: str, expect: int = 0, **options: Any) -> str:
        """Run a command and return all it said."""
        command = self.command(*arguments, **options)
        done = subprocess.run(**command, capture_output=True, timeout=180, check=False)
        said: str = done.stdout + done.stderr
        assert done.returncode == expect, said
        return said

    def up(self, expect: int = 0, **options: Any) -> str:
        return self.pulumi("up", "--yes", "--skip-preview", expect=expect, **options)

    def resources(self) -> dict[str, dict[str, Any]]:
        """Return the state's resources by type and name."""
        deployment = json.loads(self.pulumi("stack", "export"))["deployment"]
        return {
            f"{found['type'].rpartition(':')[2]} {found['urn'].rpartition('::')[2]}": found
            for found in deployment.get("resources", [])
        }

    def output(self, name: str) -> str:
        return self.pulumi("stack", "output", name).strip()


@pytest.fixture(scope="module")
def stack(server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("stack"), server, "life")
    preview = stack.pulumi("preview")
    assert "10 to create" in preview or "11 to create" in preview, preview
    stack.up()
    yield stack
    stack.pulumi("destroy", "--yes", "--skip-preview")
    assert server.find("/api/v1/namespaces/life") is None


def test_state_has_the_ids_and_the_shape_of_the_official_provider(stack: Stack) -> None:
    found = stack.resources()
    assert found["Namespace space"]["id"] == "life"
    assert found["Deployment app"]["id"] == "life/app"
    assert found["Lamp lamp"]["id"] == "life/lamp"
    assert found["Lamp lamp"]["type"] == "kubernetes:life.example.org/v1:Lamp"
    assert found["ConfigMap settings"]["id"] == f"life/{stack.output('settings')}"
    assert {"__inputs", "__fieldManager", "__initialApiVersion"} <= set(found["Service app"]["outputs"])
    assert found["Secret password"]["outputs"]["data"]["ciphertext"]
    assert "aHVudGVyMg" not in json.dumps(found)
    assert stack.output("ip").startswith("10.96.")


def test_second_run_changes_nothing(stack: Stack) -> None:
    stack.pulumi("preview", "--expect-no-changes")
    stack.pulumi("refresh", "--preview-only", "--expect-no-changes")
    stack.pulumi("preview", "--refresh", "--expect-no-changes")
    stack.up()
    stack.pulumi("refresh", "--yes", "--skip-preview")
    stack.pulumi("preview", "--expect-no-changes")


def test_edit_of_an_owned_field_is_found_and_repaired(stack: Stack, server: ApiServer) -> None:
    place = "/apis/apps/v1/namespaces/life/deployments/app"
    server.patch(place, {"spec": {"replicas": 2}})
    said = stack.pulumi("refresh", "--preview-only", "--expect-no-changes", "--diff", expect=NO_CHANGES_EXPECTED)
    assert "replicas" in said
    stack.pulumi("up", "--yes", "--skip-preview", "--refresh")
    assert server.get(place)["spec"]["replicas"] == 1
    stack.pulumi("preview", "--refresh", "--expect-no-changes")


def test_edit_of_a_config_map_is_repaired_by_a_new_one(stack: Stack, server: ApiServer) -> None:
    before = stack.output("settings")
    server.patch(f"/api/v1/namespaces/life/configmaps/{before}", {"data": {"a": "9"}})
    stack.pulumi("up", "--yes", "--skip-preview", "--refresh")
    after = stack.output("settings")
    assert after != before
    assert server.get(f"/api/v1/namespaces/life/configmaps/{after}")["data"] == {"a": "1"}
    assert server.find(f"/api/v1/namespaces/life/configmaps/{before}") is None


def test_change_shows_in_the_preview_and_rolls_out(stack: Stack, server: ApiServer) -> None:
    said = stack.pulumi("preview", "--diff", image="app:2")
    assert '"app:1" => "app:2"' in said
    assert "replace" in said, "the Job's template is immutable"
    said = stack.up(image="app:2")
    assert "updated" in said
    found = server.get("/apis/apps/v1/namespaces/life/deployments/app")
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == "app:2"
    stack.up()


def test_object_deleted_by_hand_comes_back(stack: Stack, server: ApiServer) -> None:
    server.delete("/api/v1/namespaces/life/services/app")
    stack.pulumi("up", "--yes", "--skip-preview", "--refresh")
    assert server.find("/api/v1/namespaces/life/services/app") is not None


def test_import_makes_a_program_that_changes_nothing(stack: Stack, server: ApiServer) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "found"}, "data": {"x": "1"}}
    server.create("/api/v1/namespaces/life/configmaps", body)
    provider = stack.resources()["kubernetes cluster"]["urn"]
    said = stack.pulumi(
        "import", "kubernetes:core/v1:ConfigMap", "found", "life/found", "--yes", "--skip-preview", "--protect=false",
        "--generate-code=false", "--provider", f"provider={provider}",
    )  # fmt: skip
    assert "1 imported" in said
    assert stack.resources()["ConfigMap found"]["inputs"]["data"] == {"x": "1"}
    stack.up()
    assert server.find("/api/v1/namespaces/life/configmaps/found") is None, "the program does not have it"


def test_failed_wait_tells_the_reason_and_the_next_update_continues(server: ApiServer, tmp_path: Path) -> None:
    stack = Stack(tmp_path / "stack", server, "failing")
    said = stack.up(expect=1, fate="pull")
    assert "timed out waiting to be Ready" in said
    assert "[ImagePullBackOff]" in said
    stored = stack.resources()["Deployment app"]
    assert stored["id"] == "failing/app"
    assert stored["initErrors"]
    stack.up()
    assert "initErrors" not in stack.resources()["Deployment app"]
    stack.pulumi("destroy", "--yes", "--skip-preview")


def test_killed_engine_leaves_nothing_that_the_next_update_trips_over(server: ApiServer, tmp_path: Path) -> None:
    stack = Stack(tmp_path / "stack", server, "killed")
    for moment in (2.0, 3.5, 5.0):
        with subprocess.Popen(
            **stack.command("up", "--yes", "--skip-preview"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as engine:
            time.sleep(moment)
            engine.kill()
        stack.pulumi("cancel", "--yes")
    stack.up()
    assert len(server.get("/api/v1/namespaces/killed/configmaps")["items"]) <= 2, "settings and kube-root-ca.crt"
    stack.pulumi("destroy", "--yes", "--skip-preview")
    assert server.find("/api/v1/namespaces/killed") is None
    deadline = time.monotonic() + 30
    while _plugins_of(tmp_path):
        assert time.monotonic() < deadline, "a plugin outlived its engine"
        time.sleep(0.2)


def _plugins_of(folder: Path) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().decode(errors="replace")
            environment = (process / "environ").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if "kubernetes_provider" in command and str(folder) in environment and process.name != str(os.getpid()):
            found.append(command)
    return found
