"""Measure what the README claims, as ratios taken in one run on one machine.

    python benchmarks/measure.py [--stack ci] [--idle-minutes 3] [--json FILE]
    python benchmarks/measure.py --running [--stack local] [--idle-minutes 1]

Makes the stack's cluster anew (its tools and images must be cached: run `mlops up` once before), and removes it. Takes
about fifteen minutes. With `--running` it only reads what a platform that runs uses, and leaves it as it is. P1, P2, P4
and P10 are explained in benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from components._core import images, paths, plan
from components.kind_cluster.kind import cluster_config
from mlops import engine, toolchain

__all__: list[str] = []

MLOPS = str(Path(sys.executable).with_name("mlops"))

EMPTY = "bench-empty"
"""Name of the kind cluster that stands for the floor: a node and nothing in it."""

WATCHING = (
    "prediction-log",
    "model-monitor",
    "cabc-auditor",
    "conformity-gate",
    "infrastructure-evidence",
    "grafana",
)
"""Namespaces of the parts that follow a model in operation; each stack has some of them."""

SETTLE = 60.0
"""Seconds that a node just made is left alone before its idling is measured."""


def timed(command: list[str], **options: Any) -> tuple[float, subprocess.CompletedProcess[str]]:
    """Run a command with the toolchain's environment; return its wall time in seconds and its output."""
    env = {**os.environ, **toolchain.environment(), **options.pop("env", {})}
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False, **options)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return time.monotonic() - started, done


def say(text: str) -> None:
    """Tell what is going on, with the load that others put on the machine."""
    print(f"[load {os.getloadavg()[0]:.1f}] {text}", file=sys.stderr, flush=True)


def kubectl(kubeconfig: Path, *args: str) -> str:
    """Return what kubectl prints."""
    return timed(["kubectl", "--kubeconfig", str(kubeconfig), *args])[1].stdout


def write_kubeconfig(folder: Path, stack: str) -> Path:
    """Return a private file with the stack's kubeconfig."""
    file = folder / f"{stack}.kubeconfig"
    file.touch(mode=0o600)
    file.write_text(engine.kubeconfig(stack))
    return file


def slowest_readiness(kubeconfig: Path) -> tuple[float, str]:
    """Return the longest time from a pod's creation to its readiness in seconds, and which pod it was."""
    found: list[tuple[float, str]] = []
    for pod in json.loads(kubectl(kubeconfig, "get", "pods", "-A", "-o", "json"))["items"]:
        metadata = pod["metadata"]
        created = dt.datetime.fromisoformat(metadata["creationTimestamp"])
        found.extend(
            ((dt.datetime.fromisoformat(condition["lastTransitionTime"]) - created).total_seconds(), metadata["name"])
            for condition in pod["status"].get("conditions", [])
            if condition["type"] == "Ready" and condition["status"] == "True"
        )
    return max(found)


def usage(container: str, *, seconds: float) -> tuple[float, float]:
    """Return the working set in MiB and the mean use of cores of a node's container over the given time."""
    pid = timed([str(toolchain.engine().path), "inspect", "-f", "{{.State.Pid}}", container])[1].stdout.strip()
    memory, cpu = _cgroup(pid, "memory"), _cgroup(pid, "cpuacct")
    started, before = time.monotonic(), _cpu_seconds(cpu)
    time.sleep(seconds)
    cores = (_cpu_seconds(cpu) - before) / (time.monotonic() - started)
    return _working_set(memory) / 2**20, cores


