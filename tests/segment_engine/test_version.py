"""Who the customers of a version are, on its day and on earlier ones; former ids, labels, and what cannot be asked."""

import shutil
from collections.abc import Iterator
from datetime import date

import duckdb
import pytest

from pipelines.settings import PipelineSettings
from segment_engine.layout import Layout, Stored
from segment_engine.problems import InvalidFilterError
from segment_engine.runtime.explain import explain
from segment_engine.runtime.preview import preview
from segment_engine.runtime.published import read_pointer
from segment_engine.runtime.version import (
    UnknownCustomerError,
    customer_key_of,
    one_ids_of,
    open_audiences,
    read_labels,
)
from tests.segment_engine.asking_night import Night, all_of, did_not, is_, open_night, share

MOVED, NEWCOMER, GONE = 1, 2, 1_000_000
THEN = date(2026, 11, 10)
# Customer 1 lived elsewhere until THEN, customer 2 was written down later, and one was merged into another since.
CHANGES = f"""
update marts.customer_attribute_history set valid_from = date '2026-11-01';
insert into marts.customer_attribute_history
    select * replace (date '2026-11-12' as valid_to, '旧城' as city)
    from marts.customer_attribute_history where customer_key = {MOVED};
update marts.customer_attribute_history set valid_from = date '2026-11-12'
    where customer_key = {MOVED} and valid_to is null;
update marts.customer_attribute_history set valid_from = date '2026-11-15' where customer_key = {NEWCOMER};
insert into marts.customer_attribute_history
    select * replace ({GONE} as customer_key, date '2026-11-12' as valid_to, '旧城' as city)
    from marts.customer_attribute_history where customer_key = {NEWCOMER};
insert into marts.one_id_alias
    select 'Cformer', 99999, one_id, customer_key from marts.dim_customer where customer_key = 1;
"""


@pytest.fixture(scope="module")
def changed(night: PipelineSettings, tmp_path_factory: pytest.TempPathFactory) -> PipelineSettings:
    """The night with a history: a copy of its file, changed by hand."""
    root = tmp_path_factory.mktemp("changed")
    pointer = read_pointer(night.folders)
    shutil.copytree(night.folders.published, root / "published")
    with duckdb.connect(str(root / "published" / pointer.file)) as connection:
        connection.execute(CHANGES)
    return PipelineSettings(data_dir=root)


@pytest.fixture
def today(changed: PipelineSettings) -> Iterator[Night]:
    with open_night(changed) as opened:
        yield opened


@pytest.fixture
def then(changed: PipelineSettings) -> Iterator[Night]:
    with open_night(changed, THEN) as opened:
        yield opened


def everyone(asked: Night) -> set[int]:
    return set(asked.opened.version.everyone.keys().tolist())


def test_on_its_own_day_everybody_is_a_customer(today: Night) -> None:
    ((count,),) = today.connection.execute("select count(*) from marts.dim_customer").fetchall()

    assert len(today.opened.version.everyone) == count
    assert not today.opened.is_past


def test_on_an_earlier_day_customers_are_those_of_today_who_were_there(today: Night, then: Night) -> None:
    assert everyone(then) == everyone(today) - {NEWCOMER}
    assert (then.opened.is_past, then.opened.is_before_history) == (True, False)


def test_a_filter_of_an_earlier_day_reads_what_was_known_then(today: Night, then: Night) -> None:
    lived_there = all_of(is_("city", "eq", "旧城"))
    tree = then.checked(lived_there)

    found = preview(tree, then.opened, then.connection, audiences=then.nobody)

    assert set(found.sample) == then.selected(tree) == {MOVED}
    assert today.selected(today.checked(lived_there)) == set()
    city = explain(tree, then.opened, then.connection, MOVED, audiences=then.nobody).root.parts[0]
    assert (city.holds, city.observed[0].value) == (True, "旧城")


def test_on_an_earlier_day_the_clinics_of_then_count(changed: PipelineSettings, then: Night) -> None:
    ((clinic,),) = then.connection.execute(
        "select clinic_ids[1] from marts.customer_attribute_history where customer_key = 1 and valid_to is not null"
    ).fetchall()
    query = f"""
        select customer_key from marts.customer_attribute_history
        where valid_from <= $then and (valid_to is null or valid_to > $then) and customer_key <> {GONE}
            and list_distinct(clinic_ids) <> [$clinic]
    """
    values = {"then": THEN, "clinic": clinic}
    elsewhere = {key for (key,) in then.connection.execute(query, values).fetchall()}

    with open_night(changed, THEN, without=[clinic]) as rest:
        left = everyone(rest)

        assert left == elsewhere == rest.selected(rest.checked(all_of(share(0, 100))))
        assert left < everyone(then)


def test_fields_without_history_cannot_be_asked_of_an_earlier_day(then: Night) -> None:
    with pytest.raises(InvalidFilterError) as refused:
        then.checked(all_of(is_("age", "gt", 3)))

    assert [problem.code for problem in refused.value.problems] == ["not_known_then"]


def test_before_history_customers_are_those_who_had_come_and_attributes_are_refused(changed: PipelineSettings) -> None:
    with open_night(changed, date(2026, 10, 1)) as asked:
        query = "select customer_key from marts.dim_customer where created_at::date <= date '2026-10-01'"
        came = {key for (key,) in asked.connection.execute(query).fetchall()}

        with pytest.raises(InvalidFilterError) as refused:
            asked.checked(all_of(is_("city", "is_set")))

        assert asked.opened.is_before_history
        assert everyone(asked) == came
        assert asked.selected(asked.checked(all_of(did_not("visit"), share(0, 100)))) < came
        assert [problem.code for problem in refused.value.problems] == ["before_history"]


def test_a_layout_says_how_many_keys_there_are_and_until_when_rows_are_known(today: Night) -> None:
    known_until = today.opened.as_of.replace(microsecond=0)
    stored = Stored("engine.visit", 1, frozenset(), {}, known_until)
    layout = Layout(5_000, Stored("engine.customer", 5_000, frozenset(), {}), {"visit": stored})

    opened = open_audiences(
        today.connection,
        today.opened.catalog,
        zone="Asia/Shanghai",
        published_on=today.opened.as_of.date(),
        as_of=today.opened.as_of,
        layout=layout,
    )

    assert opened.version.keys == 5_000
    assert set(opened.version.everyone.keys().tolist()) == everyone(today)
    assert opened.known == {"visit": known_until}


def test_a_customer_is_found_by_a_former_id(today: Night) -> None:
    (one_id,) = one_ids_of(today.connection, today.opened.catalog, [MOVED])

    found = [customer_key_of(today.connection, today.opened.catalog, one) for one in (one_id, "Cformer")]

    assert found == [MOVED, MOVED]


def test_an_unknown_id_is_named(today: Night) -> None:
    with pytest.raises(UnknownCustomerError, match="C0 / 没有客户 C0"):
        customer_key_of(today.connection, today.opened.catalog, "C0")


def test_labels_are_those_of_the_dictionaries(today: Night) -> None:
    clinics = dict(today.connection.execute("select clinic_id, clinic_name from marts.dim_clinic").fetchall())

    labels = read_labels(today.connection, today.opened.catalog)

    assert {value: label for (table, value), label in labels.items() if table == "marts.dim_clinic"} == clinics
