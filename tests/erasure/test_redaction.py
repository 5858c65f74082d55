"""What says who a row is about, and whether it may stay: digests in SQL, contracts, the query that redacts a batch."""

import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.erasure.digests import offer_digests
from pipelines.erasure.orders import ErasureRequest
from pipelines.erasure.redaction import identity_key
from pipelines.identity.state import ensure_tables
from pipelines.ingest.contracts import Contract, load_contracts
from pipelines.settings import PipelineSettings
from pipelines.warehouse.connection import connect_warehouse
from pipelines.warehouse.landing import read_batch
from pipelines.warehouse.prepare import prepare_batch
from pipelines.warehouse.purge import find_erased, new_warehouse
from pipelines.warehouse.redact import Redactor
from segment_engine.runtime.secret import person_digest, tenant_secret
from tests.ingest.factory import EVENTS, PHONES, SameProcessParser, csv_text, event, jsonl_text, land, phone

SECRET = bytes(range(32))
# Words of the record itself: neither who it is about nor free text. Whoever adds a column to a restricted table decides
# here that it is one of them, or marks it `pii` or `identifies`.
RECORD_WORDS = {
    "card_name", "city", "department", "diagnosis", "display_name", "item_category", "item_code", "item_name",
    "source_level_1", "source_level_2", "source_level_3", "step_name", "suggestion_name", "symptom",
}  # fmt: skip


@pytest.fixture(scope="module")
def con() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    offer_digests(con, SECRET, persons=["a" * 64])
    return con


@given(key=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40))
def test_sql_digests_a_key_as_the_platform_does(con: duckdb.DuckDBPyConnection, key: str) -> None:
    assert con.execute("select person_digest($key)", {"key": key}).fetchone() == (person_digest(SECRET, key),)


@pytest.mark.parametrize("length", [32, 64, 65, 128])
def test_secrets_of_any_length_digest_the_same_in_both(length: int) -> None:
    secret = b"k" * length
    with duckdb.connect() as con:
        offer_digests(con, secret, persons=[])
        assert con.execute("select person_digest('甲')").fetchone() == (person_digest(secret, "甲"),)


def test_a_row_names_a_person_by_the_key_that_identity_gives_them(con: duckdb.DuckDBPyConnection) -> None:
    keys = {
        person.kind: con.execute(f"select {identity_key(person, lambda name: f'{name!r}')}").fetchone()
        for table in (("saas", "patients"), ("leads", "leads"), ("mini_program", "users"), ("wecom", "followers"))
        for person in load_contracts()[table].subjects
    }

    assert keys == {
        "patient": ("patient:saas:patient_id",),
        "lead": ("lead:leads:lead_id",),
        "mini_program_user": ("mini_program_user:app_id:openid",),
        "wecom_contact": ("wecom_contact:corp_id:external_user_id",),
    }


@pytest.mark.parametrize("contract", load_contracts().values(), ids=lambda c: f"{c.source}/{c.table}")
def test_every_table_says_whose_rows_it_holds_and_keeps_no_text_by_oversight(contract: Contract) -> None:
    named = {name for person in contract.persons for name in person.columns}
    persons = {"patient_id", "openid", "external_user_id", "lead_id"}

    assert {c.name for c in contract.columns if c.name in persons or c.name.endswith("_patient_id")} <= named
    if contract.erasure == "restrict":
        texts = [column for column in contract.columns if column.type == "text" and not column.is_personal]
        kept = {column.name for column in texts} - named
        assert {name for name in kept if not name.endswith("_id")} <= RECORD_WORDS


@pytest.fixture
def redactor(empty_settings: PipelineSettings) -> Redactor:
    secret = tenant_secret(empty_settings)
    keys = ("patient:saas:P1", "mini_program_user:wx1:o1")
    return Redactor(empty_settings, {person_digest(secret, key) for key in keys})


def prepared(settings: PipelineSettings, folder: Path, redactor: Redactor | None) -> tuple[list[Any], Any]:
    """The good rows' keys as a batch is prepared, and its manifest afterwards."""
    found = prepare_batch(settings, read_batch(folder), SameProcessParser(), redactor)
    assert found.problems == ()
    with duckdb.connect() as con:
        files = [str(file.request.staged) for file in found.files]
        rows = con.execute("from read_parquet($files) where not _bad order by all", {"files": files})
        keys = [row[0] for row in rows.fetchall()]
    found.remove_staged()
    assert found.batch == read_batch(folder)
    return keys, found.batch.manifest


