"""Previews: the same customers as the filter's SQL, branch by branch, cut to what the caller sees, and in time."""

import threading
from collections.abc import Iterator
from time import perf_counter

import numpy as np
import pytest

from pipelines.settings import PipelineSettings
from segment_engine.problems import pointer
from segment_engine.runtime.audiences import Answer, LeafMemory
from segment_engine.runtime.bitmaps import of_keys
from segment_engine.runtime.leaves import Reading
from segment_engine.runtime.limited import Budget, QueryCancelledError, QueryTimeoutError
from segment_engine.runtime.plan_text import plan_text
from segment_engine.runtime.preview import Sight, below, preview, stable_sample
from tests.segment_engine.asking_night import (
    FILTERS,
    Json,
    Night,
    all_of,
    any_of,
    did,
    is_,
    measured,
    open_night,
    sequence,
    share,
    step,
)

WOMEN = is_("gender", "eq", "女")
BOMB: Json = any_of(
    *(
        sequence(*(step("mini_program_event") for _ in range(10)), within={"n": n, "unit": "month"})
        for n in range(1, 65)
    )
)


@pytest.fixture(scope="module")
def asked(night: PipelineSettings) -> Iterator[Night]:
    with open_night(night) as opened:
        yield opened


@pytest.mark.parametrize("name", FILTERS)
def test_filter_and_branches_are_counted_as_their_own_sql_does(asked: Night, name: str) -> None:
    tree = asked.checked(FILTERS[name])

    found = preview(tree, asked.opened, asked.connection, audiences=asked.nobody)

    members = asked.selected(tree)
    assert 0 < found.count == len(members) < len(asked.opened.version.everyone)
    assert set(found.sample) <= members
    assert [(branch.path, branch.count) for branch in found.branches] == [
        (pointer(node.place), len(asked.selected(asked.checked(alone(FILTERS[name], node.place)))))
        for node in below(tree)
    ]


@pytest.mark.parametrize("name", FILTERS)
def test_a_version_without_tables_of_the_engine_answers_the_same(
    asked: Night, night: PipelineSettings, name: str
) -> None:
    with open_night(night, with_layout=False) as plain:
        answers = [
            preview(one.checked(FILTERS[name]), one.opened, one.connection, audiences=one.nobody)
            for one in (asked, plain)
        ]

    assert asked.opened.version.layout is not None
    assert plain.opened.version.layout is None
    assert answers[0].answer.members == answers[1].answer.members


def alone(document: Json, place: tuple[str | int, ...]) -> Json:
    """A part of a document as a filter of its own."""
    for name in place:
        document = document[name]
    return document if "rules" in document else all_of(document)


def test_branches_are_in_the_order_of_the_document_and_say_what_they_are(asked: Night) -> None:
    tree = asked.checked(all_of(WOMEN, any_of(did("visit"), share(0, 10))))

    branches = preview(tree, asked.opened, asked.connection, audiences=asked.nobody).branches

    assert [branch.path for branch in branches] == ["/rules/0", "/rules/1", "/rules/1/rules/0", "/rules/1/rules/1"]
    assert branches[0].sentence.zh == "性别 等于 女"


def test_a_scope_cuts_every_count_and_the_sample(asked: Night) -> None:
    tree = asked.checked(all_of(WOMEN, did("visit")))
    seen = set(asked.opened.version.everyone.keys()[::3].tolist())
    scope = of_keys(np.array(sorted(seen)), asked.opened.version.keys)

    found = preview(
        tree, asked.opened, asked.connection, audiences=asked.nobody, sight=Sight(scope=scope), sample=10_000
    )

    assert set(found.sample) == asked.selected(tree) & seen
    assert found.count == len(found.sample)
    assert found.branches[0].count == len(asked.selected(asked.checked(all_of(WOMEN))) & seen)


def test_leaves_are_remembered_for_the_next_preview(asked: Night) -> None:
    memory = LeafMemory()
    first = asked.checked(all_of(WOMEN, did("visit")))
    second = asked.checked(all_of(WOMEN, did("visit"), did("review")))
    preview(first, asked.opened, asked.connection, audiences=asked.nobody, memory=memory)

    found = preview(second, asked.opened, asked.connection, audiences=asked.nobody, memory=memory)

    assert found.remembered == 2
    assert found.count == len(asked.selected(second))


def test_a_bomb_ends_within_its_budget(asked: Night) -> None:
    tree = asked.checked(BOMB)
    began = perf_counter()

    with pytest.raises(QueryTimeoutError) as ended:
        preview(tree, asked.opened, asked.connection, audiences=asked.nobody, budget=Budget(0.05))

    assert perf_counter() - began < 0.05 + 0.5
    assert ended.value.problem.code == "query_timeout"


def test_another_thread_may_cancel_a_preview(asked: Night) -> None:
    budget = Budget(60)
    timer = threading.Timer(0.05, budget.cancel)
    timer.start()

    with pytest.raises(QueryCancelledError):
        preview(asked.checked(BOMB), asked.opened, asked.connection, audiences=asked.nobody, budget=budget)


def test_a_sample_stays_when_the_filter_changes_little() -> None:
    keys = np.arange(10_000)

    sample, fewer = stable_sample(keys, 20), stable_sample(keys[keys != 77], 20)

    assert stable_sample(keys, 20) == sample == tuple(sorted(sample))
    assert len(set(sample) & set(fewer)) >= 19
    assert max(sample) > 5_000
    assert stable_sample(keys[:3], 20) == (0, 1, 2)
    assert stable_sample(keys, 0) == ()


def test_a_column_that_is_compared_in_memory_is_a_line_of_its_own(asked: Night) -> None:
    tree = asked.checked(all_of(WOMEN))
    found = preview(tree, asked.opened, asked.connection, audiences=asked.nobody)
    whole = Reading("select customer_key, gender from engine.customer", 1_200, 0.001, ())

    lines = plan_text(found.plan, Answer(found.answer.members, (whole,), 0)).splitlines()

    assert lines[1].split() == [*whole.text.split(), "engine.customer", "1,200", "1.0"]
    assert lines[2].startswith("gender = 女")
    assert lines[2].endswith("memory 内存")


def test_a_plan_says_what_is_shared_and_read(asked: Night) -> None:
    having = [measured("count", "gte", 2), measured("last", "eq", "初诊", field="visit_type")]
    tree = asked.checked(all_of(WOMEN, did("visit", having=having), share(0, 50)))
    memory = LeafMemory()
    preview(asked.checked(all_of(WOMEN)), asked.opened, asked.connection, audiences=asked.nobody, memory=memory)
    found = preview(tree, asked.opened, asked.connection, audiences=asked.nobody, memory=memory)

    lines = plan_text(found.plan, found.answer).splitlines()

    read_from = {line.split("  ")[0]: line.split()[-3] for line in lines[1:-1] if "memory" not in line}
    assert read_from == {
        "visit: count in 2…": "engine.visit",
        "visit: last(visit_type) = 初诊": "marts.fct_visit",
        "bucket spring 0…50": "marts.dim_customer",
    }
    assert [line.split("  ")[0] for line in lines if line.endswith("memory 内存")] == ["gender = 女"]
    assert lines[-1].startswith("4 filters, 4 leaves, 8 uses, shared 2.00 times; 3 statements, 1 remembered")
