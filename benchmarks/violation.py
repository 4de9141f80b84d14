"""Measure how soon a violation is in a model's published conformity status, on a running platform.

    python benchmarks/violation.py [--stack local] [--rounds 3] [--json FILE]

A pod of this script's own, in a namespace of its own, shows the series that the model monitor would show of the served
version, and at a known instant says that all features have drifted. Everything after that is the platform's: Prometheus
reads it, its rules evaluate, Alertmanager tells the auditor, which assesses and publishes. What was made is removed at
the end, also after Ctrl-C, and the status has to be what it was. Takes about five minutes.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import random
import re
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from components._core.component import PART_OF
from components._core.workload import USER
from mlops import engine
from mlops.loop import places, waiting
from mlops.loop.auditor import Auditor
from mlops.loop.cluster import Cluster

T = TypeVar("T")

NAMESPACE = "bench-violation"

URL = f"http://shown.{NAMESPACE}.svc.cluster.local:8080"

MONITORS = "/apis/monitoring.coreos.com/v1"

SUBJECT = "loan-approval"

REQUIREMENT = "accuracy-robustness-security/robust"
"""Of the example's specification: below the severity that suspends, so that no gate takes the version away."""

SERIES = "model_drift_share"
"""What the requirement's leaf and the platform's alert both read."""

WORK = 10.0
"""Seconds that all else may take: telling, collecting, judging, publishing."""

READ_SECONDS = 300.0
"""Within this time Prometheus reads a new pod: its configuration is a file that the kubelet brings, by the minute."""

VISIBLE_SECONDS = 180.0
BACK_SECONDS = 240.0

SHOWN = """
import http.server, json, time
page = ""
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(page)
    def do_POST(self):
        global page
        page = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.answer(json.dumps(time.time()))
    def answer(self, text):
        self.send_response(200)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(text.encode())
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
"""
"""Shows a page of metrics, and takes another one; answers when it took it, by the clock of its node."""


def say(text: str) -> None:
    """Tell what is being done, with the load on the machine."""
    print(f"{dt.datetime.now(dt.UTC):%H:%M:%S} [load {os.getloadavg()[0]:.1f}] {text}", file=sys.stderr, flush=True)


