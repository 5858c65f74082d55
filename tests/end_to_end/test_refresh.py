"""Who arrives during the day is known within the day, and the night that follows finds nothing else."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import duckdb
import pytest

from pipelines.identity.resolve import IdentityConfig, resolve_night
from pipelines.ingest.manifest import Window
from pipelines.nightly import RunRecord
from pipelines.refresh import check_refresh, refresh
from pipelines.settings import PipelineSettings
from pipelines.steps import BusinessDayError
from pipelines.warehouse.connection import connect_warehouse
from pipelines.warehouse.landing import newest_seal
from segment_engine.runtime.published import open_current
from tests.conftest import END_ON, ZONE, FixedClock
from tests.ingest.factory import jsonl_text, land
from tests.parsed import LendParsed

TODAY = END_ON + timedelta(days=1)
NOON = FixedClock(datetime(2026, 11, 21, 12, tzinfo=ZONE))
STATE = ("assignment", "registry", "event", "value_state", "conflict", "carried", "seen", "override_seen")


def arrive(settings: PipelineSettings, *, fan: str, phone: str, batch_id: str, hour: int = 9) -> None:
    """A new fan, who subscribes at half past the hour, proves a phone by SMS."""
    at = f"2026-11-21T{hour:02}:30:00+08:00"
    start = datetime.combine(TODAY, datetime.min.time(), ZONE)
    window = Window(start, start + timedelta(days=1))
    account = {"app_id": "wx-oa", "openid": fan, "updated_at": at}
    binding = {"binding_id": f"b-{fan}", "phone": phone, "relation": "本人", "bound_at": at}
    for table, row in (
        ("fans", {**account, "is_subscribed": True, "subscribed_at": at}),
        ("fan_bindings", {**account, **binding}),
    ):
        land(
            settings, ("official_account", table), jsonl_text([row]), batch_id=batch_id, rows=1, form="jsonl",
            window=window,
        )  # fmt: skip


def customer_of(settings: PipelineSettings, source_id: str) -> str | None:
    with open_current(settings.folders, timezone="Asia/Shanghai")[0] as con:
        row = con.execute("select one_id from marts.dim_identity where source_id = $id", {"id": source_id}).fetchone()
    return row[0] if row else None


def somebody(settings: PipelineSettings) -> tuple[str, str]:
    """A patient with a mobile of their own: the phone and the customer."""
    with open_current(settings.folders, timezone="Asia/Shanghai")[0] as con:
        row = con.execute("""
            select phone, one_id from marts.dim_customer
            where has_patient_file and not is_fan and length(phone) = 11 and phone not in (
                select phone from marts.dim_customer where phone is not null group by phone having count(*) > 1
            )
            order by one_id limit 1
        """).fetchone()
    assert row is not None
    return row


@dataclass(frozen=True, slots=True)
class Day:
    """A day refreshed in the morning and at noon, and once more without news.

    `known` is the customer who had the first fan's phone already, `handed_out` the id that the morning gave a new one.
    """

    settings: PipelineSettings
    runs: list[RunRecord]
    known: str
    handed_out: str


@pytest.fixture(scope="module")
def day(night: PipelineSettings, lend_parsed: LendParsed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    settings = PipelineSettings(data_dir=tmp_path_factory.mktemp("refreshed") / "data")
    shutil.copytree(night.data_dir, settings.data_dir)
    lend_parsed(settings)
    phone, known = somebody(settings)
    arrive(settings, fan="fan", phone=phone, batch_id="morning")
    arrive(settings, fan="stranger", phone="16620000001", batch_id="morning-too")
    runs = [refresh(settings, clock=NOON)]
    assert customer_of(settings, "fan") == known
    handed_out = customer_of(settings, "stranger")
    assert handed_out is not None
    arrive(settings, fan="fan-again", phone="+86 " + phone, batch_id="noon")
    # What happened before arrives after: the customer is founded by another record.
    arrive(settings, fan="late-batch", phone="16620000001", batch_id="noon-too", hour=8)
    arrive(settings, fan="another-stranger", phone="16620000002", batch_id="noon-at-last")
    runs.append(refresh(settings, clock=NOON))
    runs.append(refresh(settings, clock=NOON))
    yield Day(settings, runs, known, handed_out)
    shutil.rmtree(settings.data_dir)


def test_a_new_fan_who_proves_a_phone_is_known_at_once_and_the_night_finds_nothing_else(day: Day) -> None:
    assert [run.status for run in day.runs] == ["succeeded", "succeeded", "unchanged"]
    assert customer_of(day.settings, "fan-again") == customer_of(day.settings, "fan") == day.known
    with connect_warehouse(day.settings) as con:
        refreshed = {table: con.execute(f"from identity.{table} order by all").fetchall() for table in STATE}
        ways = con.execute("select way from identity.night order by night").fetchall()
        resolve_everybody(con)
        anew = {table: con.execute(f"from identity.{table} order by all").fetchall() for table in STATE}

    assert ways == [("whole",), ("part",)]
    assert refreshed == anew


def test_an_id_published_in_the_morning_leads_to_its_customer_for_ever(day: Day) -> None:
    one_id = customer_of(day.settings, "stranger")

    assert one_id == customer_of(day.settings, "late-batch") != day.handed_out
    with open_current(day.settings.folders, timezone="Asia/Shanghai")[0] as con:
        aliases = con.execute("select one_id from marts.one_id_alias where old_one_id = $id", {"id": day.handed_out})
        assert aliases.fetchall() == [(one_id,)]
        told = con.execute(
            "select event, to_one_id from marts.identity_event where from_one_id = $id", {"id": day.handed_out}
        )
        assert told.fetchall() == [("ID_MERGED", one_id)]


def resolve_everybody(con: duckdb.DuckDBPyConnection) -> None:
    """Run the day's night again from where it began, on the same input, for everybody."""
    # Another fingerprint, or the night would see that nothing changed.
    con.execute("update identity.night set fingerprint = ''")
    resolve_night(
        con,
        night=TODAY,
        config=IdentityConfig(),
        identities="intermediate.int_identity",
        evidence="intermediate.int_identity_evidence",
        blocked="intermediate.int_blocked_value",
        part_at_most=0,
    )


@pytest.mark.parametrize("days", [2, 30])
def test_a_day_whose_eve_is_not_published_is_not_refreshed(night: PipelineSettings, days: int) -> None:
    later = NOON.moment + timedelta(days=days - 1)

    with pytest.raises(BusinessDayError, match=f"cdp nightly --as-of {later.date() - timedelta(days=1)}.*请先运行"):
        check_refresh(night, later)
    check_refresh(night, NOON.moment)


def test_before_the_first_night_there_is_nothing_to_refresh(empty_settings: PipelineSettings) -> None:
    with pytest.raises(BusinessDayError, match=r"last: none"):
        check_refresh(empty_settings, NOON.moment)


def test_the_newest_seal_is_that_of_the_batch_sealed_last(empty_settings: PipelineSettings) -> None:
    before = newest_seal(empty_settings.folders)
    arrive(empty_settings, fan="a", phone="13812345678", batch_id="one")
    one = newest_seal(empty_settings.folders)
    (empty_settings.folders.landing / "saas" / "patients" / "unsealed").mkdir(parents=True)
    unsealed = newest_seal(empty_settings.folders)
    arrive(empty_settings, fan="b", phone="13812345679", batch_id="two")
    two = newest_seal(empty_settings.folders)

    assert before is None
    assert one is not None
    assert two is not None
    assert one == unsealed < two
