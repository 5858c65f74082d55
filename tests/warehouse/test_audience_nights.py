"""What nights make of tags and segments: the same to analysts and marketers, whatever happens in between."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import insert, text

from api.storage.audiences import Calculation, NewVersion, commit_versions, drop_versions
from api.storage.database import Database
from api.storage.tables.audiences import audience_reference
from api.storage.tables.clinics import clinic_service
from pipelines import steps
from pipelines.audiences import Served, served
from pipelines.settings import PipelineSettings
from pipelines.stored_audiences import recalculate
from pipelines.warehouse import audiences as night_of_audiences
from pipelines.warehouse.audience_tables import COMMENTS
from segment_engine.runtime.published import read_pointer
from tests.audiences import (
    EVERYONE,
    NOBODY,
    WRONG,
    add_audience,
    all_of,
    change,
    define,
    in_segment,
    in_tag,
    put_in,
    share,
    take_out,
)
from tests.conftest import END_ON, MORNING
from tests.warehouse.audience_nights import READ_BEFORE, Nights

WOMEN = all_of({"kind": "attribute", "field": "gender", "operator": "eq", "value": "女"})
MEN = all_of({"kind": "attribute", "field": "gender", "operator": "eq", "value": "男"})
VISITED = all_of({"kind": "activity", "source": "visit", "occurrence": "did"})
OF_WOMEN = "select customer_key from marts.dim_customer where gender = '女'"
OF_MEN = "select customer_key from marts.dim_customer where gender = '男'"


def ids_of(nights: Nights, count: int) -> list[str]:
    return [one for (one,) in nights.ask(f"select one_id from marts.dim_customer order by customer_key limit {count}")]


def test_tables_and_pointers_hold_what_the_rules_say(nights: Nights) -> None:
    first, second, third = ids_of(nights, 3)
    add_audience(nights.store, 1, WOMEN)
    add_audience(nights.store, 2, VISITED, kind="tag")
    add_audience(nights.store, 3, all_of(in_segment(1), in_tag(2)))
    add_audience(nights.store, 4, is_smart=False)
    put_in(nights.store, 4, [first, second, third, "Cnobody"])
    take_out(nights.store, 4, [third], at=datetime(2026, 11, 5, 1, tzinfo=UTC))
    add_audience(nights.store, 5, all_of(in_segment(4)))
    add_audience(nights.store, 6, WRONG)
    add_audience(nights.store, 7, all_of(in_segment(6)))
    change(nights.store, add_audience(nights.store, 8, EVERYONE), is_enabled=False)
    change(nights.store, add_audience(nights.store, 9, EVERYONE), deleted_at=nights.now)

    facts = nights.night()

    visited = nights.members(2)
    women = nights.keys(OF_WOMEN)
    assert visited == nights.keys("select distinct customer_key from marts.fct_visit")
    assert (nights.members(1), nights.members(3)) == (women, women & visited)
    assert nights.members(4) == nights.members(5) == {0, 1}
    assert all(nights.members(number) == set() for number in (6, 7, 8, 9))
    assert nights.served().keys() == {1, 2, 3, 5}
    assert (nights.problems(6), nights.problems(7)) == (["unknown_field"], ["reference_failed"])
    assert (facts["calculated"], facts["refused"], facts["audiences served"]) == (4, 2, 4)
    told = nights.ask("select audience_id, audience_kind, is_smart, is_enabled, is_deleted, member_count from audience")
    assert {one[0]: one[1:] for one in told} == {
        1: ("segment", True, True, False, len(women)), 2: ("tag", True, True, False, len(visited)),
        3: ("segment", True, True, False, len(women & visited)), 4: ("segment", False, True, False, 2),
        5: ("segment", True, True, False, 2), 6: ("segment", True, True, False, 0),
        7: ("segment", True, True, False, 0), 8: ("segment", True, False, False, 0),
        9: ("segment", True, True, True, 0),
    }  # fmt: skip
    changes = nights.ask("select customer_key, change, reason from audience_changes where audience_id = 4 order by all")
    assert changes == [(0, "entered", "staff"), (1, "entered", "staff"), (2, "entered", "staff"), (2, "left", "bulk")]
    assert nights.wrongs() == []


def test_a_second_night_tells_who_entered_who_left_and_whom_a_merge_moved(nights: Nights) -> None:
    add_audience(nights.store, 1, WOMEN)
    add_audience(nights.store, 2, share(0, 50))
    add_audience(nights.store, 3, is_smart=False)
    nights.night()
    women, men, some = nights.keys(OF_WOMEN), nights.keys(OF_MEN), nights.members(2)
    everybody = nights.keys("select customer_key from marts.dim_customer")
    # One member is merged into a member, one into somebody outside.
    gone, within, moved = sorted(some)[:3]
    outside = min(everybody - some)
    define(nights.store, 1, MEN)
    put_in(nights.store, 3, [nights.merge(gone, within)])
    nights.merge(moved, outside)
    first_at, second_at = nights.now, nights.now + timedelta(hours=1)

    nights.night()

    assert nights.members(1) == men - {gone, moved}
    assert nights.members(3) == {within}
    assert nights.members(2) == some - {gone, moved}
    changes = nights.ask(
        "select customer_key, change, reason from audience_changes where audience_id = 2 and definition = 1 "
        "and changed_at = $at order by all",
        at=second_at,
    )
    # Shares are of ids, so the survivor outside stays outside.
    assert changes == [(gone, "left", "merge"), (moved, "left", "rule")]
    intervals = nights.ask("select customer_key, entered_at, left_at from audience_membership where audience_id = 1")
    assert {one[0] for one in intervals if one[1:] == (first_at, second_at)} == women
    assert {one[0] for one in intervals if one[1:] == (second_at, None)} == men - {gone, moved}
    assert len(intervals) == len(women) + len(men - {gone, moved})
    assert {(one.definition, one.member_count) for one in nights.versions() if one.audience_id == 1} == {
        (1, len(women)), (2, len(men - {gone, moved})),
    }  # fmt: skip
    assert nights.wrongs() == []


def test_one_that_is_refused_keeps_the_members_of_when_it_went_well(nights: Nights) -> None:
    add_audience(nights.store, 1, WOMEN)
    add_audience(nights.store, 2, all_of(in_segment(1)))
    nights.night()
    women = nights.keys(OF_WOMEN)
    gone, heir = sorted(women)[:2]
    define(nights.store, 1, WRONG)
    nights.merge(gone, heir)

    nights.night()

    assert nights.members(1) == nights.members(2) == women - {gone}
    assert {one: version.number for one, version in nights.served().items()} == {1: 1, 2: 1}
    assert (nights.problems(1), nights.problems(2)) == (["unknown_field"], ["reference_failed"])

    define(nights.store, 1, WOMEN)
    nights.night()

    assert (nights.problems(1), nights.problems(2)) == ([], [])
    assert nights.wrongs() == []


def test_one_that_was_disabled_or_deleted_keeps_its_history_and_has_no_members(nights: Nights) -> None:
    for number in (1, 2, 3):
        add_audience(nights.store, number, WOMEN)
    nights.night()
    women = len(nights.keys(OF_WOMEN))
    change(nights.store, 2, is_enabled=False)
    change(nights.store, 3, deleted_at=nights.now)

    nights.night()

    listed = nights.ask("select audience_id, count(*) from marts.audience_members group by all order by all")
    history = nights.ask("select audience_id, count(*) from marts.audience_changes group by all order by all")
    assert listed == [(1, women)]
    assert history == [(1, women), (2, women), (3, women)]


def test_one_that_was_disabled_while_the_night_ran_is_not_served(nights: Nights) -> None:
    add_audience(nights.store, 1, WOMEN)
    add_audience(nights.store, 2, MEN)
    nights.calculate()
    change(nights.store, 2, is_enabled=False)

    assert nights.publish()[1]["audiences not wanted any more"] == 1
    assert nights.served().keys() == {1}
    nights.night()
    assert nights.wrongs() == []


def test_a_calculation_that_came_between_is_compared_with_and_the_next_night_tells_it_right(nights: Nights) -> None:
    add_audience(nights.store, 1, share(0, 30))
    add_audience(nights.store, 2, MEN)
    nights.night()
    customers = nights.keys("select customer_key from marts.dim_customer")
    nights.marts("delete from marts.dim_customer where customer_key = $key", key=min(nights.members(1)))
    nights.calculate()
    assert nights.on_demand(1).done == [1]

    nights.publish()

    # The night's data are newer than those that were asked between.
    assert [(one.number, one.trigger) for one in nights.versions() if one.audience_id == 1] == [
        (1, "nightly"), (2, "manual"), (3, "nightly"),
    ]  # fmt: skip
    assert nights.pointed(1) == nights.members(1)
    assert len(nights.pointed(1)) < len(customers)
    nights.night()
    assert nights.wrongs() == []


def test_whoever_names_one_with_a_newer_rule_stays_with_it(nights: Nights) -> None:
    add_audience(nights.store, 1, WOMEN)
    add_audience(nights.store, 2, all_of(in_segment(1)))
    nights.store.write(
        lambda connection: connection.execute(insert(audience_reference).values(audience_id=2, refers_to=1))
    )
    nights.night()
    nights.calculate()
    define(nights.store, 1, MEN)
    assert nights.on_demand(1, 2).done == [1, 2]

    nights.publish()

    assert nights.pointed(1) == nights.pointed(2) == nights.keys(OF_MEN)
    nights.night()
    assert nights.wrongs() == []


def test_what_happened_since_a_night_read_the_rules_is_told_and_not_what_it_knows(nights: Nights) -> None:
    add_audience(nights.store, 1, WOMEN)
    add_audience(nights.store, 2, WRONG)
    nights.night()
    nights.calculate()
    meanwhile = nights.now - READ_BEFORE / 2
    found_since = [{"code": "rule_invalid", "path": "", "message_zh": "规则失效", "message_en": "invalid"}]
    change(nights.store, 1, problems=found_since, failed_at=meanwhile)
    define(nights.store, 2, MEN)
    assert nights.on_demand(2, at=meanwhile).done == [2]

    nights.publish()

    assert (nights.problems(1), nights.problems(2)) == (["rule_invalid"], [])


def test_who_is_only_at_an_ended_clinic_is_in_no_static_one_either(nights: Nights) -> None:
    ((clinic, gone),) = nights.ask(
        "select clinic_ids[1], any_value(one_id) from marts.dim_customer where len(clinic_ids) = 1 group by all "
        "order by all limit 1"
    )
    stays = next(one for one in ids_of(nights, 100) if clinic not in clinics_of(nights, one))
    add_audience(nights.store, 1, is_smart=False)
    put_in(nights.store, 1, [gone, stays])
    nights.night()
    assert len(nights.members(1)) == 2
    ended = {"status": "ended", "since": END_ON, "changed_by": "test", "changed_at": nights.now, "version": 1}
    nights.store.write(lambda connection: connection.execute(insert(clinic_service).values(clinic_id=clinic, **ended)))

    nights.night()

    assert nights.members(1) == nights.keys("select customer_key from marts.dim_customer where one_id = $id", id=stays)


def clinics_of(nights: Nights, one_id: str) -> list[str]:
    ((clinics,),) = nights.ask("select clinic_ids from marts.dim_customer where one_id = $id", id=one_id)
    return list(clinics or ())


def test_what_is_kept_tells_who_was_in_though_older_calculations_are_forgotten(nights: Nights) -> None:
    add_audience(nights.store, 1, share(0, 50))
    add_audience(nights.store, 2, WOMEN)
    nights.night()
    define(nights.store, 1, share(20, 60))
    nights.night()
    then, second_at = nights.members(1), nights.now
    define(nights.store, 1, share(30, 90))
    nights.night()
    third_at = nights.now
    dropped = nights.store.write(partial(drop_versions, before=third_at - timedelta(minutes=1)))

    nights.night()

    assert dropped == 2
    assert set(nights.wrongs()) <= {"numbers have gaps"}
    at_second = "select customer_key from audience_membership where audience_id = 1 and entered_at = $at"
    assert nights.keys(at_second, at=second_at) == then
    reasons = nights.ask(
        "select changed_at, change, reason from audience_changes where audience_id = 1 group by all order by all"
    )
    assert reasons == [
        (second_at, "entered", "earlier"), (third_at, "entered", "rule"), (third_at, "left", "rule"),
    ]  # fmt: skip
    history = nights.ask("from marts.smart_audience_change order by all")
    nights.marts("drop table marts.smart_audience_change; drop table marts.audience_version")
    nights.night()
    assert nights.ask("from marts.smart_audience_change order by all") == history


def test_a_newer_rule_that_was_calculated_between_stays(nights: Nights) -> None:
    add_audience(nights.store, 1, WOMEN)
    nights.calculate()
    define(nights.store, 1, MEN)
    assert nights.on_demand(1).done == [1]

    facts = nights.publish()[1]

    assert facts["audiences not wanted any more"] == 1
    assert nights.pointed(1) == nights.keys(OF_MEN)
    nights.night()
    assert nights.wrongs() == []


def test_the_command_serves_what_it_calculates_and_tells_the_rest(nights: Nights) -> None:
    add_audience(nights.store, 1, WOMEN)
    add_audience(nights.store, 2, WRONG)
    add_audience(nights.store, 3, is_smart=False)

    told = recalculate(nights.settings, [1, 2, 3], partial(served, nights.settings), MORNING)

    women = nights.keys(OF_WOMEN)
    assert (told.counts, told.refused.keys(), told.overtaken, told.unknown) == ({1: len(women)}, {2}, [], [3])
    assert nights.pointed(1) == women
    assert nights.served()[1].trigger == "manual"


def test_the_command_leaves_what_a_night_served_while_it_had_the_version_before_open(nights: Nights) -> None:
    add_audience(nights.store, 1, WOMEN)
    nights.night()

    @contextmanager
    def night_comes() -> Iterator[Served]:
        with served(nights.settings) as opened:
            tomorrow = opened.pointer.as_of + timedelta(days=1)
            newer = Calculation("tomorrow", tomorrow, nights.now, "nightly", "system:nightly")
            version = NewVersion(1, 1, 1, 0, 0, 0, nights.served()[1].file.replace("-", "_"))
            nights.store.write(lambda connection: commit_versions(connection, [version], newer))
            yield opened

    told = recalculate(nights.settings, [1], night_comes, MORNING)

    assert (told.counts, told.overtaken, told.unknown) == ({}, [1], [])
    assert nights.served()[1].warehouse == "tomorrow"


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"fingerprint": 1'], ids=["empty", "object", "list", "half"])
def test_what_waits_and_cannot_be_read_waits_for_nobody(nights: Nights, content: str) -> None:
    (nights.settings.folders.build / "audiences.json").write_text(content)

    assert steps.serve_audiences(nights.settings) == {}


def test_a_store_that_is_gone_is_no_reason_to_fail_every_night(nights: Nights) -> None:
    add_audience(nights.store, 1, WOMEN)
    nights.calculate()
    nights.store.close()
    nights.settings.folders.operational.unlink()

    nights.publish()

    assert nights.night()["calculated"] == 0


def test_tables_are_there_and_empty_where_there_is_no_store(small: PipelineSettings) -> None:
    with_no_store = Nights(small, None)

    with_no_store.night()

    for name in COMMENTS:
        assert with_no_store.ask(f"select count(*) from marts.{name}") == [(0,)]
    assert not small.folders.audiences.exists()
    assert not small.folders.operational.exists()


def test_an_older_store_without_the_tables_has_no_audiences(nights: Nights) -> None:
    for name in ("audience_member", "audience_version", "audience_reference", "audience_definition", "audience"):
        nights.store.write(lambda connection, name=name: connection.execute(text(f"drop table {name}")))

    assert nights.night()["calculated"] == 0


def test_lost_working_files_are_made_again_from_the_files_of_members(nights: Nights) -> None:
    add_audience(nights.store, 1, WOMEN)
    nights.night()
    define(nights.store, 1, MEN)
    nights.night()
    history = nights.ask("from marts.smart_audience_change order by all")
    for name in ("smart_audience_change", "audience_version"):
        nights.marts(f"drop table marts.{name}")

    nights.night()

    assert nights.ask("from marts.smart_audience_change order by all") == history
    assert nights.wrongs() == []


def test_a_lost_file_of_members_leaves_a_gap(nights: Nights) -> None:
    add_audience(nights.store, 1, WOMEN)
    nights.night()
    add_audience(nights.store, 2, WOMEN)
    define(nights.store, 1, MEN)
    nights.night()
    (lost,) = {one.file for one in nights.versions() if one.number == 1 and one.audience_id == 1}
    (nights.settings.folders.audiences / lost).unlink()
    nights.marts("drop table marts.smart_audience_change; drop table marts.audience_version")

    nights.night()

    assert nights.members(1) == nights.keys(OF_MEN)
    told = nights.ask("select distinct audience_id, version, has_entered from smart_audience_change order by all")
    assert told == [(1, 2, False), (1, 2, True), (2, 1, True)]


def test_lost_files_of_what_is_served_are_calculated_again(nights: Nights) -> None:
    add_audience(nights.store, 1, WOMEN)
    add_audience(nights.store, 2, MEN)
    nights.night()
    shutil.rmtree(nights.settings.folders.audiences)
    define(nights.store, 2, WRONG)
    add_audience(nights.store, 3, all_of(in_segment(2)))

    nights.night()

    assert nights.pointed(1) == nights.members(1) == nights.keys(OF_WOMEN)
    # Nobody knows any more who was in it.
    assert nights.members(2) == set()
    assert nights.problems(3) == ["reference_failed"]


def test_the_same_night_again_has_the_same_content(nights: Nights) -> None:
    add_audience(nights.store, 1, WOMEN)
    add_audience(nights.store, 2, is_smart=False)
    put_in(nights.store, 2, ids_of(nights, 5))
    nights.night()
    once = read_pointer(nights.settings.folders)

    facts = nights.night()

    again = read_pointer(nights.settings.folders)
    assert facts["status"] == "unchanged"
    assert (again.content_hashes, again.file) == (once.content_hashes, once.file)
    assert [(one.entered_count, one.left_count) for one in nights.versions()][1] == (0, 0)


def test_an_elsewhere_repeated_night_has_the_same_content(
    nights: Nights, small: PipelineSettings, tmp_path: Path
) -> None:
    add_audience(nights.store, 1, WOMEN)
    twin = tmp_path / "twin"
    shutil.copytree(small.data_dir, twin)
    other = Nights(PipelineSettings(data_dir=twin), Database(PipelineSettings(data_dir=twin)))

    nights.night()
    other.night()

    hashes = [read_pointer(one.settings.folders).content_hashes for one in (nights, other)]
    assert hashes[0] == hashes[1]
    other.store.close()


def test_fingerprints_tell_rules_and_static_members_and_not_calculations(nights: Nights) -> None:
    add_audience(nights.store, 1, NOBODY)
    add_audience(nights.store, 2, is_smart=False)
    nights.night()
    calculated = nights.take()
    nights.on_demand(1)
    assert nights.take() == calculated
    put_in(nights.store, 2, ids_of(nights, 1))
    with_a_member = nights.take()
    define(nights.store, 1, EVERYONE)

    assert len({calculated, with_a_member, nights.take()}) == 3


def test_every_table_and_column_is_described(nights: Nights) -> None:
    nights.night()

    described = nights.ask(
        "select table_name, list(column_name order by column_index) from duckdb_columns() "
        "where schema_name = 'marts' and comment is not null and table_name in $names group by all",
        names=list(COMMENTS),
    )

    assert dict(described) == {name: list(columns) for name, (_, columns) in COMMENTS.items()}


def test_the_day_of_the_shared_night_is_the_day_of_its_versions(nights: Nights) -> None:
    add_audience(nights.store, 1, EVERYONE)
    nights.night()

    (version,) = nights.versions()
    assert (version.as_of, version.warehouse) == (END_ON, read_pointer(nights.settings.folders).version)
    assert version.operator == night_of_audiences.OPERATOR
