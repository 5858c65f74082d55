"""A person is erased where PostgreSQL is the operational store: the API takes the order, the night carries it out."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from api.main import create_app
from api.settings import ApiSettings
from api.storage.database import Database
from pipelines.nightly import run_night
from pipelines.settings import PipelineSettings
from segment_engine.runtime.secret import person_digest, tenant_secret
from tests.api.conftest import bearer, make_actor
from tests.erasure.canary import found_in
from tests.erasure.first_night import CANARY, DAY, GONE, KEPT, SEGMENT_ROWS, canarys_keys, clock
from tests.erasure.world import open_store
from tests.parsed import LendParsed
from tests.stores import PostgresStores

# Texts that tell the person in the restricted rows' record numbers are none of the store's either.
TEXTS = GONE | KEPT


@dataclass
class Life:
    """Where the texts stood while the customer was served, after the order, and after the night."""

    before: dict[str, set[str]]
    exported: dict[str, set[str]]
    ordered: dict[str, set[str]]
    erased: dict[str, set[str]]
    files: dict[str, set[str]]
    pages: dict[str, set[str]]
    tables: dict[str, list[dict[str, Any]]]
    digests: set[str]
    answer: dict[str, Any]
    run_id: str


@pytest.fixture(scope="module")
def life(
    chain_night: Path,
    lend_parsed: LendParsed,
    postgres_stores: PostgresStores,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Life]:
    root = tmp_path_factory.mktemp("postgres") / "data"
    shutil.copytree(chain_night, root)
    with postgres_stores.new(root) as store, pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.warehouse.segments.SEGMENT_ROWS", SEGMENT_ROWS)
        settings = PipelineSettings(data_dir=root, **store)
        lend_parsed(settings)
        one_id, keys = canarys_keys(settings)
        open_store(settings, one_id)
        secret = tenant_secret(settings)
        with TestClient(create_app(ApiSettings(data_dir=root, rate_limit_per_address=0, **store))) as client:
            client.headers.update(bearer(make_actor(client.app.state.database)))  # type: ignore[attr-defined]
            export(client)
            before, exported = told(settings), found_in(settings.folders.exports, GONE)
            answer = client.post(
                f"/v1/customers/{one_id}/erasure", json={"reason": "客户要求"}, headers={"Idempotency-Key": "erase"}
            )
            assert answer.status_code == 202, answer.text
            ordered = told(settings)
        record = run_night(settings, as_of=DAY, clock=clock(DAY))
        yield Life(
            before, exported, ordered, told(settings), found_in(root, GONE), pages(settings), dump(settings),
            {person_digest(secret, key) for key in keys}, answer.json(), record.run_id,
        )  # fmt: skip
    shutil.rmtree(root)


def export(client: TestClient) -> None:
    """Export whoever has the customer's phone."""
    asked = client.post(
        "/v1/exports",
        json={"kind": "customers", "format": "csv", "filter": {"phone": CANARY.phone}},
        headers={"Idempotency-Key": "export"},
    )
    assert asked.status_code == 202, asked.text
    assert '"status":"succeeded"' in client.get(f"{asked.headers['location']}/events").text


def dump(settings: PipelineSettings) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table of the database, whatever its schema."""
    store = Database(settings)
    with store.read() as con:
        tables = con.execute(
            text(
                "select format('%I.%I', schemaname, tablename) from pg_tables"
                " where schemaname not in ('pg_catalog', 'information_schema') order by 1"
            )
        )
        rows = {
            name: [row[0] for row in con.execute(text(f"select to_jsonb(t) from {name} as t"))]
            for name in tables.scalars()
        }
    store.close()
    return rows


def pages(settings: PipelineSettings) -> dict[str, set[str]]:
    """Which of the texts stand in which file of the database's tables and indexes."""
    store = Database(settings)
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as con:
        con.execute(text("checkpoint"))
        oid = con.execute(text("select oid from pg_database where datname = current_database()")).scalar_one()
        folder = Path(con.execute(text("show data_directory")).scalar_one()) / "base" / str(oid)
    store.close()
    return found_in(folder, TEXTS)


def told(settings: PipelineSettings) -> dict[str, set[str]]:
    """Which of the texts stand in which table; tables with none are left out."""
    spelt = {name: json.dumps(rows, ensure_ascii=False) for name, rows in dump(settings).items()}
    # PostgreSQL shows bytes as hex.
    found = {name: {one for one in TEXTS if one in rows or one.encode().hex() in rows} for name, rows in spelt.items()}
    return {name: texts for name, texts in found.items() if texts}


def test_the_store_holds_the_person_before_so_that_their_absence_means_something(life: Life) -> None:
    assert life.before.keys() == {
        "public.patient_account", "public.patient_link", "public.outbox", "public.identity_override",
    }  # fmt: skip
    assert [CANARY.phone in texts for texts in life.exported.values()] == [True]


def test_the_order_empties_the_store_at_once_but_for_decisions_about_a_value_alone(life: Life) -> None:
    # Which numbers and accounts are theirs, and nobody else's, only the night knows.
    assert life.ordered == {"public.identity_override": {CANARY.phone, "canary-unionid"}}


def test_no_page_of_the_database_holds_what_was_deleted(life: Life) -> None:
    assert life.pages == {}


def test_no_table_and_no_file_tells_of_the_erased_person(life: Life) -> None:
    assert len(life.tables) > 10
    assert life.erased == {}
    assert life.files == {}


def test_no_static_segment_tells_that_the_person_was_ever_in_it(life: Life) -> None:
    (segment,) = life.tables["public.audience"]

    assert segment["revision"] == 2  # there was somebody to take out
    assert life.tables["public.audience_member"] == []


def test_the_night_reports_the_order_and_keeps_digests_of_every_identity(life: Life) -> None:
    (request,) = life.tables["public.erasure_request"]

    assert (request["id"], request["status"], request["one_id"]) == (life.answer["id"], "applied", None)
    assert request["applied_run_id"] == life.run_id
    assert {row["digest"] for row in life.tables["public.erasure_tombstone"]} == life.digests
