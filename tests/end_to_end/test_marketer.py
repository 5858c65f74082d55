"""A day of a marketer: a segment of the seed tried, saved, calculated, changed, exported; and what analysts find."""

import io
import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from fastapi.testclient import TestClient

from api.main import create_app
from api.settings import ApiSettings
from pipelines.settings import PipelineSettings
from pipelines.warehouse.audience_inputs import take_audiences
from pipelines.warehouse.audiences import calculate_night
from pipelines.warehouse.catalog import catalog_json
from pipelines.warehouse.connection import connect_warehouse
from segment_engine.catalog import read_catalog
from segment_engine.runtime.published import read_pointer
from tests.api.audiences.asking import arrived_for_a_first_visit, finished, log_entries, members, send, smart_segment
from tests.api.conftest import bearer, make_actor

NAME = "过去一周内有到店的初诊用户"
BY_HAND = """
    select distinct c.one_id
    from fct_appointment as a inner join marts.dim_customer as c using (customer_key)
    where a.visit_type = '初诊' and a.arrived_at::date between (select as_of from meta.publication) - {days} + 1
        and (select as_of from meta.publication)
"""


@pytest.fixture
def marketer(own_copy: PipelineSettings) -> Iterator[TestClient]:
    app = create_app(ApiSettings(data_dir=own_copy.data_dir, rate_limit_per_address=0))
    with TestClient(app, raise_server_exceptions=False) as client:
        client.headers.update(bearer(make_actor(app.state.database)))
        yield client


def by_hand(settings: PipelineSettings, days: int) -> set[str]:
    """What an analyst finds, in SQL of their own."""
    file = settings.folders.published / read_pointer(settings.folders).file
    with duckdb.connect(str(file), read_only=True) as con:
        con.execute("set TimeZone = 'Asia/Shanghai'")
        con.execute("set search_path = 'analyst,marts,meta'")
        return {one_id for (one_id,) in con.execute(BY_HAND.format(days=days)).fetchall()}


def test_a_segment_of_the_seed_from_the_first_try_to_the_export(
    marketer: TestClient, own_copy: PipelineSettings
) -> None:
    week, fortnight = by_hand(own_copy, 7), by_hand(own_copy, 14)
    assert week and week < fortnight, "the sample has people for this walk"

    # Tried: how many, and why somebody is in it or not.
    preview = marketer.post("/v1/filters/preview", json={"filter": arrived_for_a_first_visit(14)}).json()
    assert preview["count"] == len(fortnight)
    inside, outside = min(fortnight), min(everybody(marketer) - fortnight)
    for one_id, holds in ((inside, True), (outside, False)):
        asked = {"filter": arrived_for_a_first_visit(14), "one_id": one_id}
        assert marketer.post("/v1/filters/explain", json=asked).json()["holds"] is holds

    # Saved, which calculates it, and looked at.
    segment = smart_segment(marketer, NAME, arrived_for_a_first_visit(14))
    assert set(members(marketer, segment["id"], limit=7)) == fortnight
    before = datetime.now(UTC)

    # Changed: who left, by what, and why they are not in it any more.
    read = marketer.get(f"/v1/segments/{segment['id']}")
    published = send(
        marketer,
        "POST",
        f"/v1/segments/{segment['id']}/publish",
        {"filter": arrived_for_a_first_visit(7), "note": "一周"},
        **{"If-Match": read.headers["ETag"]},
    )
    finished(marketer, published["calculation"])
    assert set(members(marketer, segment["id"])) == week
    left = log_entries(marketer, audience_id=str(segment["id"]), change="left")
    assert {entry["one_id"] for entry in left} == fortnight - week
    assert {(entry["trigger"], entry["definition"]) for entry in left} == {("definition", 2)}
    gone = min(fortnight - week)
    why = marketer.get(f"/v1/customers/{gone}/audiences/{segment['id']}/explanation").json()
    assert (why["is_member"], why["explanation"]["holds"]) == (False, False)

    # What it was before is still known.
    assert set(members(marketer, segment["id"], at=before.isoformat())) == fortnight
    sizes = marketer.get(f"/v1/audiences/{segment['id']}/calculations").json()["calculations"]
    assert [one["member_count"] for one in sizes] == [len(week), len(fortnight)]

    # Exported, and the same by SQL tonight.
    export = send(
        marketer, "POST", "/v1/exports", {"kind": "customers", "format": "xlsx", "segment_ids": [segment["id"]]}
    )
    job = finished(marketer, export["id"])
    assert job["result"]["rows"] == len(week)
    sheet = zipfile.ZipFile(io.BytesIO(marketer.get(job["result"]["url"]).content)).read("xl/worksheets/sheet1.xml")
    assert all(one_id in sheet.decode() for one_id in week)
    assert tonight(own_copy, segment["id"]) == week


def everybody(client: TestClient) -> set[str]:
    found = client.get("/v1/customers", params={"limit": "200"}).json()
    return {one["one_id"] for one in found["customers"]}


def tonight(settings: PipelineSettings, audience_id: int) -> set[str]:
    """Whom an analyst finds in the tables that tonight's calculation writes."""
    pointer = read_pointer(settings.folders)
    with connect_warehouse(settings) as con:
        take_audiences(con, settings, pointer.as_of)
    catalog = read_catalog(json.loads(catalog_json(settings)))
    calculate_night(settings, catalog, pointer.as_of, fingerprint=pointer.fingerprint, now=datetime.now(UTC))
    query = (
        "select one_id from marts.audience_members join marts.dim_customer using (customer_key) where audience_id = $id"
    )
    with duckdb.connect(str(Path(settings.folders.marts)), read_only=True) as con:
        return {one_id for (one_id,) in con.execute(query, {"id": audience_id}).fetchall()}
