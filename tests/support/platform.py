"""A running platform as tests see it: the commands a person types, with their output kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components._core import paths

__all__ = ["Platform", "run", "wait_for"]

CONFIGURED = 420.0
"""Seconds within which Prometheus has a changed monitor, when nothing makes it look: see `wait_for_monitors`."""

MLOPS = str(Path(sys.executable).with_name("mlops"))


@dataclass
class Platform:
    """The platform of one stack. Every command is bounded; a failure shows what was printed."""

    stack: str
    _kubeconfig: Path | None = field(default=None, repr=False)

    def mlops(self, *args: str, check: bool = True, timeout: float = 1200) -> subprocess.CompletedProcess[str]:
        """Run `mlops …`."""
        return run([MLOPS, *args], check=check, timeout=timeout)

    def pulumi(self, *args: str, check: bool = True, timeout: float = 900) -> subprocess.CompletedProcess[str]:
        """Run `pulumi …` as a person does after `eval "$(mlops env)"`."""
        from mlops import toolchain

        command = ["pulumi", *args, "--stack", self.stack, "--non-interactive"]
        return run(command, check=check, timeout=timeout, env={**os.environ, **toolchain.environment()})

    def changes(self) -> dict[str, Any]:
        """Return what `pulumi preview` would change, by the resource's name: all but `same` and reading it."""
        steps = json.loads(self.pulumi("preview", "--json").stdout)["steps"]
        return {
            each["urn"].rpartition("::")[2]: {"op": each["op"], "diff": each.get("detailedDiff")}
            for each in steps
            if each["op"] not in {"same", "refresh"}
        }

    def kubectl(self, *args: str, check: bool = True, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run `kubectl …` against the stack's cluster."""
        from mlops import engine, toolchain

        if self._kubeconfig is None:
            self._kubeconfig = paths.state(f"test-{self.stack}.kubeconfig")
            self._kubeconfig.touch(mode=0o600)
            self._kubeconfig.write_text(engine.kubeconfig(self.stack))
        command = [str(toolchain.binary("kubectl")), "--kubeconfig", str(self._kubeconfig), *args]
        return run(command, check=check, timeout=timeout)

    def kubectl_json(self, *args: str) -> Any:
        """Return what `kubectl … -o json` prints."""
        return json.loads(self.kubectl(*args, "-o", "json").stdout)

    def loop(self, *args: str, check: bool = True) -> dict[str, Any]:
        """Run `mlops loop --json` and return its evidence, also of a failed one."""
        done = self.mlops("loop", "--stack", self.stack, "--json", *args, check=check)
        evidence: dict[str, Any] = json.loads(done.stdout)
        evidence["exitCode"] = done.returncode
        return evidence

    def wait_for_monitors(self, condition: Callable[[], bool], *, what: str) -> None:
        """Ask until something holds that follows from a changed monitor.

        The reloader beside Prometheus (Thanos 0.39) loses sight of the configuration when it changes first, and looks
        every three minutes from then on; the folder of rules it goes on watching. So a rule comes and goes meanwhile.
        """
        rule = {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PrometheusRule",
            "metadata": {
                "name": "look",
                "namespace": "prometheus",
                "labels": {"app.kubernetes.io/part-of": paths.APPLICATION},
            },
            # Another one each time: what came and went between two looks of the kubelet changes no file.
            "spec": {
                "groups": [{"name": "look", "rules": [{"record": "test:look", "expr": f"vector({time.time()})"}]}]
            },
        }
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(rule, file)
            file.flush()
            self.kubectl("apply", "-f", file.name)
        try:
            wait_for(condition, seconds=CONFIGURED, what=what)
        finally:
            self.kubectl("delete", "prometheusrule", "look", "-n", "prometheus")

    def forget(self) -> None:
        """Drop the kubeconfig, which a new cluster makes stale."""
        if self._kubeconfig:
            self._kubeconfig.unlink(missing_ok=True)
            self._kubeconfig = None


def run(
    command: list[str], *, check: bool, timeout: float, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in the checkout; a failure that was not expected shows the end of its output."""
    done = subprocess.run(
        command, cwd=paths.CHECKOUT, capture_output=True, text=True, check=False, timeout=timeout, env=env
    )
    if check and done.returncode:
        msg = f"{' '.join(command)} ended with {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-6000:]}"
        raise AssertionError(msg)
    return done


def wait_for(condition: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Ask until it holds; say what did not."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {seconds:.0f} s"
        time.sleep(1)
