"""Measure the auditor: probes, overhead, growth, reports, freshness, memory, and the same rules in Open Policy Agent.

    python benchmarks/auditor.py [--json FILE] [--without-opa]

Takes about ten minutes and needs no cluster. Every ratio is taken in one run. benchmarks/README.md explains each line.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import json
import math
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
WORKERS = 32
DELAY = 0.02
"""Seconds that the backend takes for an answer."""


def specification(measurements: int) -> str:
    """Return a document with so many leaves, ten to a metric and fifty to a requirement."""
    comparisons = [
        ("numeric", "LessThan", 10.0),
        ("numeric", "GreaterThanOrEqual", 1.0),
        ("string", "EqualTo", "OK"),
        ("numeric", "InRange", {"min": 0.8, "max": 1.25}),
    ]

    def leaf(number: int) -> dict[str, Any]:
        type_, comparison, target = comparisons[number % 4]
        interface = {"kind": "rest", "connection": "backend", "path": f"/value/{number}", "pointer": "/value"}
        rest = {"dataType": type_, "comparison": comparison, "target": target}
        return {"id": f"m{number}", "interface": interface, **rest}

    def requirement(start: int) -> dict[str, Any]:
        ends = range(start, min(start + 50, measurements), 10)
        metrics = [
            {"id": f"k{at}", "measurements": [leaf(n) for n in range(at, min(at + 10, measurements))]} for at in ends
        ]
        return {"id": f"r{start}", "severity": "high", "metrics": metrics}

    dimensions = [{"id": "all", "requirements": [requirement(start) for start in range(0, measurements, 50)]}]
    body: dict[str, Any] = {
        "id": "benchmark",
        "version": 1,
        "mode": "self-assessment",
        "subject": {"name": "benchmark"},
    }
    body["parties"] = [{"id": "provider", "role": "auditee"}]
    return json.dumps({"conformitySpecification": {**body, "frequency": "P1D", "dimensions": dimensions}})


def value(number: int) -> Any:
    """Return the value that satisfies leaf `number`."""
    return [5.0, 2.0, "OK", 1.0][number % 4]


class Instant:
    """The `rest` interface without a network: what is left is the engine."""

    from cabc.document.interfaces import RestInterface as spec  # noqa: N813 (an attribute of the plugin protocol)

    kind = "rest"
    connection = None

    async def retrieve(self, spec: Any, connection: Any, subject: Any) -> Any:  # noqa: ARG002 (the protocol's)
        from cabc.interfaces.base import Retrieved

        number = int(spec.path.rsplit("/", 1)[1])
        return Retrieved(json.dumps({"value": value(number), "n": number}).encode(), "application/json", spec.path)

    def extract(self, spec: Any, body: bytes, media_type: str, details: Mapping[str, str]) -> Any:
        from cabc.interfaces.registry import plugin

        return plugin("rest")().extract(spec, body, media_type, details)

    async def close(self) -> None:
        """Hold nothing."""


def auditor(folder: Path, url: str | None) -> tuple[Any, Any]:
    """Return an auditor and its record in a folder; with the instant plugin when there is no address."""
    from cabc.engine.auditor import Auditor
    from cabc.home import Home, Settings

    home = Home(folder, Settings(workers=WORKERS))
    address = url or "http://127.0.0.1:9"
    home.connections.write_text(
        json.dumps(
            {
                "connections": {
                    "backend": {"kind": "rest", "url": address, "network": "loopback", "maxConcurrent": WORKERS}
                }
            }
        )
    )
    record = home.record()
    plugins = {} if url else {"plugins": lambda _kind: Instant}
    return Auditor(home, record, home.read_connections(), **plugins), record


def trigger() -> Any:
    """Return a trigger for everything."""
    from cabc.engine.auditor import new_id
    from cabc.record.types import Trigger

    now = dt.datetime.now(dt.UTC)
    return Trigger(id=new_id("t", now), kind="manual", source="benchmark", subject="benchmark", received=now)


def part_audit(measurements: int, url: str | None) -> dict[str, float]:
    """Load, audit and record once; seconds of each, and memory."""
    from cabc.document.source import Limits
    from cabc.loading import load

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "specification.json"
        file.write_text(specification(measurements))
        started = time.perf_counter()
        document = load(file, limits=Limits(size=100_000_000, nodes=10_000_000, seconds=300))
        loaded = time.perf_counter()
        running, record = auditor(folder, url)
        begun, used = time.perf_counter(), time.process_time()
        result = asyncio.run(running.run(document, trigger()))
        ended, spent = time.perf_counter(), time.process_time() - used
        (assessed,) = result.assessed
        if assessed.assessment.verdict != "satisfied":
            sys.exit(f"not satisfied: {assessed.findings[0].reason}")
        judging = _judge(document, record, assessed.assessment.collection)
        record.close()
    return {
        "load": loaded - started,
        "run": ended - begun,
        "cpu": spent,
        "assess": judging,
        "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _judge(document: Any, record: Any, collection: str) -> float:
    """Judge a collection from its evidence alone, as a run and `cabc verify` do; return the seconds that took."""
    from cabc.engine.assess import assess
    from cabc.engine.history import context_for

    stored = record.collection(collection)
    bodies = {leaf.value.digest: record.evidence_body(leaf.value.digest) for leaf in stored.leaves}
    started = time.perf_counter()
    context = context_for(record, document, stored, dt.datetime.now(dt.UTC))
    assess(document, stored, bodies.get, context)
    return time.perf_counter() - started


def part_report(runs: int) -> dict[str, float]:
    """Seconds of a report over a small document after so many runs."""
    from cabc.document.source import Limits
    from cabc.loading import load
    from cabc.report.formats import render
    from cabc.report.view import view

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "specification.json"
        file.write_text(specification(20))
        document = load(file, limits=Limits(size=100_000_000, nodes=10_000_000, seconds=300))
        running, record = auditor(folder, None)

        async def history() -> None:
            for _ in range(runs):
                await running.run(document, trigger())

        asyncio.run(history())
        (latest,) = record.assessments("benchmark", limit=1)
        times = []
        for _ in range(5):
            started = time.perf_counter()
            render(view(record, latest.id, reader="auditor"), "html")
            times.append(time.perf_counter() - started)
        record.close()
    return {"report": statistics.median(times)}


async def backend() -> None:
    """Answer every GET after the delay, over connections that stay open; prints the port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            while (await reader.readline()).strip():
                pass
            await asyncio.sleep(DELAY)
            number = int(line.split()[1].rsplit(b"/", 1)[1])
            body = json.dumps({"value": value(number), "n": number}).encode()
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def child(*args: str) -> dict[str, float]:
    """Run a part in a process of its own."""
    done = subprocess.run([sys.executable, str(HERE), *args], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(args)}: {done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def best(times: int, *args: str) -> dict[str, float]:
    """Run a part several times and keep the least of each figure."""
    runs = [child(*args) for _ in range(times)]
    return {key: min(run[key] for run in runs) for key in runs[0]}


def opa_seconds(binary: Path, folder: Path, measurements: int) -> float:
    """Return the seconds of one evaluation of the same rules, by `opa bench`."""
    raw = json.loads(specification(measurements))
    rules: dict[str, Any] = {}
    for requirement in raw["conformitySpecification"]["dimensions"][0]["requirements"]:
        for metric in requirement["metrics"]:
            for each in metric["measurements"]:
                rules[each["id"]] = {"comparison": each["comparison"], "target": each["target"]}
    (folder / "data.json").write_text(json.dumps({"rules": rules}))
    (folder / "input.json").write_text(json.dumps({"values": {f"m{n}": value(n) for n in range(measurements)}}))
    policy = HERE.parent / "opa" / "measurements.rego"
    command = [str(binary), "bench", "-d", str(policy), "-d", str(folder / "data.json"), "--format", "json"]
    done = subprocess.run(
        [*command, "-i", str(folder / "input.json"), "data.cabc.findings"], capture_output=True, check=True
    )
    found = json.loads(done.stdout)
    return float(found["T"]) / float(found["N"]) / 1e9


def opa_binary() -> Path:
    """Build Open Policy Agent from its locked Go module, once, with the platform's Go."""
    from components._core import paths
    from mlops.toolchain import golang

    binary = paths.cache("benchmarks", "opa")
    if not binary.exists():
        binary.parent.mkdir(parents=True, exist_ok=True)
        command = [
            str(golang.install_go()),
            "build",
            "-trimpath",
            "-o",
            str(binary),
            "github.com/open-policy-agent/opa",
        ]
        subprocess.run(command, cwd=HERE.parent / "opa", env={**os.environ, **golang.environment()}, check=True)
    return binary


def measure(*, opa: bool) -> dict[str, Any]:
    """Run everything."""
    found: dict[str, Any] = {
        "when": dt.datetime.now(dt.UTC).isoformat(timespec="minutes"),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        "loadAtStart": os.getloadavg()[0],
    }
    server = subprocess.Popen([sys.executable, str(HERE), "--backend"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None  # noqa: S101 (a pipe was asked for)
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        probes = best(3, "--part", "audit", "--size", "1000", "--url", url)
    finally:
        server.terminate()
        server.wait()
    found["probes1000"] = {"seconds": probes["run"], "ratio": probes["run"] / (1000 * DELAY / WORKERS)}
    sizes = {size: best(3 if size < SIZES[-1] else 1, "--part", "audit", "--size", str(size)) for size in SIZES}
    middle = sizes[10_000]
    found["overhead10000"] = {
        "readAndValidateSeconds": middle["load"],
        "assessSeconds": middle["assess"],
        "collectAssessRecordSeconds": middle["run"],
        "auditOverReading": (middle["load"] + middle["assess"]) / middle["load"],
    }
    growth = math.log(sizes[SIZES[-1]]["cpu"] / sizes[SIZES[0]]["cpu"]) / math.log(SIZES[-1] / SIZES[0])
    found["growth"] = {"exponent": growth, "cpuSeconds": {size: run["cpu"] for size, run in sizes.items()}}
    found["memoryMiB"] = {size: run["rss"] for size, run in sizes.items()}
    few, many = child("--part", "report", "--size", "10"), child("--part", "report", "--size", "10000")
    found["report"] = {"seconds": many["report"], "after10000over10": many["report"] / few["report"]}
    found["help"] = {"seconds": min(_help() for _ in range(5))}
    if opa:
        with tempfile.TemporaryDirectory() as name:
            seconds = opa_seconds(opa_binary(), Path(name), 10_000)
        found["opa10000"] = {"seconds": seconds, "assessOverOpa": middle["assess"] / seconds}
    return found


SIZES = (1000, 10_000, 100_000)


def _help() -> float:
    started = time.perf_counter()
    subprocess.run([str(Path(sys.executable).with_name("cabc")), "--help"], capture_output=True, check=True)
    return time.perf_counter() - started


def main() -> None:
    """Measure, print, and keep the figures when asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--without-opa", action="store_true")
    parser.add_argument("--part", choices=["audit", "report"], help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--backend", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.backend:
        asyncio.run(backend())
    elif asked.part == "audit":
        print(json.dumps(part_audit(asked.size, asked.url)))
    elif asked.part == "report":
        print(json.dumps(part_report(asked.size)))
    else:
        found = measure(opa=not asked.without_opa)
        print(json.dumps(found, indent=2))
        if asked.json:
            asked.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
