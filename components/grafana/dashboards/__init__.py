"""The dashboards of the platform. A new one is a module with `DASHBOARD` and a line here."""

from __future__ import annotations

from components.grafana.dashboards import audit, cost, fairness, pipelines, platform, quality, serving

__all__ = ["DASHBOARDS"]

DASHBOARDS = {
    dashboard.name: dashboard
    for dashboard in (
        platform.DASHBOARD,
        serving.DASHBOARD,
        quality.DASHBOARD,
        fairness.DASHBOARD,
        pipelines.DASHBOARD,
        audit.DASHBOARD,
        cost.DASHBOARD,
    )
}
"""By name, in the order in which they are shown."""
