"""One person is erased from a small chain, then looked for everywhere: the life of one data directory."""

import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from sqlalchemy import Connection

from api.caller import system_caller
from api.privacy.erasure import Person, forget
from api.storage.database import Database
from pipelines import steps
from pipelines.ingest.contracts import load_contracts, raw_table_name
from pipelines.nightly import RunRecord, run_night
from pipelines.settings import PipelineSettings
from pipelines.status import platform_status
from pipelines.warehouse.connection import connect_warehouse
from segment_engine.runtime.published import Pointer, open_current
from segment_engine.runtime.secret import person_digest, tenant_secret
from tests.erasure.canary import found_in
from tests.erasure.first_night import (
    CANARY,
    DAY,
    GONE,
    KEPT,
    NEXT,
    REFUSED,
    SEGMENT_ROWS,
    ZOE,
    canarys_keys,
    clock,
)
from tests.erasure.world import ZONE, land, open_store
from tests.parsed import LendParsed

CONTRACTS = load_contracts()
RESTRICTED = [contract for contract in CONTRACTS.values() if contract.erasure == "restrict"]
LOST = CONTRACTS["saas", "appointments"]
DELIVERED = Path("saas", "patients", "b1")


@dataclass
class Moment:
    """What a directory held after a night."""

    found: dict[str, set[str]]
    kept: dict[str, set[str]]
    pointer: Pointer
    customers: dict[str, tuple[str, int]]
    requests: list[tuple[Any, ...]]
    decisions: list[str]
    versions: list[str]
    raw: dict[str, list[tuple[Any, ...]]]


def moment(settings: PipelineSettings) -> Moment:
    con, pointer = open_current(settings.folders, timezone="Asia/Shanghai")
    with con:
        customers = {
            name: (one_id, key)
            for name, one_id, key in con.execute("select name, one_id, customer_key from marts.dim_customer").fetchall()
        }
    raw = {}
    with connect_warehouse(settings) as con:
        for contract in CONTRACTS.values():
            raw[raw_table_name(contract)] = con.execute(f"from raw.{raw_table_name(contract)} order by all").fetchall()
        raw["ledger"] = con.execute(
            "select source, table_name, batch_id, manifest_rows, loaded_rows, rejected_rows, erased_rows"
            " from ingest.batch order by all"
        ).fetchall()
    return Moment(
        found=found_in(settings.data_dir, GONE),
        kept=found_in(settings.data_dir, KEPT),
        pointer=pointer,
        customers=customers,
        requests=_requests(settings),
        decisions=_decisions(settings),
        versions=sorted(file.name for file in settings.folders.published.iterdir()),
        raw=raw,
    )


def _decisions(settings: PipelineSettings) -> list[str]:
    if not settings.folders.operational.exists():
        return []
    with sqlite3.connect(settings.folders.operational) as con:
        rows = con.execute("select id from identity_override order by id").fetchall()
    con.close()
    return [override_id for (override_id,) in rows]


def _requests(settings: PipelineSettings) -> list[tuple[Any, ...]]:
    if not settings.folders.operational.exists():
        return []
    with sqlite3.connect(settings.folders.operational) as con:
        rows = con.execute("select id, one_id, status, applied_run_id from erasure_request").fetchall()
    con.close()
    return rows


def order_erasure(settings: PipelineSettings, *, leave_out: tuple[str, ...]) -> None:
    """What the API does at once; it has not heard of the identities that are left out."""
    one_id, keys = canarys_keys(settings)
    person = Person(one_id, tuple(key for key in keys if not key.startswith(leave_out)))
    store = Database(settings)

    def work(con: Connection) -> None:
        forget(
            con, system_caller("test"), person, reason="客户要求", secret=tenant_secret(settings), engine=store.kind,
            now=clock(DAY).now(),
        )  # fmt: skip

    store.write(work)
    store.close()