def _cgroup(pid: str, controller: str) -> Path:
    """Return the folder of a container's cgroup, version 1 or 2: above what systemd made inside of it."""
    lines = [line.split(":", 2) for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
    for _, controllers, path in lines:
        if controller in controllers.split(","):
            return Path(f"/sys/fs/cgroup/{controller}{path.removesuffix('/init.scope')}")
    return Path(f"/sys/fs/cgroup{lines[0][2].removesuffix('/init.scope')}")


def _cpu_seconds(cgroup: Path) -> float:
    if (file := cgroup / "cpuacct.usage").exists():
        return int(file.read_text()) / 1e9
    return int((cgroup / "cpu.stat").read_text().split()[1]) / 1e6


def _working_set(cgroup: Path) -> int:
    stat = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
    if (file := cgroup / "memory.usage_in_bytes").exists():
        return int(file.read_text()) - int(stat["total_inactive_file"])
    return int((cgroup / "memory.current").read_text()) - int(stat["inactive_file"])


def local_images(stack: str) -> list[str]:
    """Return the images that the platform brings into its node."""
    resources = plan.resources(stack)
    return sorted({each["inputs"]["reference"] for each in resources if each["type"].endswith(":NodeImage")})


def measure_empty(stack: str, idle: float) -> dict[str, Any]:
    """Make and remove a kind cluster with nothing in it; load the platform's images into it meanwhile."""
    node, loaded = images.reference("node"), local_images(stack)
    if images.is_local(node):
        timed([MLOPS, "images", "load", node, "--engine"])
    with tempfile.TemporaryDirectory() as folder:
        kubeconfig, config = Path(folder, "kubeconfig"), Path(folder, "kind.json")
        config.write_text(json.dumps(cluster_config(node)))
        say("an empty kind cluster")
        command = ["kind", "create", "cluster", "--name", EMPTY, "--config", str(config), "--wait", "120s"]
        create, _ = timed([*command, "--kubeconfig", str(kubeconfig)])
        try:
            time.sleep(SETTLE)
            memory, cores = usage(f"{EMPTY}-control-plane", seconds=idle)
            say(f"{len(loaded)} images into it")
            load = timed([MLOPS, "images", "load", "--cluster", EMPTY, *loaded])[0] if loaded else 0.0
        finally:
            timed(["kind", "delete", "cluster", "--name", EMPTY, "--kubeconfig", str(kubeconfig)])
    return {"createSeconds": create, "loadSeconds": load, "memoryMiB": memory, "cores": cores}


def measure_up(stack: str, folder: Path) -> dict[str, Any]:
    """Time a warm `mlops up`, then a second one that has nothing to do."""
    timed([MLOPS, "down", "--stack", stack])
    say("a warm mlops up, twice")
    wall, _ = timed([MLOPS, "up", "--stack", stack, "--no-loop"])
    slowest, pod = slowest_readiness(write_kubeconfig(folder, stack))
    again, _ = timed([MLOPS, "up", "--stack", stack, "--no-loop"])
    return {"seconds": wall, "againSeconds": again, "slowestReadiness": slowest, "slowestPod": pod}


def measure_no_op(stack: str, folder: Path, *, rounds: int = 3) -> dict[str, Any]:
    """Time a `pulumi up` without changes against one of a program that registers nothing."""
    empty = folder / "empty"
    empty.mkdir()
    virtualenv = paths.CHECKOUT / ".venv"
    (empty / "Pulumi.yaml").write_text(
        f"name: empty\nruntime: {{name: python, options: {{virtualenv: {virtualenv}}}}}\noptions: {{refresh: always}}\n"
    )
    (empty / "__main__.py").write_text("import pulumi\nimport pulumi_kubernetes\n")
    backend = {"PULUMI_BACKEND_URL": f"file://{folder}", "PULUMI_CONFIG_PASSPHRASE": "x"}
    say("pulumi up with nothing to do")
    timed(["pulumi", "stack", "init", "empty"], cwd=empty, env=backend)
    up = ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "--stack"]
    timed([*up, "empty"], cwd=empty, env=backend)
    nothing = statistics.median(timed([*up, "empty"], cwd=empty, env=backend)[0] for _ in range(rounds))
    ours = statistics.median(timed([*up, stack], cwd=paths.CHECKOUT)[0] for _ in range(rounds))
    exported = json.loads(timed(["pulumi", "stack", "export", "--stack", stack], cwd=paths.CHECKOUT)[1].stdout)
    count = len(exported["deployment"]["resources"])
    per_resource = (ours - nothing) / count
    return {"emptySeconds": nothing, "seconds": ours, "resources": count, "secondsPerResource": per_resource}


def measure_loop(stack: str) -> dict[str, Any]:
    """Time the loop's second run, which rolls a version out, against what the example author's steps take."""
    say("the loop, twice")
    timed([MLOPS, "loop", "--stack", stack])
    wall, done = timed([MLOPS, "loop", "--stack", stack, "--json"])
    evidence = json.loads(done.stdout)
    stages = {stage["name"]: stage["seconds"] for stage in evidence["stages"]}
    return {
        "seconds": wall,
        "userCodeSeconds": evidence["userCodeSeconds"],
        "facts": len(evidence["facts"]),
        "stages": stages,
    }


def measure_idle(stack: str, folder: Path, idle: float) -> dict[str, Any]:
    """Read what the node and each namespace use with one served model and nobody asking."""
    kubeconfig = write_kubeconfig(folder, stack)
    node = json.loads(kubectl(kubeconfig, "get", "nodes", "-o", "json"))["items"][0]["metadata"]["name"]
    time.sleep(SETTLE)
    say("idling")
    memory, cores = usage(node, seconds=idle)
    summary = json.loads(kubectl(kubeconfig, "get", "--raw", f"/api/v1/nodes/{node}/proxy/stats/summary"))
    namespaces = by_namespace(summary)
    return {
        "memoryMiB": memory,
        "cores": cores,
        "namespaces": namespaces,
        "watching": together({name: used for name, used in namespaces.items() if name in WATCHING}),
    }


