"""Dagster wiring only: assets that call `pipelines.steps`, their partitions, checks and automation."""
