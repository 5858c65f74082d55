"""The page of the filter language: every example selects whom it says, and everything there is has an example."""

import ast
import re
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from segment_engine.cases.interpreter import selected
from segment_engine.cases.run import INTERPRETERS, run_text
from segment_engine.cases.tables import MEMBERS, write_world
from segment_engine.catalog import read_catalog
from segment_engine.checked import CheckedGroup
from segment_engine.compile import check, compile_one
from segment_engine.describe import describe
from segment_engine.document import CUSTOMER_LIST, MAX_LEVELS, FilterLimits
from segment_engine.interchange import from_react_querybuilder, to_react_querybuilder
from segment_engine.operators import OPERATORS, FieldType, Shape
from segment_engine.problems import InvalidFilterError
from segment_engine.relations import Relations, relations_of
from segment_engine.tree import AudienceKind, Metric, NullPolicy, Occurrence
from segment_engine.validate import Asking
from segment_engine.values import LONGEST, LONGEST_PATTERN
from tests.segment_engine.filter_page import (
    Example,
    blocks,
    blocks_without_a_promise,
    code_of,
    editors_pairs,
    examples,
    operator_tables,
    refusals,
    table,
    world,
)

WORLD = world()
EXAMPLES = examples()
ENGINE = Path(__file__).parents[2] / "segment_engine"

of_every_example = pytest.mark.parametrize("example", EXAMPLES, ids=[f"line {one.line}" for one in EXAMPLES])


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as con:
        write_world(WORLD, con)
        yield con


def checked(document: Any) -> CheckedGroup:
    asking = Asking(tags=frozenset(WORLD.tags), segments=frozenset(WORLD.segments))
    return check(document, WORLD.catalog, asking)


def relations() -> Relations:
    return replace(relations_of(WORLD.catalog, WORLD.zone.key), audience_members=MEMBERS)


@of_every_example
def test_an_example_selects_whom_it_says_by_the_interpreter(example: Example) -> None:
    checked(example.document)

    assert selected(example.document, WORLD, example.as_of) == example.selects


@of_every_example
def test_an_example_selects_whom_it_says_by_the_compiler(example: Example, database: duckdb.DuckDBPyConnection) -> None:
    as_of = example.as_of.astimezone(WORLD.zone)
    statement = compile_one(checked(example.document), as_of, relations())

    found = database.execute(statement.text, dict(statement.values)).fetchall()

    assert frozenset(key for (key,) in found) == example.selects


def test_every_json_block_says_what_becomes_of_it() -> None:
    assert blocks_without_a_promise() == []


def test_sentences_are_those_that_the_engine_says() -> None:
    told = [one for one in EXAMPLES if one.sentence]
    said = [describe(checked(one.document), {}, one.as_of.astimezone(WORLD.zone)) for one in told]

    assert len(told) > 20
    assert [one.sentence for one in told] == [(sentence.zh, sentence.en) for sentence in said]


def test_documents_that_are_refused_have_the_problems_that_are_named() -> None:
    refused = refusals()

    assert len(refused) >= 2
    for one in refused:
        with pytest.raises(InvalidFilterError) as wrong:
            checked(one.document)
        assert tuple((problem.code, problem.path) for problem in wrong.value.problems) == one.problems


def test_what_react_querybuilder_shows_is_the_filter_before_it() -> None:
    pairs = editors_pairs()

    assert pairs
    for document, query in pairs:
        assert to_react_querybuilder(document, WORLD.catalog) == query
        assert from_react_querybuilder(query, WORLD.catalog) == document


def test_the_tables_hold_exactly_the_operators_of_each_type_with_their_words() -> None:
    documented = {kind: [(code_of(name), zh) for name, zh, *_ in rows] for kind, rows in operator_tables().items()}

    assert documented == {
        str(kind): [(one.name, one.zh) for one in named.values()] for kind, named in OPERATORS.items()
    }


