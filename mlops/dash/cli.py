"""`mlops dash`: the command."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from components.grafana.dashboards import DASHBOARDS
from components.grafana.dashboards.definition import Dashboard
from mlops import console
from mlops.dash import prometheus, terminal
from mlops.dash.prometheus import Prometheus
from mlops.dash.reading import Page, Period, Reading, read
from mlops.errors import OperationError, UsageError

__all__ = ["app", "dash"]

app = typer.Typer()

PAUSE = 10
"""Seconds between two looks."""

_UNITS = {"m": 60, "h": 3600, "d": 86400}


@app.command()
def dash(
    name: Annotated[
        str | None, typer.Argument(help=f"One of {', '.join(DASHBOARDS)}; without, what is amiss in all.")
    ] = None,
    *,
    stack: Annotated[str, typer.Option("--stack", "-s", help="Stack whose cluster is asked.")] = "local",
    kubeconfig: Annotated[
        Path | None, typer.Option(envvar="MLOPS_KUBECONFIG", help="Ask this cluster instead of the stack's.")
    ] = None,
    url: Annotated[str | None, typer.Option(help="Ask the Prometheus at this address instead of a cluster's.")] = None,
    since: Annotated[str, typer.Option(help="How far back: 30m, 1h, 7d.")] = "1h",
    html: Annotated[Path | None, typer.Option(help="Write one page with plots to this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print every series as JSON.")] = False,
    watch: Annotated[bool, typer.Option(help=f"Look again every {PAUSE} seconds, until Ctrl-C.")] = False,
) -> None:
    """Show the dashboards from the platform's own Prometheus; Grafana need not be there."""
    if name is not None and name not in DASHBOARDS:
        msg = f"there is no dashboard {name!r}"
        raise UsageError(msg, fix=f"dashboards are {', '.join(DASHBOARDS)}")
    if sum((html is not None, as_json, watch)) > 1:
        raise UsageError("--html, --json and --watch are three ways to show the same", fix="give one of them")
    seconds = _seconds(since)
    chosen = list(DASHBOARDS.values()) if name is None else [DASHBOARDS[name]]
    source = prometheus.at(url) if url else prometheus.in_cluster(_cluster(stack, kubeconfig))
    if html is not None:
        _write(html, source, chosen, seconds)
    elif as_json:
        pages, period = _look(source, chosen, seconds)
        sys.stdout.write(f"{json.dumps(_plain(source, pages, period), indent=1)}\n")
    else:
        while True:
            pages, period = _look(source, chosen, seconds)
            if watch and console.out.is_terminal:
                console.out.clear()
            terminal.show(terminal.overview(pages, period) if name is None else terminal.drawn(pages[0], period))
            if not watch:
                break
            time.sleep(PAUSE)


def _look(source: Prometheus, chosen: list[Dashboard], seconds: int) -> tuple[list[Page], Period]:
    now = time.time()
    period = Period(now - seconds, now)
    return [read(source, dashboard, period) for dashboard in chosen], period


def _write(file: Path, source: Prometheus, chosen: list[Dashboard], seconds: int) -> None:
    from mlops.dash.page import page

    pages, period = _look(source, chosen, seconds)
    try:
        file.write_text(page(pages, period, source.name), encoding="utf-8")
    except OSError as error:
        msg = f"--html {file} cannot be written: {error.strerror}"
        raise UsageError(msg, fix="name a file in a folder that is there") from error
    empty = sum(reading.missing is not None for each in pages for reading in each.readings())
    panels = sum(1 for each in pages for _ in each.readings())
    console.err.print(f"[green]{console.OK}[/] {file}: {panels} panels, {empty} of them without data")


def _seconds(text: str) -> int:
    match = re.fullmatch(r"([1-9]\d{0,4})([mhd])", text)
    if match is None:
        msg = f"--since {text} is no time"
        raise UsageError(msg, fix="give a number and m, h or d: 30m, 1h, 7d")
    return int(match[1]) * _UNITS[match[2]]


def _cluster(stack: str, file: Path | None) -> Any:
    from mlops import engine
    from mlops.loop.cluster import Cluster

    if file is None:
        return Cluster(engine.kubeconfig(stack))
    try:
        return Cluster(file.expanduser().read_text())
    except OSError as error:
        msg = f"--kubeconfig {file} cannot be read: {error.strerror}"
        raise OperationError(msg) from error


def _plain(source: Prometheus, pages: list[Page], period: Period) -> dict[str, Any]:
    return {
        "prometheus": source.name,
        "start": period.start,
        "end": period.end,
        "step": period.step,
        "dashboards": [
            {
                "name": page.dashboard.name,
                "title": page.dashboard.title,
                "rows": [
                    {"title": title, "panels": [_panel(reading) for reading in readings]}
                    for title, readings in page.rows
                ],
            }
            for page in pages
        ],
    }


def _panel(reading: Reading) -> dict[str, Any]:
    panel = reading.panel
    return {
        "title": panel.title,
        "description": panel.description,
        "kind": panel.kind,
        "unit": panel.unit,
        "queries": [query.expression for query in panel.queries],
        "level": reading.level,
        "missing": reading.missing,
        "series": [
            {
                "name": series.name,
                "labels": dict(series.labels),
                "last": series.last,
                "level": series.level,
                "points": [list(point) for point in series.points],
            }
            for series in reading.series
        ],
    }
