"""What a stack would create, without an engine, a cluster or a plugin: the program runs under mocks.

`python -m components._core.plan <stack>` prints the plan as JSON. It is a process of its own because Pulumi's
mocks are global state.
"""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pulumi
import ruamel.yaml
from pulumi import dynamic
from pulumi.runtime import rpc
from pulumi.runtime.mocks import MockCallArgs, MockMonitor, MockResourceArgs, Mocks

from components._core import paths

__all__ = ["PlanError", "resources", "run_here", "stack_file"]


class PlanError(Exception):
    """The program failed under mocks; the message is what it printed."""


def stack_file(stack: str) -> Path:
    """Return the path of a stack's order form."""
    return paths.CHECKOUT / "stacks" / f"Pulumi.{stack}.yaml"


def resources(stack: str | Path, *, source: str | None = None) -> list[dict[str, Any]]:
    """Return every resource the program registers for a stack (or an order form's path), in a stable order.

    Each is `{"type", "name", "parent", "dependsOn", "inputs"}`; secret inputs read `[secret]`. `source` overrides
    where images come from. Raises PlanError with the program's output.
    """
    environment = {**os.environ, **({"MLOPS_SOURCE": source} if source else {})}
    done = subprocess.run(
        [sys.executable, "-m", "components._core.plan", str(stack)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=paths.CHECKOUT,
        check=False,
    )
    if done.returncode:
        raise PlanError(done.stderr.strip())
    plan: list[dict[str, Any]] = json.loads(done.stdout)
    return plan


def run_here(stack: str | Path) -> list[dict[str, Any]]:
    """Return what `resources` does, once in the life of this process: Pulumi's mocks stay."""
    file = Path(stack) if "/" in str(stack) else stack_file(str(stack))
    name = file.name.removeprefix("Pulumi.").removesuffix(".yaml")
    form = ruamel.yaml.YAML(typ="safe").load(file) or {}
    config = {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in (form.get("config") or {}).items()
    }
    recorder = _Recorder()
    pulumi.runtime.set_mocks(recorder.mocks, project=paths.APPLICATION, stack=name, monitor=recorder)
    pulumi.runtime.set_all_config(config)

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def program() -> None:
        runpy.run_path(str(paths.CHECKOUT / "stacks"), run_name="__main__")

    program()
    return [recorder.seen[urn] for urn in sorted(recorder.seen)]


class _Provider(Mocks):
    """Answer every registration with its own inputs."""

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        return f"{args.name}-id", {**args.inputs, **_made_by_provider(args)}

    def call(self, args: MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        msg = f"the program calls {args.token}; a plan must not need a provider to answer"
        raise AssertionError(msg)


class _Recorder(MockMonitor):
    """Remember every registration; refuse one name twice, as the engine does."""

    def __init__(self) -> None:
        super().__init__(_Provider())
        self.seen: dict[str, dict[str, Any]] = {}

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 (the protocol's name)
        answer = super().RegisterResource(request)  # type: ignore[no-untyped-call]
        if answer.urn in self.seen:
            msg = f"two resources are called {_short(answer.urn)}"
            raise AssertionError(msg)
        if request.type != "pulumi:pulumi:Stack":
            self.seen[answer.urn] = {
                "type": request.type,
                "name": request.name,
                "parent": _short(request.parent),
                "dependsOn": sorted(_short(urn) for urn in request.dependencies),
                "inputs": _plain(rpc.deserialize_properties(request.object, keep_unknowns=True)),
            }
        return answer


def _made_by_provider(args: MockResourceArgs) -> dict[str, Any]:
    """Give outputs that a real provider would make a text that shows where they end up."""
    if args.typ.startswith("kubernetes:"):
        metadata = args.inputs.get("metadata") or {}
        return {"metadata": {"name": args.name, **metadata}} if isinstance(metadata, dict) else {}
    made = (cls for cls in dynamic.Resource.__subclasses__() if args.typ == f"pulumi-python:{cls._resource_type_name}")
    return {key: f"[{args.name}.{key}]" for cls in made for key in cls.__annotations__ if key not in args.inputs}


def _short(urn: str) -> str:
    return "::".join(urn.split("::")[2:])


_SECRET = "4dabf18193072939515e22adb298388d"  # noqa: S105 (Pulumi's marker of a secret, not one)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        if value.get(_SECRET):
            return "[secret]"
        return {key: _plain(item) for key, item in sorted(value.items()) if not key.startswith("__")}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


if __name__ == "__main__":
    json.dump(run_here(sys.argv[1]), sys.stdout)
