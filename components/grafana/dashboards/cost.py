"""What the platform costs, and what for.

Prices are series that `components/grafana/rules.py` records from the order form: a panel is the same text wherever it
is drawn, and a price that changes does not change the past.
"""

from __future__ import annotations

from components.grafana.dashboards.definition import Dashboard, Kind, Panel, Query, Row, Unit, one

__all__ = ["CORE_HOUR", "DASHBOARD", "GIB_HOUR"]

CORE_HOUR = "price:core_hour:order_form"
GIB_HOUR = "price:gib_hour:order_form"

RUNNING = 'on (namespace, pod) group_left () max by (namespace, pod) (kube_pod_status_phase{phase="Running"} == 1)'
"""Keeps the pods that hold what they asked for; one that is done still has its requests in the metrics."""

NAMESPACE = "{{namespace}}"
PRICED = f"{NAMESPACE} ({{{{currency}}}})"


def asked(kind: str, resource: str) -> str:
    """Return the PromQL for requests or limits by pod: cores, or bytes."""
    return f'sum by (namespace, pod) (kube_pod_container_resource_{kind}{{resource="{resource}"}}) * {RUNNING}'


CPU = "sum by (namespace, pod) (rate(container_cpu_usage_seconds_total[5m]))"
MEMORY = "sum by (namespace, pod) (container_memory_working_set_bytes)"


def priced(cores: str, size: str, by: str = "namespace") -> str:
    """Return the PromQL for the price of an hour of `cores` and of `size` bytes, both by pod."""

    def part(amount: str, price: str) -> str:
        return f"sum by ({by}) ({amount}) * on () group_left (currency) {price}"

    return f"{part(cores, CORE_HOUR)} + {part(f'({size}) / 2^30', GIB_HOUR)}"


RESERVED = priced(asked("requests", "cpu"), asked("requests", "memory"))
USED = priced(CPU, MEMORY)
AT_MOST = priced(asked("limits", "cpu"), asked("limits", "memory"))


def total(expression: str) -> str:
    """Return the sum over namespaces."""
    return f"sum by (currency) ({expression})"


MODEL_OF_POD = " * on (namespace, pod) group_left (model_name) max by (namespace, pod, model_name) (model_info)"
SERVED = priced(
    f"({asked('requests', 'cpu')}){MODEL_OF_POD}", f"({asked('requests', 'memory')}){MODEL_OF_POD}", "model_name"
)
ANSWERED = 'sum by (model_name) (rate(model_request_seconds_count{outcome="answered"}[1h]))'

MONEY = Row(
    "Money",
    (
        Panel(
            "Prices in use",
            "What the order form says a core and a GiB of memory cost for an hour (`grafana.prices`). They are"
            " assumptions until somebody puts in what is really paid.",
            Kind.STAT,
            Unit.SCORE,
            (
                Query(f"max by (currency) ({CORE_HOUR})", "{{currency}} per core-hour"),
                Query(f"max by (currency) ({GIB_HOUR})", "{{currency}} per GiB-hour"),
            ),
        ),
        Panel(
            "Reserved, per hour",
            "Requests of all running pods at these prices: what nobody else can use. Volumes, traffic, the nodes' empty"
            " room and the control plane are not in it.",
            Kind.STAT,
            Unit.SCORE,
            one(total(RESERVED), "{{currency}} per hour"),
        ),
        Panel(
            "Used, per hour",
            "What is really used, at the same prices. More than reserved means that the platform lives on room that it"
            " has not asked for.",
            Kind.STAT,
            Unit.SCORE,
            one(total(USED), "{{currency}} per hour"),
        ),
        Panel(
            "30 days as now",
            "Reserved per hour times 720: a projection of this minute, not a bill.",
            Kind.STAT,
            Unit.SCORE,
            one(f"720 * {total(RESERVED)}", "{{currency}}"),
        ),
        Panel(
            "Reserved by namespace, per hour",
            "Which part of the platform holds what.",
            Kind.LINES,
            Unit.SCORE,
            one(RESERVED, PRICED),
        ),
        Panel(
            "Used by namespace, per hour",
            "Which part of the platform uses what.",
            Kind.LINES,
            Unit.SCORE,
            one(USED, PRICED),
        ),
        Panel(
            "At most, per hour",
            "Limits of all running pods at these prices: what the platform costs if everything takes all that it may.",
            Kind.BARS,
            Unit.SCORE,
            one(AT_MOST, PRICED),
        ),
        Panel(
            "A thousand predictions",
            "What the servers of a model reserve in an hour, divided by what they answered in the last hour. Nothing is"
            " shown for a model that nobody asked.",
            Kind.BARS,
            Unit.SCORE,
            one(
                f"1000 * sum by (model_name, currency) ({SERVED})"
                f" / on (model_name) group_left () (({ANSWERED} > 0) * 3600)",
                "{{model_name}} ({{currency}})",
            ),
        ),
    ),
)

RESOURCES = Row(
    "Resources",
    (
        Panel(
            "CPU used of what is reserved",
            "Below 100 % is paid for and idle; far above, requests are too small and the nodes are fuller than the"
            " scheduler believes.",
            Kind.BARS,
            Unit.RATIO,
            one(
                f"sum by (namespace) ({CPU}) / sum by (namespace) ({asked('requests', 'cpu')})",
                NAMESPACE,
            ),
        ),
        Panel(
            "Memory used of what is reserved",
            "Far above 100 % a pod is among the first to go when the node runs out of memory.",
            Kind.BARS,
            Unit.RATIO,
            one(
                f"sum by (namespace) ({MEMORY}) / sum by (namespace) ({asked('requests', 'memory')})",
                NAMESPACE,
            ),
        ),
        Panel(
            "Cores",
            "Used, reserved and allowed cores of the whole cluster.",
            Kind.LINES,
            Unit.CORES,
            (
                Query(f"sum({CPU})", "used"),
                Query(f"sum({asked('requests', 'cpu')})", "reserved"),
                Query(f"sum({asked('limits', 'cpu')})", "at most"),
            ),
        ),
        Panel(
            "Memory",
            "Used, reserved and allowed memory of the whole cluster.",
            Kind.LINES,
            Unit.BYTES,
            (
                Query(f"sum({MEMORY})", "used"),
                Query(f"sum({asked('requests', 'memory')})", "reserved"),
                Query(f"sum({asked('limits', 'memory')})", "at most"),
            ),
        ),
    ),
)

DASHBOARD = Dashboard("cost", "Cost", "What does the platform cost, and what for?", (MONEY, RESOURCES))
