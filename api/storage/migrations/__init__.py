"""Alembic's tree: one for SQLite and PostgreSQL."""