def test_every_operator_of_every_type_has_an_example_with_somebody_in_and_somebody_out() -> None:
    shown = {
        (WORLD.catalog.attributes[rule["field"]].type, rule["operator"])
        for one in EXAMPLES
        for rule in one.document["rules"]
        if len(one.document["rules"]) == 1 and rule.get("kind") == "attribute"
        if one.selects and one.selects < WORLD.customers.keys()
    }

    assert {(kind, name) for kind, named in OPERATORS.items() for name in named} - shown == set()


@pytest.mark.parametrize("kind", list(FieldType))
def test_the_example_beside_an_operator_is_one_of_it(kind: FieldType) -> None:
    for name, *_, rule, _ in operator_tables()[kind]:
        shown = yaml.safe_load(code_of(rule))

        assert shown["operator"] == code_of(name)
        assert WORLD.catalog.attributes[shown["field"]].type is kind


def test_every_kind_metric_and_option_has_an_example() -> None:
    said = {word for one in EXAMPLES for word in words_of(one.document)}
    kinds = {"attribute", "activity", "tag", "segment", "everyone", "bucket", "sequence"}
    members = {"where", "having", "not", "include_today", "max_gap", "without", "same", "tag_ids", "segment_ids"}
    values = {
        *(("metric", str(one)) for one in Metric),
        *(("null_policy", str(one)) for one in NullPolicy),
        *(("occurrence", str(one)) for one in Occurrence),
        *(("combinator", one) for one in ("and", "or")),
        *(("unit", one) for one in ("hour", "day", "month")),
        *(("include_zero", True), ("include_today", False), ("not", True)),
    }

    assert kinds <= {value for name, value in said if name == "kind"}
    assert members <= {name for name, _ in said}
    assert values - said == set()


def test_every_metric_is_in_its_table_with_an_example_of_it() -> None:
    rows = table("metric", "中文")

    assert [code_of(name) for name, *_ in rows] == list(Metric)
    assert [yaml.safe_load(code_of(row[-2]))["having"][0]["metric"] for row in rows] == list(Metric)


def test_a_field_stands_against_a_field_of_the_customer_and_of_rows_and_of_moments() -> None:
    against = {(name, field_type) for one in EXAMPLES for name, field_type in compared_fields(one.document)}

    assert {("customer", FieldType.INTEGER), ("customer", FieldType.TEXT)} <= against
    assert {("rows", FieldType.MONEY), ("rows", FieldType.DATETIME)} <= against


def compared_fields(document: Any, source: str | None = None) -> Iterator[tuple[str, FieldType]]:
    if isinstance(document, list):
        for item in document:
            yield from compared_fields(item, source)
    elif isinstance(document, dict):
        value = document.get("value")
        if isinstance(value, dict) and "field" in value:
            known = WORLD.catalog.attributes if source is None else WORLD.catalog.sources[source].fields
            yield "customer" if source is None else "rows", known[value["field"]].type
        for item in document.values():
            yield from compared_fields(item, document.get("source", source))


def words_of(document: Any) -> Iterator[tuple[str, Any]]:
    """Every member with its value, where that is no list or object, else None."""
    if isinstance(document, dict):
        for name, value in document.items():
            yield name, None if isinstance(value, dict | list) else value
            yield from words_of(value)
    elif isinstance(document, list):
        for item in document:
            yield from words_of(item)


@pytest.mark.parametrize("kind", ["text", "option", "options", "integer", "date"])
def test_a_table_says_which_operators_are_negative_and_which_take_a_field(kind: str) -> None:
    meanings = {code_of(name): meaning for name, _, meaning, *_ in operator_tables()[kind]}
    named = OPERATORS[FieldType(kind)].values()

    assert {name for name, said in meanings.items() if "negative" in said} == {
        one.name for one in named if one.is_negative
    }
    assert {name for name, said in meanings.items() if "or a field" in said} == {
        one.name for one in named if one.shape is Shape.ONE
    }


