from dataclasses import replace
from datetime import date, timedelta

import duckdb
import pytest

from pipelines.identity.resolve import IdentityConfig, IdentityInputError, IdentityNightError
from tests.identity.factory import Fact, Nights, Record, World, fan, lead, patient, phone


def _world() -> World:
    return patient("file", "王芳", phone=phone(1)).plus(fan("fan", phone=phone(1)), lead("lead", phone=phone(2)))


def test_first_night_links_every_record_with_its_reason():
    nights = Nights()

    summary = nights.next(_world())

    assert (summary.identities, summary.customers, summary.largest, summary.events) == (3, 2, 2, {"LINKED": 3})
    assert nights.rows("""
        select key, cause_value_type, cause_value_masked, via_key from identity.event order by key
    """) == [
        ("lead:leads:lead", None, None, None),
        ("official_account_fan:wx:fan", "phone", "+86139****0001", "patient:saas:file"),
        ("patient:saas:file", "phone", "+86139****0001", "official_account_fan:wx:fan"),
    ]


def test_same_night_with_the_same_input_changes_nothing():
    nights = Nights()
    first = nights.next(_world())
    before = nights.tables()

    second = nights.again(_world().shuffled(3))

    assert second == first
    assert nights.tables() == before


def test_new_night_with_the_same_input_logs_nothing():
    nights = Nights()
    nights.next(_world())
    before = nights.tables()

    summary = nights.next(_world())

    assert summary.events == {}
    assert summary.night == nights.night
    assert nights.tables() == before


def test_quiet_night_can_run_again_with_other_input():
    nights = Nights()
    nights.next(_world())
    nights.next(_world())

    nights.again(_world().plus(lead("new")))

    assert [event[:2] for event in nights.events()] == [("LINKED", "new")]
    assert nights.again(_world()).events == {}
    assert len(nights.ids()) == 3


def test_night_before_the_last_is_refused():
    nights = Nights()
    nights.next(_world())
    nights.night -= timedelta(days=1)

    with pytest.raises(IdentityNightError) as refusal:
        nights.again(_world())

    assert refusal.value.code == "night_is_over"
    assert "2026-11-01" in refusal.value.message_zh
    assert "2026-11-01" in refusal.value.message_en


def test_changed_threshold_counts_as_changed_input():
    nights = Nights()
    nights.next(_world())
    nights.config = IdentityConfig(customer_records=1)

    summary = nights.next(_world())

    assert summary.customers == 3


def test_failed_night_leaves_the_state_as_it_was(monkeypatch: pytest.MonkeyPatch):
    nights = Nights()
    nights.next(_world())
    before = nights.tables()
    monkeypatch.setattr("pipelines.identity.history.write_seen", _fail)

    with pytest.raises(RuntimeError):
        nights.next(_world().plus(lead("new")))

    assert nights.tables() == before
    monkeypatch.undo()
    assert nights.again(_world().plus(lead("new"))).events == {"LINKED": 1}


def _fail(*_: object) -> None:
    raise RuntimeError


def test_a_night_that_the_database_refuses_says_why_and_the_next_one_runs(monkeypatch: pytest.MonkeyPatch):
    nights = Nights()
    nights.next(_world())
    monkeypatch.setattr("pipelines.identity.history.write_seen", lambda con, *_: con.execute("select error('disk')"))

    with pytest.raises(duckdb.Error, match="disk"):
        nights.next(_world().plus(lead("new")))

    monkeypatch.undo()
    assert nights.again(_world().plus(lead("new"))).events == {"LINKED": 1}


def test_no_temporary_table_is_left_behind():
    nights = Nights()

    nights.next(_world())

    assert nights.rows("select table_name from duckdb_tables() where temporary") == []


@pytest.mark.parametrize(
    ("addition", "code", "rows"),
    [
        (World((Record("lead:leads:lead", "lead"),)), "duplicate_key", (("lead:leads:lead", 2),)),
        (World((Record("pet:1", "pet"),)), "unknown_kind", (("pet:1", "pet"),)),
        (
            World(facts=(Fact("lead:leads:ghost", "phone", "1"), Fact("fan:ghost", "phone", "2"))),
            "unknown_key",
            (("fan:ghost", "phone", "2"), ("lead:leads:ghost", "phone", "1")),
        ),
    ],
)
def test_rows_that_cannot_be_resolved_are_refused_by_name(addition: World, code: str, rows: tuple):
    nights = Nights()

    with pytest.raises(IdentityInputError) as refusal:
        nights.next(_world().plus(addition))

    assert (refusal.value.code, refusal.value.rows) == (code, rows)


def test_empty_values_are_ignored():
    nights = Nights()
    keys = [record.key for record in _world().records]

    nights.next(replace(_world(), facts=tuple(Fact(key, "phone", value) for key in keys for value in ("", None))))

    assert len(nights.together()) == 3


def test_night_without_records_is_possible():
    nights = Nights()

    summary = nights.next(World())

    assert (summary.identities, summary.customers, summary.largest) == (0, 0, 0)
    assert nights.next(_world()).events == {"LINKED": 3}


def test_missing_tier_and_position_follow_the_kind_of_value():
    nights = Nights()
    world = _world()

    nights.next(replace(world, facts=tuple(replace(fact, tier=None, position=None) for fact in world.facts)))

    assert len(nights.together()) == 2


def test_records_without_a_first_sight_come_last():
    nights = Nights()
    late = Record("patient:saas:a", "patient", None, "王芳")

    nights.next(World((late,), (Fact(late.key, "phone", phone(1)),)).plus(fan("z", seen=9, phone=phone(1))))

    assert nights.rows("select founder_key from identity.registry") == [("official_account_fan:wx:z",)]


def test_nights_count_in_days_not_in_runs():
    nights = Nights()
    nights.next(_world())
    nights.night = date(2027, 1, 1)

    assert nights.again(_world().plus(lead("new"))).night == date(2027, 1, 1)