def seconds(duration: str) -> float:
    """Return a duration of Prometheus, `1m30s`, in seconds."""
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
    parts = re.findall(r"(\d+)(ms|[smhd])", duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        msg = f"{duration!r} is no duration"
        raise ValueError(msg)
    return float(sum(int(number) * units[unit] for number, unit in parts))


def first(samples: Iterable[tuple[float, float]], since: float, holds: Callable[[float], bool]) -> float | None:
    """Return the time of the first sample from an instant on whose value holds."""
    return min((at for at, value in samples if at >= since and holds(value)), default=None)


def spans(instants: Mapping[str, float | None], began: float) -> dict[str, float]:
    """Return how long each step took after the one before that is known; instants are in the order of the steps."""
    found, last = {}, began
    for name, at in instants.items():
        if at is not None:
            # Clocks and stamps of several programs: a step is never shorter than nothing.
            found[name], last = max(0.0, at - last), max(at, last)
    return found


@dataclass(frozen=True)
class Configured:
    """What the live configuration says about the way of a violation."""

    scrape: float
    evaluation: float
    wait: float
    """Least time that an alert on the series has to hold before anybody is told."""

    alert: str
    group_wait: float
    severities: str

    @property
    def allowed(self) -> float:
        """One scrape, one evaluation, and the work."""
        return self.scrape + self.evaluation + WORK


class Platform:
    """The running platform, asked through its API server."""

    def __init__(self, stack: str) -> None:
        self.cluster = Cluster(engine.kubeconfig(stack))
        found = places.find(self.cluster)
        if not (found.prometheus and found.alerts and found.auditor and found.monitor):
            sys.exit(f"stack {stack} lacks the metrics store, the model monitor or the auditor")
        self.prometheus, self.image = found.prometheus, found.image
        self._url = found.auditor
        self.auditor = Auditor(self.cluster, found.auditor, found.auditor_collect)

    def api(self, method: str, **query: str) -> Any:
        """Return what an endpoint of Prometheus says."""
        answer = self.cluster.ask(self.prometheus, f"/api/v1/{method}", query=query)
        if not answer.good:
            sys.exit(f"Prometheus answers HTTP {answer.status}: {answer.text[:200]}")
        return answer.json()["data"]

    def samples(self, selector: str) -> list[tuple[float, float]]:
        """Return time and value of all samples of the last minutes."""
        found = self.api("query", query=f"{selector}[10m]")["result"]
        return sorted((at, float(value)) for series in found for at, value in series["values"])

    def published(self) -> dict[str, Any]:
        """Return what anybody may read of the subject's status."""
        answer = self.cluster.ask(self._url, f"/api/v1/published/{SUBJECT}")
        return dict(answer.json()) if answer.good else {}

    def subject(self) -> dict[str, Any]:
        """Return what the auditor says of the model to those who may ask."""
        found = self.auditor.subject(SUBJECT)
        if not found or not found.get("version"):
            sys.exit(f"the auditor has no served version of {SUBJECT}")
        return found

    def acts_on_conditional(self) -> bool:
        """Whether a gate would roll the model back because of what this script does."""
        found = self.cluster.get("/apis/apps/v1/namespaces/conformity-gate/deployments/conformity-gate")
        variables = found["spec"]["template"]["spec"]["containers"][0]["env"] if found else []
        return {"name": "GATE_ALLOW_CONDITIONAL", "value": "false"} in variables

    def configured(self) -> Configured:
        """Read intervals, rules and route."""
        (monitor,) = self.cluster.items(f"{MONITORS}/namespaces/model-monitor/servicemonitors")
        (prometheus,) = self.cluster.items(f"{MONITORS}/prometheuses")
        every = prometheus["spec"]["scrapeInterval"]
        route = self.cluster.get("/apis/monitoring.coreos.com/v1alpha1/alertmanagerconfigs") or {"items": []}
        ours = next(each for each in route["items"] if each["metadata"]["name"] == "cabc-auditor")["spec"]["route"]
        severities = next((each["value"] for each in ours["matchers"] if each["name"] == "severity"), ".*")
        rules = [
            (rule["duration"], group["interval"], rule["name"])
            for group in self.api("rules", type="alert")["groups"]
            for rule in group["rules"]
            if SERIES in rule["query"] and re.fullmatch(severities, rule["labels"]["severity"])
        ]
        if not rules:
            sys.exit(f"no alert on {SERIES} reaches the auditor")
        wait, evaluation, alert = min(rules)
        return Configured(
            scrape=seconds(monitor["spec"]["endpoints"][0].get("interval") or every),
            evaluation=evaluation,
            wait=wait,
            alert=alert,
            group_wait=seconds(ours["groupWait"]),
            severities=severities,
        )


def objects(image: str, interval: float) -> list[tuple[str, dict[str, Any]]]:
    """Return what is made: the collection's path and the object, in order."""
    labels = {**PART_OF, "app.kubernetes.io/name": NAMESPACE}
    metadata = {"name": "shown", "namespace": NAMESPACE, "labels": labels}
    level = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    container = {
        "name": "shown",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", SHOWN],
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/metrics", "port": "http"}, "periodSeconds": 1},
        "resources": {"limits": {"cpu": "200m", "memory": "64Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    pod = {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsNonRoot": True, "runAsUser": USER, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    selector = {"app.kubernetes.io/name": NAMESPACE}
    endpoint = {"port": "http", "interval": f"{interval:.0f}s"}
    core, api = "/api/v1/namespaces", f"{MONITORS}/namespaces/{NAMESPACE}/podmonitors"
    return [
        (
            core,
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": {**labels, **level}}},
        ),
        (f"{core}/{NAMESPACE}/pods", {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod}),
        (
            f"{core}/{NAMESPACE}/services",
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": metadata,
                "spec": {"selector": selector, "ports": [{"port": 8080}]},
            },
        ),
        (
            api,
            {
                "apiVersion": "monitoring.coreos.com/v1",
                "kind": "PodMonitor",
                "metadata": metadata,
                "spec": {"selector": {"matchLabels": selector}, "podMetricsEndpoints": [endpoint]},
            },
        ),
    ]


def awaited(found: Callable[[], T | None], limit: float, what: str, *, pause: float = 1.0) -> T:
    """Return what is waited for; end the script when it does not come."""
    result = waiting.until(found, limit, pause=pause)
    if result is None:
        sys.exit(f"{what}: not within {limit:.0f} s")
    return result


@contextmanager
def shown(platform: Platform, interval: float) -> Iterator[None]:
    """Have the series shown, as good as can be; remove all of it at the end."""
    cluster, path = platform.cluster, f"/api/v1/namespaces/{NAMESPACE}"
    _remove(cluster, path)  # of a run that was killed
    try:
        for collection, manifest in objects(platform.image, interval):
            cluster.create(collection, manifest)
        up = f'up{{namespace="{NAMESPACE}"}} == 1'
        awaited(lambda: platform.api("query", query=up)["result"] or None, READ_SECONDS, "Prometheus reads the pod")
        yield
    finally:
        say("removing what was made")
        _remove(cluster, path)


def _remove(cluster: Cluster, path: str) -> None:
    if cluster.get(path) is None:
        return
    cluster.delete(path)
    awaited(lambda: True if cluster.get(path) is None else None, 120, f"{path} is gone")


def put(platform: Platform, version: str, value: float) -> float:
    """Have the version shown with another value; return since when, by the cluster's clock."""
    answer = platform.cluster.ask(URL, "/", f'{SERIES}{{model="{SUBJECT}",version="{version}"}} {value}\n')
    if not answer.good:
        sys.exit(f"the pod does not take a value: HTTP {answer.status} {answer.text[:200]}")
    return float(answer.text)


def violate(platform: Platform, configured: Configured, before: str) -> dict[str, Any]:
    """Make the violation happen and end; return how long each step took."""
    version = str(platform.subject()["version"])
    put(platform, version, 0.0)
    # Scrapes come at fixed times: a violation may come at any time between two of them.
    time.sleep(configured.scrape * random.uniform(1, 2))  # noqa: S311 (guards nothing)
    at, clock = put(platform, version, 1.0), time.monotonic()

    def visible() -> dict[str, Any] | None:
        found = platform.published()
        return found if found.get("status") not in {before, None} else None

    told = waiting.until(visible, VISIBLE_SECONDS, pause=0.2)
    measured = time.monotonic() - clock
    if (now := platform.subject()["version"]) != version:
        sys.exit(f"version {now} came instead of {version} meanwhile: nobody else may work on the platform")
    if told is None:
        sys.exit(f"the published status says nothing of the violation within {VISIBLE_SECONDS:.0f} s")
    if REQUIREMENT not in (failing := platform.subject()["failingRequirements"]):
        sys.exit(f"the status became {told['status']} because of {failing}")
    (assessment,) = [each for each in platform.auditor.assessments(SUBJECT) if each["id"] == told["assessment"]]
    alert = f'ALERTS{{alertname="{configured.alert}",model="{SUBJECT}",alertstate="firing"}}'
    instants = {
        "scraped": first(platform.samples(f'{SERIES}{{namespace="{NAMESPACE}"}}'), at, lambda value: value == 1.0),
        "alert fires": first(platform.samples(alert), at, bool),
        "auditor told": _instant(assessment["trigger"]["received"]),
        "collecting": _instant(assessment["started"]),
        "collected": _instant(assessment["ended"]),
        "published": _instant(told["published"]),
    }
    back = time.monotonic()
    put(platform, version, 0.0)
    awaited(lambda: platform.published().get("status") == before or None, BACK_SECONDS, f"the status is {before} again")
    return {
        "seconds": measured,
        "status": told["status"],
        "trigger": assessment["trigger"]["source"],
        "steps": spans(instants, at),
        "backSeconds": time.monotonic() - back,
    }


def _instant(text: str) -> float:
    return dt.datetime.fromisoformat(text).timestamp()


def settle(platform: Platform, before: str) -> None:
    """Return when the status is what it was; one that does not come back by itself is asked for."""
    if waiting.until(lambda: platform.published().get("status") == before or None, BACK_SECONDS) is None:
        platform.auditor.ask(SUBJECT)
        awaited(lambda: platform.published().get("status") == before or None, BACK_SECONDS, f"{before} again")


def show(found: dict[str, Any]) -> None:
    """Print the table of benchmarks/README.md."""
    configured, rounds, machine = found["configured"], found["rounds"], found["machine"]
    print(
        f"{machine['date']}, stack {machine['stack']}, {machine['processors']} cores,"
        f" load {machine['loadBefore']} at the beginning and {machine['loadAfter']} at the end\n"
    )
    print("| | " + " | ".join(f"round {number + 1}" for number in range(len(rounds))) + " | allowed |")
    print("|---|" + "---|" * (len(rounds) + 1))
    limits = {
        "scraped": f"{configured['scrape']:.0f} s, the interval",
        "alert fires": f"{configured['evaluation']:.0f} s, the interval"
        + (f", and {configured['wait']:.0f} s that {configured['alert']} waits" if configured["wait"] else ""),
        "auditor told": f"{configured['group_wait']:.0f} s of it wait for the group",
    }
    for name in dict.fromkeys(name for each in rounds for name in each["steps"]):
        cells = (f"{each['steps'][name]:.1f} s" if name in each["steps"] else "" for each in rounds)
        print(f"| {name} after | {' | '.join(cells)} | {limits.get(name, '')} |")
    cells = (f"{each['seconds']:.1f} s" for each in rounds)
    print(
        f"| **status visible** | {' | '.join(cells)} | **{found['allowedSeconds']:.0f} s** ="
        f" {configured['scrape']:.0f} + {configured['evaluation']:.0f} + {WORK:.0f} |"
    )
    print(f"| status as before | {' | '.join(f'''{each['backSeconds']:.0f} s''' for each in rounds)} | |")
    least, most = (select(each["seconds"] for each in rounds) for select in (min, max))
    middle = statistics.median(each["seconds"] for each in rounds)
    verdict = "within" if most <= found["allowedSeconds"] else "beyond"
    print(f"\nvisible after {middle:.1f} s in the median ({least:.1f} to {most:.1f}), {verdict} what is allowed")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stack", default="local")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the raw figures to this file")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was made goes then too
    platform = Platform(options.stack)
    platform.subject()
    before = platform.published().get("status")
    if before != "conformant":
        sys.exit(f"{SUBJECT} is {before}: a violation can only be seen of a model that conforms")
    if platform.acts_on_conditional():
        sys.exit("the conformity gate does not allow a conditional status: it would take the served version away")
    configured = platform.configured()
    machine = {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "stack": options.stack,
        "processors": os.cpu_count(),
        "loadBefore": round(os.getloadavg()[0], 2),
    }
    say(f"{configured}")
    rounds = []
    try:
        with shown(platform, configured.scrape):
            for number in range(options.rounds):
                say(f"violation {number + 1} of {options.rounds}")
                rounds.append(violate(platform, configured, before))
                say(f"visible after {rounds[-1]['seconds']:.1f} s, back after {rounds[-1]['backSeconds']:.1f} s")
    finally:
        settle(platform, before)
    machine["loadAfter"] = round(os.getloadavg()[0], 2)
    found = {
        "machine": machine,
        "configured": vars(configured),
        "allowedSeconds": configured.allowed,
        "rounds": rounds,
    }
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    show(found)


if __name__ == "__main__":
    main()
