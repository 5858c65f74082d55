"""The rooms that touch files and DuckDB: lock, landing, parsing, loading, dbt, publishing."""
