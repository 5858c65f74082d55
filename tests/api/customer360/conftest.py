"""The shared night as SQL reads it, and people of it worth asking about."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import duckdb
import pytest
from fastapi.testclient import TestClient

from tests.api.conftest import MakeClient
from tests.stores import SqliteStores

ROUTES = ("summary", "trend", "assets", "recent", "timeline", "lead", "appointments", "bills")


class Sql(Protocol):
    """`sql(statement, *values)`: rows of the published version."""

    def __call__(self, statement: str, *values: Any) -> list[tuple[Any, ...]]: ...


@pytest.fixture(scope="session")
def sql(published_version: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sql]:
    """Independent SQL over a copy of what the API serves, days in the business zone."""
    copy = shutil.copy(published_version, tmp_path_factory.mktemp("copy"))
    with duckdb.connect(str(copy), read_only=True) as con:
        con.execute("set search_path = 'marts'")
        con.execute("set TimeZone = 'Asia/Shanghai'")
        yield lambda statement, *values: con.execute(statement, list(values)).fetchall()


@pytest.fixture
def stores(sqlite_stores: SqliteStores) -> SqliteStores:
    """One engine: what these answers tell comes from the published version. `test_reach` asks both who may see it."""
    return sqlite_stores


@pytest.fixture
def client(make_client: MakeClient) -> TestClient:
    """Somebody who may see everything of everybody."""
    return make_client(published=True)


@pytest.fixture(scope="session")
def busy(sql: Sql) -> tuple[int, str]:
    """Key and id of a customer who came as a lead, was treated, reviewed and is online."""
    ((key, one_id),) = sql(
        """
        select customer_key, one_id
        from dim_customer
        where has_patient_file and is_lead and is_wecom_contact and is_mini_program_user and bill_count > 2
            and customer_key in (select customer_key from fct_review where comment is not null)
            and customer_key in (select customer_key from fct_lead_event where content is not null)
        order by visit_count desc, customer_key
        limit 1
        """
    )
    return key, one_id


def ask(client: TestClient, one_id: str, route: str, headers: dict[str, str] | None = None, **query: Any) -> Any:
    """The answer of a route about a customer, which must be one."""
    answer = client.get(f"/v1/customers/{one_id}/{route}", params=query, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def walk(client: TestClient, one_id: str, route: str, member: str, **query: Any) -> list[dict[str, Any]]:
    """Every row of a route's pages."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = ask(client, one_id, route, **query, **cursor)
        found += page[member]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}
