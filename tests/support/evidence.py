"""A stack whose engine is a script that says what the real one was seen to say."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlops.engine import Stack

__all__ = ["CIPHERTEXT", "ENGINE", "RESOURCES", "SECRET", "Engine", "difference", "operation"]

SECRET = "correct horse battery staple"  # noqa: S105 (must be found nowhere)
CIPHERTEXT = "v1:q8Zr5Hb2:registry.example/looks/like:an-image"
MARK = "4dabf18193072939515e22adb298388d"

ENGINE = """\
#!{python}
import json, pathlib, sys
told = json.loads(pathlib.Path({file!r}).read_text())
words = sys.argv[1:]
if words[0] == "refresh":
    print("\\n".join(json.dumps(event) for event in told["refresh"]))
elif words[:2] == ["stack", "export"]:
    print(json.dumps({{"version": 3, "deployment": {{"resources": told["resources"]}}}}))
elif words[:2] == ["stack", "history"]:
    print(json.dumps(told["history"]))
else:
    sys.exit(f"the test's engine does not know {{words}}")
"""

RESOURCES: list[dict[str, Any]] = [
    {
        "urn": "urn:pulumi:trial::small::kubernetes:core/v1:Namespace::mlflow",
        "type": "kubernetes:core/v1:Namespace",
        "inputs": {
            "metadata": {"name": "mlflow", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
        },
    },
    {
        "urn": "urn:pulumi:trial::small::kubernetes:apps/v1:Deployment::mlflow",
        "type": "kubernetes:apps/v1:Deployment",
        "inputs": {
            "metadata": {"name": "mlflow", "namespace": "mlflow"},
            "spec": {
                "template": {
                    "spec": {
                        "containers": [
                            {"name": "server", "image": "localhost/oss-mlops-platform/python:0123456789ab"},
                            {"name": "proxy", "image": "quay.io/some/proxy:1.2@sha256:" + "a" * 64},
                            {"name": "helper", "image": "quay.io/some/helper:latest"},
                        ]
                    }
                }
            },
        },
    },
    {
        "urn": "urn:pulumi:trial::small::kubernetes:core/v1:Secret::store",
        "type": "kubernetes:core/v1:Secret",
        "inputs": {
            "metadata": {"name": "store"},
            "stringData": {MARK: "1b47061264138c4ac30d75fd1eb44270", "ciphertext": CIPHERTEXT},
        },
    },
]


def operation(second: int, **others: Any) -> dict[str, Any]:
    """Return an operation as `pulumi stack history --json` tells it, begun in this second of a minute."""
    return {
        "version": 0,
        "kind": "update",
        "startTime": f"2026-11-30T12:00:{second:02}.000Z",
        "endTime": f"2026-11-30T12:00:{second + 1:02}.000Z",
        "message": "Serve the model",
        "environment": {
            "git.head": "f" * 40,
            "git.headName": "refs/heads/main",
            "git.dirty": "true",
            "git.author": "Ada",
            "git.author.email": "ada@example.org",
            "git.committer": "Ada",
            "pulumi.version": "v3.255.0",
            "pulumi.flag.skip-preview": "true",
            "pulumi.env.PULUMI_CONFIG_PASSPHRASE": "set",
            "ci.system": "GitHub",
            "ci.build.url": f"https://user:{SECRET.replace(' ', '-')}@ci.example/1",
        },
        "config": {"small:password": {"value": SECRET, "secret": False}},
        "result": "succeeded",
        "resourceChanges": {"create": 3},
        **others,
    }


def difference(name: str, operation: str = "update", **others: Any) -> dict[str, Any]:
    """Return an event of a refresh about a deployment."""
    urn = f"urn:pulumi:trial::small::mlops:Part$kubernetes:apps/v1:Deployment::{name}"
    old = {"inputs": {"metadata": {"name": name, "namespace": "mlflow"}, "spec": {"password": SECRET}}}
    metadata = {"op": operation, "urn": urn, "type": "kubernetes:apps/v1:Deployment", "old": old, **others}
    return {"sequence": 1, "timestamp": 0, "resOutputsEvent": {"metadata": metadata, "planning": True}}


@dataclass
class Engine:
    """What the script says; `write` makes it say what is set here."""

    file: Path
    stack: Stack
    history: list[dict[str, Any]] = field(default_factory=list)
    """The oldest first."""
    resources: list[dict[str, Any]] = field(default_factory=lambda: RESOURCES)
    refresh: list[dict[str, Any]] = field(default_factory=list)

    def write(self) -> Stack:
        told = {"history": self.history[::-1], "resources": self.resources, "refresh": self.refresh}
        self.file.write_text(json.dumps(told))
        return self.stack

    def keep_files(self) -> Path:
        """Lay out the backend's folder as the engine does; return the history's folder."""
        folder = Path(self.stack.environment["PULUMI_BACKEND_URL"].removeprefix("file://"))
        folder = folder / ".pulumi" / "history" / "small" / "trial"
        folder.mkdir(parents=True, exist_ok=True)
        for number, each in enumerate(self.history):
            (folder / f"trial-{1700000000 + number}.history.json").write_text(json.dumps(each))
            state = {
                "version": 3,
                "checkpoint": {"stack": "trial", "latest": {"resources": self.resources[: number + 1]}},
            }
            (folder / f"trial-{1700000000 + number}.checkpoint.json").write_text(json.dumps(state))
        return folder
