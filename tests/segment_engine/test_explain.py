"""Explanations of one customer: true exactly where the filter selects them, with what speaks for it, and no more."""

import random
from collections.abc import Iterator
from datetime import date

import pytest

from pipelines.settings import PipelineSettings
from segment_engine.predicates import InAudience
from segment_engine.problems import pointer
from segment_engine.runtime.bitmaps import Bitmap, of_keys
from segment_engine.runtime.explain import NotACustomerThenError, Telling, explain
from segment_engine.runtime.explanation import ExplainedNode
from segment_engine.runtime.preview import preview
from segment_engine.runtime.version import asking_for, read_labels
from segment_engine.tree import AudienceKind
from tests.segment_engine.asking_night import (
    FILTERS,
    OF_ROWS,
    PERMISSIONS,
    Json,
    Night,
    all_of,
    days,
    did,
    did_not,
    is_,
    measured,
    open_night,
    row,
    sequence,
    step,
)

LONG_AGO = date(2026, 10, 1)


@pytest.fixture(scope="module")
def asked(night: PipelineSettings) -> Iterator[Night]:
    with open_night(night) as opened:
        yield opened


def told(asked: Night, document: Json, key: int) -> ExplainedNode:
    return explain(asked.checked(document), asked.opened, asked.connection, key, audiences=asked.nobody).root


def nodes(root: ExplainedNode) -> Iterator[ExplainedNode]:
    yield root
    for part in root.parts:
        yield from nodes(part)


def some_customers(asked: Night, members: set[int]) -> list[int]:
    everyone = asked.opened.version.everyone.keys().tolist()
    return random.Random(3).sample(everyone, 8) + sorted(members)[:4]


def assert_every_node_is_as_selected(asked: Night, document: Json) -> None:
    tree = asked.checked(document)
    members = asked.selected(tree)
    found = preview(tree, asked.opened, asked.connection, audiences=asked.nobody).answer.members
    for key in some_customers(asked, members):
        root = explain(tree, asked.opened, asked.connection, key, audiences=asked.nobody).root

        assert root.holds == (key in members)
        truths = {pointer(place): key in bitmap for place, bitmap in found.items()}  # type: ignore[arg-type]
        assert {node.path: node.holds for node in nodes(root)} == truths


@pytest.mark.parametrize("name", FILTERS)
def test_every_node_is_true_where_the_filter_selects_the_customer(asked: Night, name: str) -> None:
    assert_every_node_is_as_selected(asked, FILTERS[name])


@pytest.mark.parametrize("name", OF_ROWS)
def test_so_it_is_on_an_earlier_day(night: PipelineSettings, name: str) -> None:
    with open_night(night, LONG_AGO) as asked:
        assert_every_node_is_as_selected(asked, OF_ROWS[name])


@pytest.mark.parametrize("name", [name for name in OF_ROWS if "sequence" in name])
def test_a_chain_is_shown_where_there_is_one_and_else_what_is_missing(asked: Night, name: str) -> None:
    tree = asked.checked(OF_ROWS[name])
    for key in some_customers(asked, asked.selected(tree)):
        for node in nodes(explain(tree, asked.opened, asked.connection, key, audiences=asked.nobody).root):
            if node.kind != "sequence":
                continue
            there_is_one = node.holds != ("没有依次" in node.sentence.zh)

            assert bool(node.evidence) == there_is_one
            assert (node.missing is None) == there_is_one
            assert [one.step for one in node.evidence] == list(range(1, len(node.evidence) + 1))


def test_the_newest_rows_that_where_kept_are_shown_and_measured(asked: Night) -> None:
    where, having = row("visit_type", "neq", "初诊"), [measured("count", "gte", 6), measured("days", "gte", 1)]
    document = all_of(did("visit", where, having=having))
    key = min(asked.selected(asked.checked(document)))
    query = "select visited_at from marts.fct_visit where customer_key = ? and visit_type <> '初诊' order by 1 desc"
    moments = [moment for (moment,) in asked.connection.execute(query, [key]).fetchall()]

    (node,) = told(asked, document, key).parts

    shown = [{one.name: one.value for one in evidence.fields} for evidence in node.evidence]
    assert [one["visited_at"] for one in shown] == [
        moment.astimezone(asked.opened.as_of.tzinfo).isoformat() for moment in moments[:5]
    ]
    assert node.rows == len(moments)
    assert [(one.path, one.value) for one in node.measures] == [
        ("/rules/0/having/0", len(moments)),
        ("/rules/0/having/1", len({moment.date() for moment in moments})),
    ]


