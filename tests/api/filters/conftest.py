"""Who asks filters in tests, and whom there is to find."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from fastapi.testclient import TestClient

from tests.api.conftest import MakeClient
from tests.stores import SqliteStores

Rows = list[dict[str, Any]]


@pytest.fixture
def stores(sqlite_stores: SqliteStores) -> SqliteStores:
    """One engine: what is asked here is published, whatever the operational store is."""
    return sqlite_stores


@pytest.fixture
def client(make_client: MakeClient) -> TestClient:
    """Somebody who may do everything, over the night that all tests share."""
    return make_client(published=True)


@pytest.fixture(scope="module")
def version(published_version: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """What is published, as a copy: the API opens the file itself in its own way."""
    copy = shutil.copy(published_version, tmp_path_factory.mktemp("copy"))
    with duckdb.connect(str(copy), read_only=True) as con:
        yield con


@pytest.fixture(scope="module")
def rows(version: duckdb.DuckDBPyConnection) -> Rows:
    """Every published customer."""
    result = version.execute("select * from marts.dim_customer")
    names = [column[0] for column in result.description or ()]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


@pytest.fixture(scope="module")
def clinic(rows: Rows) -> str:
    """The clinic with the most customers."""
    clinics = [clinic for row in rows for clinic in row["clinic_ids"]]
    return max(sorted(set(clinics)), key=clinics.count)
