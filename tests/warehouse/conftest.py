"""A data directory of one's own with an open warehouse."""

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from duckdb import DuckDBPyConnection

from api.storage.database import Database
from pipelines.ingest.contracts import load_contracts
from pipelines.settings import PipelineSettings
from pipelines.warehouse.connection import connect_warehouse, ensure_ingest_schema
from tests.conftest import MadeOnce
from tests.ingest.factory import EVENTS, PHONES, SameProcessParser
from tests.stores import SqliteStores
from tests.warehouse.audience_nights import Nights, make_small_night


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


@pytest.fixture(scope="session")
def sqlite_stores(tmp_path_factory: pytest.TempPathFactory) -> SqliteStores:
    return SqliteStores(tmp_path_factory.mktemp("store"))


@pytest.fixture
def small(night: PipelineSettings, made_once: MadeOnce, tmp_path: Path) -> PipelineSettings:
    """The shared night with few tables, in a folder that the test may change."""
    made = made_once("small_night", partial(make_small_night, night))
    shutil.copytree(made / "data", tmp_path / "data")
    return PipelineSettings(data_dir=tmp_path / "data")


@pytest.fixture
def nights(small: PipelineSettings, sqlite_stores: SqliteStores) -> Iterator[Nights]:
    with sqlite_stores.new(small.data_dir):
        store = Database(small)
        yield Nights(small, store)
        store.close()
