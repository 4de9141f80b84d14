"""Metrics and alerts: the Prometheus Operator with one Prometheus and one Alertmanager."""
