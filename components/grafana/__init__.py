"""Dashboards: their definitions, and Grafana showing them where its image can be had."""
