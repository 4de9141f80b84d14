"""`mlops dash`: the platform's dashboards without Grafana, in a terminal or as one HTML file."""