def test_a_batch_without_erased_persons_is_left_as_it_landed(
    empty_settings: PipelineSettings, redactor: Redactor
) -> None:
    folder = land(empty_settings, PHONES, csv_text([phone("K1") | {"patient_id": "P2"}]), rows=1)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}

    keys, _ = prepared(empty_settings, folder, redactor)

    assert keys == ["K1"]
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_a_redacted_batch_reads_as_before_but_for_the_erased_persons_rows(
    empty_settings: PipelineSettings, redactor: Redactor
) -> None:
    others = [event("E2", openid="o2", amount=None), event("E3", openid="o3", page="  首页 "), event("E4", openid=None)]
    folder = land(empty_settings, EVENTS, jsonl_text([event("E1"), *others]) + "{broken\n", form="jsonl", rows=5)
    alone = land(empty_settings, EVENTS, jsonl_text(others), form="jsonl", rows=3, batch_id="alone")

    keys, manifest = prepared(empty_settings, folder, redactor)

    assert keys == ["E2", "E3"] == prepared(empty_settings, alone, None)[0]
    # Of the broken record nobody can tell whose it was.
    assert (manifest.row_count, manifest.erased_rows) == (3, 2)
    assert sorted(file.name for file in folder.iterdir()) == ["_manifest.json", "redacted-1-0001.parquet"]


def test_a_batch_redacted_for_one_person_can_be_redacted_for_another(
    empty_settings: PipelineSettings, redactor: Redactor
) -> None:
    rows = [phone(f"K{number}") | {"patient_id": f"P{number}"} for number in (1, 2, 3)]
    folder = land(empty_settings, PHONES, csv_text(rows), rows=3)
    prepared(empty_settings, folder, redactor)
    other = Redactor(empty_settings, {person_digest(tenant_secret(empty_settings), "patient:saas:P2")})

    keys, manifest = prepared(empty_settings, folder, other)

    assert (keys, manifest.row_count, manifest.erased_rows) == (["K3"], 1, 2)


def test_files_that_a_killed_run_had_already_replaced_are_removed_by_the_next(
    empty_settings: PipelineSettings, redactor: Redactor
) -> None:
    folder = land(empty_settings, PHONES, csv_text([phone("K1"), phone("K2") | {"patient_id": "P2"}]), rows=2)
    original = folder.with_name("original")
    shutil.copytree(folder, original)
    prepared(empty_settings, folder, redactor)
    shutil.move(original / "part-1.csv", folder / "part-1.csv")

    keys, _ = prepared(empty_settings, folder, redactor)

    assert keys == ["K2"]
    assert not (folder / "part-1.csv").exists()


def test_a_customer_who_was_merged_since_is_erased_with_whom_they_became(empty_settings: PipelineSettings) -> None:
    with connect_warehouse(empty_settings) as old:
        ensure_tables(old, "identity")
        for one_id, merged_into in (("X", "Y"), ("Y", "Z"), ("Z", None), ("other", None)):
            old.execute(
                "insert into identity.registry values ($id, 1, 'lead:leads:f', 1, date '2026-11-20', 's', $into,"
                " date '2026-11-20')",
                {"id": one_id, "into": merged_into},
            )
        for key, one_id in (("lead:leads:1", "Z"), ("lead:leads:2", "Z"), ("lead:leads:3", "other")):
            old.execute("insert into identity.assignment values ($key, $id, 1, true, null, null, null)",
                        {"key": key, "id": one_id})  # fmt: skip
    digests = {number: person_digest(tenant_secret(empty_settings), f"lead:leads:{number}") for number in (1, 2)}

    with new_warehouse(empty_settings, [digests[1]]) as con:
        found = find_erased(con, [ErasureRequest("era_1", "X")])

    assert found.keys == ("lead:leads:1", "lead:leads:2")
    assert found.new_digests == {"era_1": [digests[2]]}
    assert found.one_ids == ("X", "Y", "Z")
