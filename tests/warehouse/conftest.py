"""A data directory of one's own with an open warehouse."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from duckdb import DuckDBPyConnection

from pipelines.ingest.contracts import load_contracts
from pipelines.settings import PipelineSettings
from pipelines.warehouse.connection import connect_warehouse, ensure_ingest_schema
from tests.ingest.factory import EVENTS, PHONES, SameProcessParser


@pytest.fixture
def settings(tmp_path: Path) -> PipelineSettings:
    """Settings of an empty data directory."""
    return PipelineSettings(data_dir=tmp_path / "data")


@pytest.fixture
def con(settings: PipelineSettings) -> Iterator[DuckDBPyConnection]:
    """An open warehouse with the tables of the two contracts that these tests land."""
    with connect_warehouse(settings) as opened:
        ensure_ingest_schema(opened, settings.folders, [load_contracts()[PHONES], load_contracts()[EVENTS]])
        yield opened


@pytest.fixture(scope="session")
def parser() -> SameProcessParser:
    """The parser without its process."""
    return SameProcessParser()
