"""The only rooms of `segment_engine` that touch disk, DuckDB and the terminal; shared by `pipelines` and `api`."""