def by_namespace(summary: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Return what the pods of each namespace use, by the kubelet's summary; the total counts the pods too."""
    found: dict[str, dict[str, float]] = {}
    for pod in summary["pods"]:
        used = {
            "pods": 1.0,
            "memoryMiB": pod.get("memory", {}).get("workingSetBytes", 0) / 2**20,
            "millicores": pod.get("cpu", {}).get("usageNanoCores", 0) / 1e6,
        }
        if not used["memoryMiB"]:
            continue  # it has ended: a Job of long ago
        name = pod["podRef"]["namespace"]
        found[name] = together({"before": found.get(name, {}), "this": used})
    return found


def together(parts: dict[str, dict[str, float]]) -> dict[str, float]:
    """Return the sum of what several use."""
    return {name: sum(part.get(name, 0.0) for part in parts.values()) for name in ("pods", "memoryMiB", "millicores")}


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "source": str(toolchain.current_source()),
        "loadBefore": round(os.getloadavg()[2], 2),
    }


def measure_running(stack: str, idle: float) -> dict[str, Any]:
    """Read what a platform that runs uses while nobody asks."""
    found: dict[str, Any] = {"machine": machine()}
    with tempfile.TemporaryDirectory() as name:
        found["idle"] = measure_idle(stack, Path(name), idle)
    found["machine"]["loadAfter"] = round(os.getloadavg()[2], 2)
    return found


def measure(stack: str, idle: float) -> dict[str, Any]:
    """Measure all of it."""
    found: dict[str, Any] = {"machine": machine()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found["empty"] = measure_empty(stack, idle)
        found["up"] = measure_up(stack, folder)
        found["noOp"] = measure_no_op(stack, folder)
        found["loop"] = measure_loop(stack)
        found["idle"] = measure_idle(stack, folder, idle)
    found["machine"]["loadAfter"] = round(os.getloadavg()[2], 2)
    floor = found["empty"]["createSeconds"] + found["empty"]["loadSeconds"] + found["up"]["slowestReadiness"]
    found["ratios"] = {
        "P1 warm up / (kind create + image load + slowest readiness)": found["up"]["seconds"] / floor,
        "P2 no-op up, seconds per resource over an empty program": found["noOp"]["secondsPerResource"],
        "P4 loop / user code": found["loop"]["seconds"] / found["loop"]["userCodeSeconds"],
        "P10 idle memory over an empty node, MiB": found["idle"]["memoryMiB"] - found["empty"]["memoryMiB"],
        "P10 idle cores over an empty node": found["idle"]["cores"] - found["empty"]["cores"],
        "P10 idle memory of the parts that watch, MiB": found["idle"]["watching"]["memoryMiB"],
    }
    return found


def show(found: dict[str, Any]) -> None:
    """Print the figures, then the ratios."""
    for part in [name for name in found if name not in {"idle", "ratios"}]:
        said = {key: round(value, 2) if isinstance(value, float) else value for key, value in found[part].items()}
        print(part, said)
    print("idle", {key: round(found["idle"][key], 3) for key in ("memoryMiB", "cores")})
    show_namespaces(found["idle"])
    for name, value in found.get("ratios", {}).items():
        print(f"{name}: {value:.3f}")


def show_namespaces(idle: dict[str, Any]) -> None:
    """Print the table of benchmarks/README.md: the parts that watch models first, then the rest."""
    print("\n| namespace | pods | MiB | millicores |")
    print("|---|---|---|---|")
    rest = {name: used for name, used in idle["namespaces"].items() if name not in WATCHING}
    watching = {name: idle["namespaces"][name] for name in WATCHING if name in idle["namespaces"]}
    for name, used in (
        *watching.items(),
        (f"**{len(watching)} that watch models**", idle["watching"]),
        *sorted(rest.items()),
        ("**the rest**", together(rest)),
    ):
        print(f"| {name} | {used['pods']:.0f} | {used['memoryMiB']:.0f} | {used['millicores']:.1f} |")
    print()


def main() -> None:
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stack", default="ci")
    parser.add_argument("--idle-minutes", type=float, default=3)
    parser.add_argument("--json", type=Path, help="also write the raw figures to this file")
    parser.add_argument("--running", action="store_true", help="only read what a platform that runs uses while idle")
    options = parser.parse_args()
    found = (measure_running if options.running else measure)(options.stack, options.idle_minutes * 60)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    show(found)
    if not options.running:
        timed([MLOPS, "down", "--stack", options.stack])


if __name__ == "__main__":
    main()
