"""The only rooms of `segment_engine` that touch disk and DuckDB; shared by `pipelines` and `api`."""
