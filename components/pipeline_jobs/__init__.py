"""Pipelines without a pipeline server: one Kubernetes Job runs one compiled kfp pipeline."""