def test_limits_are_those_that_hold() -> None:
    rows = {
        code_of(name): (number(most), number(of_list))
        for name, most, of_list, *_ in table("limit", "smart tags, segments, journeys")
    }

    assert rows == {
        one.name: (getattr(FilterLimits(), one.name), getattr(CUSTOMER_LIST, one.name)) for one in fields(FilterLimits)
    }


def test_fixed_limits_are_those_that_hold() -> None:
    rows = {name.replace("`", ""): number(value) for name, value, _ in table("limit", "value")}

    windows = {f"longest window in {unit}": most for unit, most in LONGEST.items()}
    assert windows.items() <= rows.items()
    assert rows["characters of a pattern"] == LONGEST_PATTERN
    assert rows["levels of objects and lists"] == MAX_LEVELS
    assert rows["steps of a sequence"] == max(steps for steps in range(2, 20) if is_valid(sequence_of(steps)))
    assert rows["days ahead of anniversary_within"] == max(n for n in range(1, 500) if is_valid(anniversary_in(n)))


def number(cell: str) -> int:
    return int(cell.replace(",", ""))


def sequence_of(steps: int) -> Any:
    rows = [{"source": "bill"}] * steps
    return {"kind": "sequence", "steps": rows, "within": {"n": 1, "unit": "day"}, "occurrence": "did"}


def anniversary_in(n: int) -> Any:
    return {"kind": "attribute", "field": "birthday", "operator": "anniversary_within", "value": {"n": n}}


def is_valid(rule: Any) -> bool:
    try:
        checked({"combinator": "and", "rules": [rule]})
    except InvalidFilterError:
        return False
    return True


def test_every_code_that_the_engine_raises_is_documented() -> None:
    documented = [code_of(code) for code, _ in table("code", "what to do")]
    raised = {pattern for file in sorted(ENGINE.rglob("*.py")) for pattern in codes_in(file)}

    assert len(raised) > 40
    assert documented == sorted(set(documented))
    assert {one for one in raised if not any(re.fullmatch(one, code) for code in documented)} == set()


TELLING = {"Problem", "_tell", "tell", "_wrong", "tell_choice"}
"""Functions whose first argument is a code."""


def codes_in(file: Path) -> Iterator[str]:
    """The codes of a module; one that is put together, as a pattern."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=[code, *_]) if name in TELLING:
                yield from code_in(code)
            case ast.Call(func=ast.Attribute(attr="_choice"), args=[_, ast.Constant(value=str(name)), *_]):
                yield f"unknown_{name}"
            case ast.Return(value=ast.Tuple(elts=[code, _, _])):
                yield from code_in(code)
            case ast.JoinedStr(values=[ast.Constant(value="unknown_"), ast.FormattedValue(value=kind)]):
                yield from (f"unknown_{one}" for one in AudienceKind if ast.unparse(kind) == "node.kind")


def code_in(said: ast.expr) -> Iterator[str]:
    match said:
        case ast.Constant(value=str(code)):
            yield code
        case ast.JoinedStr(values=parts):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "[a-z_]+" for part in parts)


def test_the_metadata_of_a_new_field_and_of_a_new_source_make_a_catalogue() -> None:
    models = yaml.safe_load(blocks("yaml")[1])["models"]
    tables = [
        {
            "schema": "marts",
            "name": model["name"],
            "meta": model.get("config", {}).get("meta", {}),
            "columns": [{"name": one["name"], "meta": one["config"]["meta"]} for one in model["columns"]],
        }
        for model in models
    ]

    catalog = read_catalog({"format": 1, "tables": tables})

    assert len(catalog.attributes) == 1
    assert len(catalog.sources) == 1


def test_the_cases_of_the_page_hold_in_its_world() -> None:
    outcomes = run_text(f"{blocks('yaml')[0]}{blocks('yaml')[2]}", INTERPRETERS)

    assert len(outcomes) > 2
    assert [outcome.line() for outcome in outcomes if not outcome.ok] == []