def scatter(settings: PipelineSettings) -> None:
    """Leave the person in the places that no ingest visits."""
    at = datetime.combine(NEXT, datetime.min.time(), ZONE)
    users, leads = CONTRACTS["mini_program", "users"], CONTRACTS["leads", "leads"]
    land(settings, users, "later", [CANARY.row(users, at), ZOE.row(users, at)], day=NEXT, form="jsonl")
    refused = [{k: v for k, v in CANARY.row(leads, at).items() if k != "status"}]
    land(settings, leads, "refused", refused, day=DAY, encoding="utf-16")
    record = RunRecord(run_id="20261119", as_of="2026-11-19", started_at="2026-11-20T00:30:00+08:00", pid=1)
    record.status, record.error = "failed", f"ValueError: {CANARY.phone}"
    record.write(settings.folders)


@dataclass
class Life:
    """The directory, and what it held: before, while the erasing night had failed, erased, and synchronised again."""

    settings: PipelineSettings
    before: Moment
    idle: RunRecord
    failed: Moment
    erased: Moment
    again: Moment
    record: RunRecord


@pytest.fixture(scope="module")
def life(chain_night: Path, lend_parsed: LendParsed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    root = tmp_path_factory.mktemp("erasure") / "data"
    shutil.copytree(chain_night, root)
    settings = PipelineSettings(data_dir=root)
    lend_parsed(settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.warehouse.segments.SEGMENT_ROWS", SEGMENT_ROWS)
        open_store(settings, canarys_keys(settings)[0])
        # A segment is news; orders that ask for nothing are none.
        run_night(settings, as_of=DAY, clock=clock(DAY))
        idle = run_night(settings, as_of=DAY, clock=clock(DAY))
        scatter(settings)
        steps.ingest(settings, DAY)
        before = moment(settings)
        shutil.copytree(settings.folders.landing / DELIVERED, root.with_name("delivered"))
        shutil.rmtree(settings.folders.landing / LOST.source / LOST.table / "b1")
        order_erasure(settings, leave_out=("wecom_contact", "mini_program_user"))
        night_failing_in("prepare_identity", settings, patch)
        failed = moment(settings)
        night_failing_in("mark_applied", settings, patch)
        record = run_night(settings, as_of=DAY, clock=clock(DAY))
        erased = moment(settings)
        synchronise_again(settings)
        steps.ingest(settings, NEXT)
        yield Life(settings, before, idle, failed, erased, moment(settings), record)
    shutil.rmtree(root.parent)


def night_failing_in(step: str, settings: PipelineSettings, patch: pytest.MonkeyPatch) -> None:
    """A night that ends where this function of `steps` begins."""

    def fail(*_: object, **__: object) -> None:
        raise InterruptedError

    with patch.context() as broken:
        broken.setattr(steps, step, fail)
        with pytest.raises(InterruptedError):
            run_night(settings, as_of=DAY, clock=clock(DAY))


def synchronise_again(settings: PipelineSettings) -> None:
    """The sources, which know nothing of the erasure, deliver the person once more: an old batch, and newer data."""
    shutil.copytree(settings.data_dir.with_name("delivered"), settings.folders.landing / DELIVERED, dirs_exist_ok=True)
    at = datetime.combine(NEXT, datetime.min.time(), ZONE) + timedelta(hours=9)
    for table in (("saas", "patients"), ("saas", "patient_phones"), ("saas", "visits"), ("wecom", "external_contacts")):
        contract = CONTRACTS[table]
        bad = REFUSED.row(contract, at) | {contract.columns[-1].name: "不是时间"}
        land(settings, contract, "b3", [CANARY.row(contract, at), ZOE.row(contract, at), bad], day=NEXT, form="jsonl")


def test_the_canary_is_everywhere_before_so_that_its_absence_means_something(life: Life) -> None:
    places = {file.split("/")[0] for file in life.before.found}

    assert set().union(*life.before.found.values()) == GONE
    assert places - {"operational.sqlite", "operational.sqlite-wal"} == {
        "landing", "build", "quarantine", "published", "runs",
    }  # fmt: skip
    assert places & {"operational.sqlite", "operational.sqlite-wal"}
    assert {Path(file).suffix for file in life.before.found} >= {
        ".csv",
        ".jsonl",
        ".parquet",
        ".xlsx",
        ".duckdb",
        ".json",
    }


def test_orders_that_ask_for_nothing_change_nothing(life: Life) -> None:
    assert (life.idle.status, [step["name"] for step in life.idle.steps]) == ("unchanged", ["ingest"])


def test_no_file_tells_of_the_erased_person_in_any_form(life: Life) -> None:
    assert life.erased.found == {}


def test_no_file_has_an_index_since_its_unused_bytes_may_hold_whatever_the_process_had_in_memory(life: Life) -> None:
    files = sorted(life.settings.data_dir.rglob("*.duckdb"))
    indexes = []
    for file in files:
        with duckdb.connect(str(file), read_only=True) as con:
            keys = "select table_name from duckdb_constraints() where constraint_type in ('PRIMARY KEY', 'UNIQUE')"
            indexes += con.execute(f"{keys} union all select table_name from duckdb_indexes()").fetchall()

    assert {file.name for file in files} >= {"warehouse.duckdb", "serving.duckdb", life.erased.pointer.file}
    assert indexes == []


def test_an_erased_person_is_no_customer_and_the_others_keep_their_numbers(life: Life) -> None:
    before, after = life.before.customers, life.erased.customers

    assert before.keys() - after.keys() == {"canary-saas-patients-name"}
    assert after == {name: before[name] for name in after}


def test_what_operators_decided_about_the_person_is_gone_and_what_they_decided_about_others_is_not(life: Life) -> None:
    assert life.before.decisions == ["ov-account", "ov-key", "ov-number", "ov-other", "ov-revoked"]
    assert life.erased.decisions == ["ov-other"]
    with connect_warehouse(life.settings) as con:
        assert con.execute("select id from ingest.identity_override").fetchall() == [("ov-other",)]


def test_every_older_version_is_gone_as_soon_as_the_new_one_is_served(life: Life) -> None:
    pointer = life.erased.pointer

    assert pointer.version != life.before.pointer.version
    assert life.erased.versions == sorted(["CURRENT", pointer.file, pointer.catalog_file])


def test_records_that_must_be_kept_stay_in_raw_under_a_pseudonym_and_empty_of_who_it_was(life: Life) -> None:
    pseudonym = f"erased-{person_digest(tenant_secret(life.settings), 'patient:saas:canary-patient')[:16]}"
    for contract in RESTRICTED:
        names = [column.name for column in contract.columns]
        rows = [dict(zip(names, row, strict=False)) for row in life.erased.raw[raw_table_name(contract)]]
        kept = [row for row in rows if row["patient_id"] == pseudonym]

        assert (len(rows), len(kept)) == (3, 1), contract.table
        personal = {column.name: kept[0][column.name] for column in contract.columns if column.is_personal}
        assert set(personal.values()) <= {None, "已删除"}, personal
    assert {Path(file).parts[0] for file in life.erased.kept} == {"landing", "build"}
    assert {Path(file).parts[1] for file in life.erased.kept if file.startswith("build/")} == {
        "raw",
        "warehouse.duckdb",
    }
    assert set().union(*life.erased.kept.values()) == KEPT


def test_rows_that_are_erased_are_gone_and_the_others_rows_are_not(life: Life) -> None:
    for contract in CONTRACTS.values():
        if contract.erasure == "erase":
            before, after = (m.raw[raw_table_name(contract)] for m in (life.before, life.erased))
            assert (len(before), len(after)) == (3, 2), contract.table
            assert [row for row in before if "walter" in repr(row) and contract.references == ()] == [
                row for row in after if "walter" in repr(row) and contract.references == ()
            ]


def test_every_delivered_row_is_loaded_rejected_or_erased_and_status_says_how_many(life: Life) -> None:
    ledger = [row for row in life.erased.raw["ledger"] if row[3] is not None and row[2] != "refused"]

    assert all(loaded + rejected + erased == rows for *_, rows, loaded, rejected, erased in ledger)
    assert {row[:4] for row in ledger} == {row[:4] for row in life.before.raw["ledger"] if row[2] != "refused"}
    sources = {s["source"]: s["erased_rows"] for s in platform_status(life.settings, now=clock(NEXT).now()).sources}
    assert all(sources.values()), sources


def test_identitys_log_still_replays_to_who_belongs_to_whom(life: Life) -> None:
    with connect_warehouse(life.settings) as con:
        events = con.execute(
            "select key, to_id from identity.event where event in ('LINKED', 'MOVED') order by night, seq"
        ).fetchall()
        assigned = con.execute("select key, one_id from identity.assignment").fetchall()
        erased = con.execute("select key, from_id from identity.event where event = 'ERASED'").fetchall()
        statuses = dict(con.execute("select one_id, status from identity.registry").fetchall())

    assert dict(events) == dict(assigned)
    assert statuses[life.before.customers["canary-saas-patients-name"][0]] == "erased"
    assert sum(":erased-" in key for key, _ in assigned) == 5
    assert sorted(erased) == sorted(row for row in assigned if ":erased-" in row[0])


def test_a_night_that_fails_after_landing_was_redacted_serves_the_old_version_and_leaves_the_request_open(
    life: Life,
) -> None:
    assert [request[2:] for request in life.failed.requests] == [("requested", None)]
    assert life.failed.pointer == life.before.pointer
    assert {Path(file).parts[0] for file in life.failed.found} == {"published"}


def test_a_night_killed_between_publishing_and_reporting_is_made_good_by_the_next_without_building_again(
    life: Life,
) -> None:
    assert (life.record.status, [step["name"] for step in life.record.steps]) == ("unchanged", ["ingest"])
    ((request, *told),) = life.erased.requests
    assert [request] == [row[0] for row in life.failed.requests]
    assert told == [None, "applied", life.record.run_id]


def test_a_source_that_delivers_the_person_again_brings_nobody_back(life: Life) -> None:
    assert life.again.found == {}
    with connect_warehouse(life.settings) as con:
        patients = con.execute("select name from staging.stg_saas__patients order by all").fetchall()
    assert patients == [("walter-saas-patients-name",), ("zoe-saas-patients-name",)]
    assert len(life.again.raw["saas__patients"]) == 3
    erased = {row[:3]: row[6] for row in life.again.raw["ledger"]}
    assert erased["saas", "patients", "b3"] == 1
    assert erased["saas", "patient_phones", "b3"] == 2
    assert erased["mini_program", "users", "later"] == 1


def test_replaying_landing_from_the_beginning_gives_the_same_rows(life: Life, tmp_path: Path) -> None:
    other = PipelineSettings(data_dir=tmp_path / "data")
    for name in ("landing", "operational.sqlite", "secret.key"):
        source, target = life.settings.data_dir / name, other.data_dir / name
        target.parent.mkdir(exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copyfile(source, target)

    assert steps.erasures_due(life.settings) == []
    # These working files do not know the request, as those of a backup would not.
    assert [request.request_id for request in steps.erasures_due(other)] == [row[0] for row in life.erased.requests]

    steps.ingest(other, NEXT)

    with connect_warehouse(other) as con:
        for contract in CONTRACTS.values():
            if contract != LOST:
                rows = con.execute(f"from raw.{raw_table_name(contract)} order by all").fetchall()
                assert rows == life.again.raw[raw_table_name(contract)], contract.table
    shutil.rmtree(other.data_dir)


def test_what_the_batch_that_landing_lost_had_brought_is_carried_over(life: Life) -> None:
    assert len(life.erased.raw[raw_table_name(LOST)]) == 3
    assert {row[2] for row in life.erased.raw["ledger"] if row[1] == LOST.table} == {"b1", "b2"}
