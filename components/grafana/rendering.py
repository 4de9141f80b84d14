"""Dashboards as Grafana reads them."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as values
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from components.grafana.dashboards.definition import Dashboard, Kind, Level, Panel, Thresholds, Unit

__all__ = ["ALERTS", "METRICS", "render"]

METRICS, ALERTS = "prometheus", "alertmanager"
"""Ids of the datasources."""

TAG = "oss-mlops-platform"

COLOURS = {Level.GOOD: "green", Level.WARN: "orange", Level.BAD: "red"}

WIDTH = 24
"""Columns of Grafana's grid."""

SIZES = {Kind.STAT: (6, 4)}
"""How many fit side by side, and their height; of any other kind it is OTHERS."""

OTHERS = (2, 8)


def render(page: Dashboard) -> str:
    """Return a dashboard as JSON, the same text for the same definition."""
    built = (
        dashboard.Dashboard(page.title)
        .uid(f"mlops-{page.name}")
        .description(page.description)
        .tags([TAG])
        .readonly()
        .time("now-1h", "now")
        .refresh("30s")
        .timezone("browser")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        # Narrows every panel to a model, a namespace, a version: whatever label somebody picks.
        .with_variable(dashboard.AdHocVariable("filter").label("Filter").datasource(_source()))
        .link(
            dashboard.DashboardLink("Dashboards")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(as_dropdown=True)
            .keep_time(keep_time=True)
        )
    )
    for row in page.rows:
        built = built.with_row(dashboard.Row(row.title))
        for panel, width, height in _places(row.panels):
            built = built.with_panel(_panel(panel).span(width).height(height))
    found = built.build()
    for number, made in enumerate(found.panels or [], 1):
        made.id_val = number
    return json.dumps(found, cls=JSONEncoder, sort_keys=True, indent=1)


def _places(panels: Sequence[Panel]) -> Iterator[tuple[Panel, int, int]]:
    """Give each panel its width and height, so that every line of panels is as wide as the page."""
    for is_stat, group in itertools.groupby(panels, lambda panel: panel.kind is Kind.STAT):
        most, height = SIZES[Kind.STAT] if is_stat else OTHERS
        waiting = list(group)
        lines = math.ceil(len(waiting) / most)
        while waiting:
            count = math.ceil(len(waiting) / lines)
            line, waiting, lines = waiting[:count], waiting[count:], lines - 1
            for place, panel in enumerate(line):
                last = place == count - 1
                yield panel, WIDTH - place * (WIDTH // count) if last else WIDTH // count, height


def _source() -> values.DataSourceRef:
    return values.DataSourceRef(type_val="prometheus", uid=METRICS)


def _panel(panel: Panel) -> Any:
    """Return the builder of a panel."""
    builder = _drawing(panel)
    builder = builder.title(panel.title).description(panel.description).unit(panel.unit).datasource(_source())
    builder = builder.thresholds(_thresholds(panel.thresholds))
    if panel.unit is Unit.SCORE:
        builder = builder.decimals(3)
    if panel.words:
        builder = builder.mappings([_mapping(panel)])
    elif panel.thresholds is None:
        builder = builder.color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.PALETTE_CLASSIC))
    for letter, query in zip("ABCDEFGH", panel.queries, strict=False):
        # Grafana takes an empty legend for none and writes out all labels.
        target = prometheus.Dataquery().expr(query.expression).legend_format(query.legend or panel.title).ref_id(letter)
        target = target.range() if panel.kind in {Kind.STAT, Kind.LINES} else target.instant()
        builder = builder.with_target(target.format(PromQueryFormat.TABLE) if panel.kind is Kind.TABLE else target)
    return builder


def _drawing(panel: Panel) -> Any:
    """Return the builder of a panel's kind, with how it looks."""
    latest = common.ReduceDataOptions().calcs(["last"])  # not the last that was: what is gone is gone
    match panel.kind:
        case Kind.STAT:
            number = stat.Panel().reduce_options(latest).graph_mode(values.BigValueGraphMode.AREA)
            return number.color_mode(values.BigValueColorMode.VALUE)
        case Kind.LINES:
            lines = timeseries.Panel().fill_opacity(8).legend(_legend()).tooltip(_tooltip())
            style = values.GraphThresholdsStyleMode.DASHED if panel.thresholds else values.GraphThresholdsStyleMode.OFF
            return lines.thresholds_style(common.GraphThresholdsStyleConfig().mode(style))
        case Kind.BARS:
            bars = bargauge.Panel().reduce_options(latest).orientation(values.VizOrientation.HORIZONTAL)
            return bars.display_mode(values.BarGaugeDisplayMode.BASIC).min(0)
        case Kind.TABLE:
            one = table.Panel().with_transformation(models.DataTransformerConfig(id_val="merge", options={}))
            hide = models.DataTransformerConfig(id_val="organize", options={"excludeByName": {"Time": True}})
            return one.with_transformation(hide)


def _legend() -> common.VizLegendOptions:
    found = common.VizLegendOptions().display_mode(values.LegendDisplayMode.TABLE).calcs(["last", "max"])
    return found.placement(values.LegendPlacement.BOTTOM).show_legend(show_legend=True)


def _tooltip() -> common.VizTooltipOptions:
    return common.VizTooltipOptions().mode(values.TooltipDisplayMode.MULTI).sort(values.SortOrder.DESCENDING)


def _thresholds(found: Thresholds | None) -> dashboard.ThresholdsConfig:
    """Return the steps; without thresholds one step, because Grafana's own default calls everything above 80 bad."""
    steps = [models.Threshold(None, COLOURS[found.base] if found else "text")]
    steps += [models.Threshold(start, COLOURS[level]) for start, level in (found.steps if found else ())]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


def _mapping(panel: Panel) -> models.ValueMap:
    return models.ValueMap(
        {
            f"{value:g}": models.ValueMappingResult(text, COLOURS[level], None, place)
            for place, (value, (text, level)) in enumerate(panel.words.items())
        }
    )
