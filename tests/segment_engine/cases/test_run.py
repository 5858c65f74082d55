"""Running cases: engines are asked moment by moment, and every way to be wrong is an outcome that says so."""

from collections.abc import Sequence
from pathlib import Path

from segment_engine.cases.run import (
    INTERPRETERS,
    REFUSAL,
    Asked,
    Outcome,
    interpreted,
    reversed_rules,
    run_file,
    run_text,
    with_rules_reversed,
)
from segment_engine.cases.world import World

FILE = """
world:
  attributes: {n: integer}
  customers: [{id: 1, n: 1}, {id: 2}]
cases:
  - name: later
    as_of: "2026-02-01T00:00:00+08:00"
    filter: {combinator: and, rules: [{kind: everyone}, {kind: attribute, field: n, operator: is_set}]}
    expect: [1]
  - name: earlier
    as_of: "2026-01-01T00:00:00+08:00"
    filter: {combinator: and, rules: [{kind: attribute, field: n, operator: not_set}]}
    expect: [2]
  - name: later, in UTC
    as_of: "2026-01-31T16:00:00Z"
    filter: {combinator: and, rules: [{kind: everyone}]}
    expect: [1, 2]
"""
NAMES = ["earlier", "later", "later, in UTC"]


def one_case(case: str) -> Outcome:
    (outcome,) = run_text(f"world: {{customers: [{{id: 1}}]}}\ncases:\n  - {{name: it, {case}}}\n", [])
    return outcome


def test_every_engine_answers_every_valid_case(tmp_path: Path) -> None:
    path = tmp_path / "cases.yaml"
    path.write_text(FILE, encoding="utf-8")

    outcomes = run_file(path, INTERPRETERS)

    assert [(one.engine, one.case) for one in outcomes] == [(name, case) for name, _ in INTERPRETERS for case in NAMES]
    assert all(outcome.ok for outcome in outcomes)


def test_an_engine_is_asked_all_filters_of_one_moment_together() -> None:
    asked: list[list[str]] = []

    def engine(world: World, cases: Sequence[Asked]) -> list[frozenset[int]]:
        asked.append([case.name for case in cases])
        return interpreted(world, cases)

    run_text(FILE, [("counted", engine)])

    assert asked == [["earlier"], ["later", "later, in UTC"]]


def test_a_wrong_answer_is_told_in_a_line() -> None:
    outcomes = run_text(FILE, [("nobody", lambda world, cases: [frozenset()] * len(cases))])

    assert [outcome.ok for outcome in outcomes] == [False] * 3
    assert outcomes[2].line() == "later, in UTC [nobody]: expected [1, 2], got []"


def test_an_engine_that_fails_has_failed_all_cases_it_was_asked() -> None:
    def engine(world: World, cases: Sequence[Asked]) -> list[frozenset[int]]:
        if len(cases) > 1:
            raise ArithmeticError("no answer")
        return interpreted(world, cases)

    outcomes = run_text(FILE, [("half", engine)])

    assert [(one.case, one.ok) for one in outcomes] == [("earlier", True), ("later", False), ("later, in UTC", False)]
    assert outcomes[1].got == "ArithmeticError: no answer"


def test_an_engine_that_answers_too_little_has_failed() -> None:
    outcomes = run_text(FILE, [("short", lambda world, cases: [frozenset({2})])])

    assert [one.got for one in outcomes] == [frozenset({2}), "1 answers to 2 cases", "1 answers to 2 cases"]


def test_rules_are_reversed_in_every_group_and_nothing_else() -> None:
    step = {"source": "s", "where": {"combinator": "or", "rules": [1, 2]}}
    document = {"combinator": "and", "rules": [{"steps": [step, 4], "value": [5, 6]}, {"rules": [7, 8]}]}

    found = reversed_rules(document)

    assert found["rules"][0] == {"rules": [8, 7]}
    assert found["rules"][1]["value"] == [5, 6]
    assert found["rules"][1]["steps"] == [{**step, "where": {"combinator": "or", "rules": [2, 1]}}, 4]


def test_an_engine_that_minds_the_order_of_rules_is_found_out() -> None:
    def first_rule(world: World, cases: Sequence[Asked]) -> list[frozenset[int]]:
        documents = [{**case.document, "rules": case.document["rules"][:1]} for case in cases]
        asked = zip(cases, documents, strict=True)
        return interpreted(
            world, [Asked(case.name, case.as_of, document, case.tree, case.checked) for case, document in asked]
        )

    engines = [("as written", first_rule), ("reversed", with_rules_reversed(first_rule))]
    outcomes = [one for one in run_text(FILE, engines) if one.case == "later"]

    assert [one.ok for one in outcomes] == [False, True]


def test_a_refusal_is_compared_by_what_the_case_names_of_it() -> None:
    filter_ = "filter: {combinator: and, rules: [{kind: nope}]}"

    assert one_case(f"{filter_}, problem: {{}}").ok
    assert one_case(f"{filter_}, problem: {{code: unknown_kind}}").ok
    assert one_case(f"{filter_}, problem: {{path: /rules/0/kind}}").ok
    assert not one_case(f"{filter_}, problem: {{path: /rules/0}}").ok
    assert not one_case(f"{filter_}, problem: {{code: unknown_field, path: /rules/0/kind}}").ok


def test_a_filter_that_should_have_been_refused_is_told() -> None:
    outcome = one_case("filter: {combinator: and, rules: [{kind: everyone}]}, problem: {code: unknown_kind}")

    assert not outcome.ok
    assert outcome.line() == f"it [{REFUSAL}]: expected unknown_kind, got a valid filter"


def test_a_filter_that_should_not_have_been_refused_is_told_with_its_problems() -> None:
    outcome = one_case('as_of: "2026-01-01T00:00:00Z", filter: {}, expect: [1]')

    assert not outcome.ok
    assert outcome.got == "missing_member at /combinator, missing_member at /rules"
