"""Watches served models: data quality, drift, performance and fairness, from the prediction log."""