def test_rows_speak_against_a_rule_that_says_there_are_none(asked: Night) -> None:
    key = min(asked.selected(asked.checked(all_of(did("visit")))))

    (node,) = told(asked, all_of(did_not("visit")), key).parts

    assert not node.holds
    assert node.rows
    assert node.evidence[0].source == "visit"


def test_a_chain_of_rows_that_are_not_there_says_which_step(asked: Night) -> None:
    impossible = row("score10", "gt", 10)
    document = all_of(sequence(step("visit"), step("review", impossible), within=days(9)))
    key = min(asked.selected(asked.checked(all_of(did("visit")))))

    (node,) = told(asked, document, key).parts

    assert node.missing is not None
    assert node.missing.zh.startswith("没有符合第 2 步的记录(")


def test_money_is_in_yuan_and_moments_in_the_tenants_zone(asked: Night) -> None:
    document = all_of(is_("paid_fen", "gt", 0), is_("last_visit_at", "is_set"))
    key = min(asked.selected(asked.checked(document)))
    query = "select paid_fen, last_visit_at from marts.dim_customer where customer_key = ?"
    fen, visited_at = asked.connection.execute(query, [key]).fetchall()[0]

    paid, visited = told(asked, document, key).parts

    assert str(paid.observed[0].value) == f"{fen // 100}.{fen % 100:02}"
    assert visited.observed[0].value == visited_at.astimezone(asked.opened.as_of.tzinfo).isoformat()


def test_what_is_missing_is_none_and_counts_of_nothing_are_zero(asked: Night) -> None:
    having = [measured("count", "lt", 2), measured("sum", "gt", 1, field="net_paid_fen")]
    document = all_of(is_("city", "not_set"), did("bill", having=having, include_zero=True))
    nobody_known = all_of(is_("city", "not_set"), did_not("bill"))
    key = min(asked.selected(asked.checked(nobody_known)))

    city, bills = told(asked, document, key).parts

    assert city.observed[0].value is None
    assert [one.value for one in bills.measures] == [0, None]


def test_masked_fields_are_shown_only_to_whom_they_may_be(asked: Night) -> None:
    tree = asked.checked(all_of(is_("name", "is_set")))
    key = min(asked.selected(tree))
    arguments = (tree, asked.opened, asked.connection, key)
    seeing = Telling(asking_for(asked.opened, permissions=PERMISSIONS))

    masked = explain(*arguments, audiences=asked.nobody).root.parts[0].observed[0]
    clear = explain(*arguments, audiences=asked.nobody, telling=seeing).root.parts[0].observed[0]

    assert (masked.value, masked.is_hidden) == (None, True)
    assert clear.value and not clear.is_hidden


def test_options_of_another_table_have_their_labels(asked: Night) -> None:
    labels = read_labels(asked.connection, asked.opened.catalog)
    tree = asked.checked(all_of(is_("clinic_id", "is_set")))
    key = min(asked.selected(tree))

    found = explain(tree, asked.opened, asked.connection, key, audiences=asked.nobody, telling=Telling(labels=labels))

    (clinic,) = found.root.parts[0].observed
    assert clinic.text == labels["marts.dim_clinic", str(clinic.value)]


def test_each_tag_is_told_by_itself(asked: Night) -> None:
    tree = asked.checked(all_of({"kind": "tag", "operator": "not_in", "tag_ids": [1, 2]}), tags={1, 2})

    def tagged(one: InAudience) -> Bitmap:
        return of_keys(asked.opened.version.everyone.keys(first=1 if one.id == 2 else 0), asked.opened.version.keys)

    key = int(asked.opened.version.everyone.keys(first=1)[0])
    telling = Telling(names={(AudienceKind.TAG, 2): "高价值"})

    (node,) = explain(tree, asked.opened, asked.connection, key, audiences=tagged, telling=telling).root.parts

    assert not node.holds
    assert [(one.id, one.name, one.holds) for one in node.audiences] == [(1, None, False), (2, "高价值", True)]


def test_nobody_is_explained_before_they_came(night: PipelineSettings) -> None:
    with open_night(night, LONG_AGO) as asked:
        query = "select min(customer_key) from marts.dim_customer where created_at > ?"
        ((newcomer,),) = asked.connection.execute(query, [asked.opened.as_of]).fetchall()

        with pytest.raises(NotACustomerThenError):
            told(asked, all_of(did("visit")), newcomer)
