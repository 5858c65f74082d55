"""The cases of `tests/cases/` on the interpreter, and what these files promise together."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlglot import transpile

from segment_engine.cases.case_file import Case, CaseFile, read_case_file
from segment_engine.cases.compiled import ENGINES, compiled_together_on_marts, opened, relations_in
from segment_engine.cases.run import read_filter, run_file
from segment_engine.catalog import Field
from segment_engine.compile import compile_one
from segment_engine.emit import Dialect
from segment_engine.operators import OPERATORS
from tests.segment_engine.prove import faults_of

FILES = sorted((Path(__file__).parents[2] / "cases").glob("*.yaml"))
READ = {file: read_case_file(file.read_text(encoding="utf-8")) for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_every_case_holds_on_every_engine_and_in_either_order_of_rules(file: Path) -> None:
    outcomes = run_file(file, [*ENGINES, ("on marts", compiled_together_on_marts)])

    assert len(outcomes) >= len(READ[file].cases)
    assert [outcome.line() for outcome in outcomes if not outcome.ok] == []


def test_every_case_says_where_its_expectation_comes_from() -> None:
    silent = [f"{file.name}: {case.name}" for file in FILES for case in READ[file].cases if not case.source]

    assert silent == []


def test_every_operator_of_every_type_has_a_case_with_somebody_in_and_somebody_out() -> None:
    # A case of one rule alone says of each customer what its operator says.
    told = {
        (field.type, condition["operator"])
        for file in READ.values()
        for case in file.cases
        if case.expect and case.expect < file.world.customers.keys()
        for field, condition in _single_condition(file, case.filter)
    }

    assert {(kind, name) for kind, operators in OPERATORS.items() for name in operators} - told == set()


def test_every_operator_on_a_customer_meets_one_without_a_value() -> None:
    met = {
        (field.type, condition["operator"])
        for file in READ.values()
        for case in file.cases
        if case.expect is not None
        for field, condition in _single_condition(file, case.filter)
        if any(field.name not in values for values in file.world.customers.values())
    }

    assert {(kind, name) for kind, operators in OPERATORS.items() for name in operators} - met == set()


def _single_condition(file: CaseFile, document: Any) -> Iterator[tuple[Field, Any]]:
    (rule, *others) = document["rules"]
    if not others and not document.get("not") and rule.get("kind") == "attribute":
        yield file.world.catalog.attributes[rule["field"]], rule


def test_every_metric_and_every_kind_has_a_case() -> None:
    said = {word for file in READ.values() for case in file.cases if case.expect for word in _words(case)}

    kinds = {"attribute", "activity", "tag", "segment", "everyone", "bucket", "sequence"}
    metrics = {"count", "days", "sum", "avg", "min", "max", "distinct", "first", "last"}
    assert kinds | metrics <= said


def _words(case: Case) -> Iterator[str]:
    stack = [case.filter]
    while stack:
        match stack.pop():
            case dict() as members:
                yield from (members[name] for name in ("kind", "metric") if name in members)
                stack += members.values()
            case list() as items:
                stack += items


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_every_case_is_said_in_spark_sql_of_the_catalogue(file: Path) -> None:
    read = READ[file]
    asked = [case for case in read.cases if case.expect is not None and case.as_of is not None]

    for case in asked:
        _, checked = read_filter(case.filter, read.world)
        statement = compile_one(checked, _moment(case), relations_in(read.world), Dialect.SPARK)
        assert list(faults_of(statement, read.world, Dialect.SPARK)) == [], case.name


@pytest.mark.parametrize("topic", ["options", "clinics"])
def test_child_tables_say_of_several_values_what_lists_say(topic: str) -> None:
    read = next(one for file, one in READ.items() if file.stem == topic)

    with opened(read.world) as con:
        con.execute("create macro make_dt_interval(days) as to_days(days)")
        for case in read.cases:
            if case.expect is None:
                continue
            _, checked = read_filter(case.filter, read.world)
            statement = compile_one(checked, _moment(case), relations_in(read.world), Dialect.SPARK)
            (text,) = transpile(statement.text, read="spark", write="duckdb")
            # DuckDB calls them $p0, and takes only those that are there.
            found = con.execute(text.replace(":p", "$p"), dict(statement.values)).fetchall()
            assert {key for (key,) in found} == case.expect, case.name


def _moment(case: Case) -> datetime:
    assert case.as_of is not None
    return case.as_of
