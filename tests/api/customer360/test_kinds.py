"""The table of kinds, held against the marts that it speaks of."""

import re
from collections import defaultdict

import pytest

from api.customer360.kind import FactType, Kind, Side
from api.customer360.kinds import ALL, KINDS
from tests.api.customer360.conftest import Sql

# Rows of these are activity only where they say so; of every other mart each moment of a row is some activity.
PARTLY = {
    ("fct_appointment", "scheduled_at"): "status = '爽约'",
    ("fct_follow_up", "done_at"): "status = '已完成'",
    ("fct_visit", "visited_at"): "status <> '已取消'",
    ("fct_checkin_slot", "checked_in_at"): "is_done",
}
TYPES = {
    FactType.TEXT: "VARCHAR",
    FactType.TEXTS: "VARCHAR[]",
    FactType.INTEGER: "BIGINT",
    FactType.MONEY: "BIGINT",
    FactType.TRUTH: "BOOLEAN",
    FactType.DAY: "DATE",
    FactType.MOMENT: "TIMESTAMP WITH TIME ZONE",
}


def groups() -> dict[tuple[str, str], list[Kind]]:
    found: dict[tuple[str, str], list[Kind]] = defaultdict(list)
    for kind in ALL:
        found[kind.table, kind.moment].append(kind)
    return found


@pytest.mark.parametrize(("table", "moment"), sorted(groups()))
def test_every_moment_of_a_row_is_of_exactly_one_kind(sql: Sql, table: str, moment: str) -> None:
    kinds = groups()[table, moment]
    matches = " + ".join(f"coalesce(({kind.when}), false)::integer" for kind in kinds)
    expected = PARTLY.get((table, moment), "true")

    found = sql(f"select distinct {matches} from {table} where {moment} is not null and {expected}")
    other = sql(f"select count(*) from {table} where {moment} is not null and not ({expected}) and ({matches}) > 0")

    assert found in ([(1,)], [])
    assert other == [(0,)]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.name)
def test_a_kind_reads_columns_that_are_there_and_of_the_type_it_says(sql: Sql, kind: Kind) -> None:
    columns = {name: type_name for name, type_name, *_ in sql(f"describe {kind.table}")}

    read = {*kind.key, kind.customer, kind.moment, kind.title, kind.clinic, kind.staff} - {None}
    assert read <= set(columns)
    for fact in kind.facts:
        wanted = "DECIMAL" if fact.type is FactType.DECIMAL else TYPES[fact.type]
        assert columns[fact.column].split("(")[0] == wanted, fact.column


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.name)
def test_a_key_tells_rows_of_a_kind_apart(sql: Sql, kind: Kind) -> None:
    key = ", ".join(kind.key)

    twice = sql(f"select {key} from {kind.table} where {kind.when} and {kind.moment} is not null "
                f"group by {key} having count(*) > 1")  # fmt: skip

    assert twice == []


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.name)
def test_what_analysts_may_not_read_is_free_text(sql: Sql, kind: Kind) -> None:
    open_columns = {name for name, *_ in sql(f"describe {kind.table}")}
    if sql("select 1 from duckdb_views() where schema_name = 'analyst' and view_name = ?", kind.table):
        open_columns = {name for name, *_ in sql(f"describe analyst.{kind.table}")}

    hidden = {fact.column for fact in kind.facts if fact.column not in open_columns}

    assert hidden <= {fact.column for fact in kind.facts if fact.is_free_text}


def test_names_and_labels_tell_kinds_apart() -> None:
    assert len(KINDS) == len(ALL)
    assert all(re.fullmatch(r"[a-z_]+", name) for name in KINDS)
    assert len({kind.label_zh for kind in ALL}) == len({kind.label_en for kind in ALL}) == len(ALL)


def test_customers_act_and_staff_follow_up() -> None:
    """S003 7.2.1: 客户有预约、参与小程序活动;员工填写随访、回访、咨询记录."""
    sides = {kind.name: kind.side for kind in ALL}

    own = ("appointment_made", "visit", "payment", "mini_program", "official_account", "checkin", "review")
    assert {sides[name] for name in own} == {Side.CUSTOMER}
    theirs = ("after_care", "return_visit", "consultation", "medical_record", "lead_follow_up", "checkin_made_up")
    assert {sides[name] for name in theirs} == {Side.STAFF}
    assert {sides[name] for name in ("points_earned", "points_expired", "appointment_missed")} == {Side.NEITHER}
