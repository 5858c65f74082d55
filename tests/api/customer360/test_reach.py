"""Whose profile a caller reads: whoever is in their customer list, as a whole, and nobody else's."""

from typing import Any

import duckdb
import pytest
from fastapi.testclient import TestClient

from api.access.actors import Level, ScopeChannel
from pipelines.settings import PipelineSettings
from segment_engine.runtime.published import read_pointer
from tests.api.access.people import once, other
from tests.api.conftest import ENGINES, MakeClient, Stores
from tests.api.customer360.conftest import ROUTES, Sql, ask
from tests.api.probe import found


@pytest.fixture(params=ENGINES)
def stores(request: pytest.FixtureRequest) -> Stores:
    """Both engines: roles, scopes and erasures are in the store."""
    engine: Stores = request.getfixturevalue("sqlite_stores" if request.param == "sqlite" else "postgres_stores")
    return engine


def at(client: TestClient, clinic: str) -> dict[str, str]:
    """Somebody of one clinic."""
    scope = dict.fromkeys(ScopeChannel, Level.CLINIC)
    return other(client, clinic_id=clinic, permissions=("customer.view",), data_scope=scope)


def statuses(client: TestClient, one_id: str, headers: dict[str, str] | None = None) -> set[tuple[int, Any]]:
    """How every route answers about a customer."""
    answers = [client.get(f"/v1/customers/{one_id}/{route}", headers=headers) for route in ROUTES]
    return {(one.status_code, None if one.status_code == 200 else frozenset(found(one))) for one in answers}


NOT_THERE = {(404, frozenset({("customer_unknown", "/path/one_id")}))}


def test_a_foreign_customer_is_the_same_404_as_none(client: TestClient, sql: Sql) -> None:
    ((mine, foreign, clinic),) = sql(
        """
        select any_value(a.one_id), any_value(b.one_id), any_value(a.clinic_ids[1])
        from (select * from dim_customer where len(clinic_ids) = 1 order by one_id limit 1) a
        cross join dim_customer b
        where len(b.clinic_ids) > 0 and not list_contains(b.clinic_ids, a.clinic_ids[1])
        """
    )
    receptionist = at(client, clinic)

    assert statuses(client, mine, receptionist) == {(200, None)}
    assert statuses(client, foreign, receptionist) == NOT_THERE
    assert statuses(client, "nobody") == NOT_THERE


def test_a_clinic_sees_its_customer_as_a_whole(client: TestClient, sql: Sql) -> None:
    ((key, one_id, clinic),) = sql(
        """
        select customer_key, one_id, clinic_ids[1]
        from dim_customer inner join fct_visit using (customer_key)
        group by all having count(distinct fct_visit.clinic_id) > 1 order by one_id limit 1
        """
    )
    clinics = {other for (other,) in sql("select distinct clinic_id from fct_visit where customer_key = $1", key)}

    visits = ask(client, one_id, "timeline", at(client, clinic), kind="visit", limit=200)["activities"]

    assert {one["clinic_id"] for one in visits} == clinics > {clinic}


def test_without_the_permission_nothing_is_told(client: TestClient, busy: tuple[int, str]) -> None:
    stranger = other(client, permissions=("identity.view",))

    assert {status for status, _ in statuses(client, busy[1], stranger)} == {403}
    assert client.get("/v1/activity-kinds", headers=stranger).status_code == 403
    assert client.get("/v1/activity-kinds", headers={"Authorization": ""}).status_code == 401


def test_an_erased_customer_is_gone_at_once(client: TestClient, busy: tuple[int, str]) -> None:
    erased = client.post(f"/v1/customers/{busy[1]}/erasure", json={"reason": "x"}, headers=once())

    assert erased.status_code == 202
    assert statuses(client, busy[1]) == NOT_THERE


@pytest.fixture
def merged(own_copy: PipelineSettings, make_client: MakeClient) -> tuple[TestClient, str]:
    """A customer who had another id, `Cold`, before a merge."""
    with duckdb.connect(str(own_copy.folders.published / read_pointer(own_copy.folders).file)) as con:
        one_id, key = con.execute(
            "select one_id, customer_key from marts.dim_customer where visit_count > 1 order by one_id limit 1"
        ).fetchall()[0]
        con.execute("insert into marts.one_id_alias values ('Cold', 99999, $1, $2)", [one_id, key])
    return make_client(settings={"job_workers": 0}), one_id


def test_an_id_that_was_merged_leads_to_the_survivor(merged: tuple[TestClient, str]) -> None:
    client, one_id = merged

    for route in ROUTES:
        assert ask(client, "Cold", route) == ask(client, one_id, route)
        assert ask(client, "Cold", route)["one_id"] == one_id
