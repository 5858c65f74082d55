"""The reference interpreter: plain Python over the rows of a world says which customers a filter selects.

Slow and easy to read. It knows the catalogue and the operator table, and nothing else of the engine: it reads the
document itself, which must be valid. What operators say of a value is in `judging.py`. Source: the design of the filter
language; every other engine is held against this one.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, time
from fractions import Fraction
from hashlib import md5
from typing import Any, Final

from segment_engine.cases.day_windows import day_of, is_within
from segment_engine.cases.judging import comparable, judge_of
from segment_engine.cases.world import Values, World, one_id_of
from segment_engine.catalog import Field, Source
from segment_engine.operators import FieldType

Json = Any
Holds = Callable[[int], bool]
"""Whether a customer is meant."""
Keeps = Callable[[Values], bool]
"""Whether the values of a customer or of a row are meant."""
RowsOf = Callable[[int], Sequence[Values]]
"""The rows of a customer."""


def selected(document: Json, world: World, as_of: datetime) -> frozenset[int]:
    """The customers that a valid filter selects at a moment, whose zone becomes the world's."""
    holds = _Reader(world, as_of.astimezone(world.zone)).node(document)
    return frozenset(customer for customer in everybody(world) if holds(customer))


def everybody(world: World) -> list[int]:
    """The customers of a world; who has a clinic, and none that is not excluded, is none of them."""
    clinics = {customer: values.get("clinic_ids") for customer, values in world.customers.items()}
    excluded = world.excluded_clinics
    return [one for one, names in clinics.items() if not isinstance(names, tuple) or set(names) - excluded]


class _Reader:
    """Makes of every part of a document a function that answers for one customer."""

    def __init__(self, world: World, as_of: datetime) -> None:
        self._world = world
        self._as_of = as_of

    def node(self, rule: Json) -> Holds:
        if "rules" in rule:
            return _combined(rule, [self.node(one) for one in rule["rules"]])
        return _KINDS[rule["kind"]](self, rule)

    def attribute(self, rule: Json) -> Holds:
        keeps = self._condition(rule, self._world.catalog.attributes)
        return lambda customer: keeps(self._world.customers[customer])

    def tag(self, rule: Json) -> Holds:
        return _membership(rule["operator"], [self._world.tags[one] for one in rule["tag_ids"]])

    def segment(self, rule: Json) -> Holds:
        return _membership(rule["operator"], [self._world.segments[one] for one in rule["segment_ids"]])

    def everyone(self, rule: Json) -> Holds:
        return lambda _: True

    def bucket(self, rule: Json) -> Holds:
        return lambda customer: rule["from"] <= _share(rule["salt"], one_id_of(customer)) < rule["to"]

    def activity(self, rule: Json) -> Holds:
        rows_of = self._rows(rule)
        if rule["occurrence"] == "did_not":
            return lambda customer: not rows_of(customer)
        source = self._world.catalog.sources[rule["source"]]
        measures = [self._measure(having, source) for having in rule.get("having", [])]
        needed = 0 if rule.get("include_zero", False) else 1

        def holds(customer: int) -> bool:
            rows = rows_of(customer)
            return len(rows) >= needed and all(measure(rows) for measure in measures)

        return holds

    def _measure(self, having: Json, source: Source) -> Callable[[Sequence[Values]], bool]:
        field = source.fields[having["field"]] if "field" in having else None
        judge = judge_of(_type_of(having["metric"], field), having, self._as_of)
        measure = _METRICS[having["metric"]]
        return lambda rows: judge(measure(rows, having.get("field"), source.time), {})

    def sequence(self, rule: Json) -> Holds:
        steps = [self._timed_rows(step) for step in rule["steps"]]
        without = self._timed_rows(rule["without"]) if "without" in rule else None
        did: bool = rule["occurrence"] == "did"

        def holds(customer: int) -> bool:
            barred = [at for at, _ in without(customer)] if without else []
            return _occurs([step(customer) for step in steps], barred, rule) == did

        return holds

    def _timed_rows(self, step: Json) -> Callable[[int], list[tuple[datetime, Values]]]:
        """The rows of a step with their moments; a day counts as its first moment."""
        rows_of, name = self._rows(step), self._world.catalog.sources[step["source"]].time
        zone = self._world.zone

        def moment(value: Any) -> datetime:
            return value if isinstance(value, datetime) else datetime.combine(value, time(), tzinfo=zone)

        return lambda customer: [(moment(row[name]), row) for row in rows_of(customer) if name in row]

    def _rows(self, rule: Json) -> RowsOf:
        """The rows of a customer that are known by now and that `where` keeps."""
        source = self._world.catalog.sources[rule["source"]]
        keeps = self._where(rule["where"], source.fields) if "where" in rule else _keep_all
        found: dict[int, list[Values]] = {}
        for row in self._world.rows[source.name]:
            since = None if source.known_at is None else row.values.get(source.known_at)
            if self._is_there(row.values) and self._is_known(since) and keeps(row.values):
                found.setdefault(row.customer, []).append(row.values)
        return lambda customer: found.get(customer, [])

    def _is_there(self, row: Values) -> bool:
        """A row that says that it was at an excluded clinic is not."""
        return row.get("clinic_id") not in self._world.excluded_clinics

    def _is_known(self, since: Any) -> bool:
        """A row is known since a moment, or since a day; one that does not say since when is known."""
        if isinstance(since, datetime):
            return bool(comparable(since) <= comparable(self._as_of))
        return since is None or bool(since <= self._as_of.date())

    def _where(self, rule: Json, fields: Mapping[str, Field]) -> Keeps:
        if "rules" in rule:
            return _combined(rule, [self._where(one, fields) for one in rule["rules"]])
        return self._condition(rule, fields)

    def _condition(self, rule: Json, fields: Mapping[str, Field]) -> Keeps:
        field = fields[rule["field"]]
        judge = judge_of(field.type, rule, self._as_of)
        return lambda values: judge(values.get(field.name), values)


_KINDS: Final[Mapping[str, Callable[[_Reader, Json], Holds]]] = {
    "attribute": _Reader.attribute,
    "activity": _Reader.activity,
    "tag": _Reader.tag,
    "segment": _Reader.segment,
    "everyone": _Reader.everyone,
    "bucket": _Reader.bucket,
    "sequence": _Reader.sequence,
}


def _combined(group: Json, rules: Sequence[Callable[[Any], bool]]) -> Callable[[Any], bool]:
    together = all if group["combinator"] == "and" else any
    negated = group.get("not", False)
    return lambda one: together(rule(one) for rule in rules) != negated


def _membership(operator: str, audiences: Iterable[frozenset[int]]) -> Holds:
    members = frozenset[int]().union(*audiences)
    return lambda customer: (customer in members) == (operator == "in")


def _share(salt: str, one_id: str) -> int:
    digest = md5(f"{salt}:{one_id}".encode(), usedforsecurity=False).hexdigest()
    return int(digest[:8], 16) % 100


def _keep_all(_: Values) -> bool:
    return True


def _type_of(metric: str, field: Field | None) -> FieldType:
    """The type of what is measured; an average of whole numbers need not be one."""
    if field is None or metric == "distinct":
        return FieldType.INTEGER
    return FieldType.DECIMAL if metric == "avg" and field.type is FieldType.INTEGER else field.type


def _present(rows: Iterable[Values], name: str) -> list[Any]:
    return [comparable(row[name]) for row in rows if name in row]


def _days(rows: Sequence[Values], _: Any, time_name: str) -> int:
    return len({day_of(row[time_name]) for row in rows if time_name in row})


def _sum(rows: Sequence[Values], name: str, _: str) -> Any:
    values = _present(rows, name)
    return sum(values) if values else None


def _average(rows: Sequence[Values], name: str, _: str) -> Any:
    values = _present(rows, name)
    return Fraction(sum(values), len(values)) if values else None


def _distinct(rows: Sequence[Values], name: str, _: str) -> int | None:
    """How many different values; each of a field with several counts by itself."""
    singles: set[Any] = set()
    for value in _present(rows, name):
        singles.update(value if isinstance(value, tuple) else [value])
    return len(singles) if rows else None


def _at_end(rows: Sequence[Values], name: str, time_name: str, end: Callable[..., Any]) -> Any:
    """The least (or greatest) value among the earliest (or latest) rows; a missing value is the least of all."""
    timed = [row for row in rows if time_name in row]
    if not timed:
        return None
    moment = end(comparable(row[time_name]) for row in timed)
    values = [row.get(name) for row in timed if comparable(row[time_name]) == moment]
    return end(values, key=lambda value: (value is not None, comparable(value) if value is not None else 0))


_METRICS: Final[Mapping[str, Callable[[Sequence[Values], Any, str], Any]]] = {
    "count": lambda rows, name, time_name: len(rows),
    "days": _days,
    "sum": _sum,
    "avg": _average,
    "min": lambda rows, name, time_name: min(_present(rows, name), default=None),
    "max": lambda rows, name, time_name: max(_present(rows, name), default=None),
    "distinct": _distinct,
    "first": lambda rows, name, time_name: _at_end(rows, name, time_name, min),
    "last": lambda rows, name, time_name: _at_end(rows, name, time_name, max),
}

Timed = tuple[datetime, Values]


def _occurs(steps: Sequence[Sequence[Timed]], barred: Sequence[datetime], rule: Json) -> bool:
    """Whether one row of each step can be chosen, so that all that the rule asks of them holds."""
    return any(_continues([row], steps[1:], barred, rule) for row in steps[0] if _is_same(row, row, rule))


def _continues(chosen: list[Timed], steps: Sequence[Sequence[Timed]], barred: Sequence[datetime], rule: Json) -> bool:
    if not steps:
        return True
    following = (row for row in steps[0] if _may_follow(chosen, row, barred, rule))
    return any(_continues([*chosen, row], steps[1:], barred, rule) for row in following)


def _may_follow(chosen: Sequence[Timed], row: Timed, barred: Sequence[datetime], rule: Json) -> bool:
    first, before, at = chosen[0][0], chosen[-1][0], row[0]
    return (
        comparable(before) < comparable(at)
        and is_within(first, at, rule["within"])
        and ("max_gap" not in rule or is_within(before, at, rule["max_gap"]))
        and not any(comparable(before) < comparable(bar) < comparable(at) for bar in barred)
        and _is_same(chosen[0], row, rule)
    )


def _is_same(one: Timed, other: Timed, rule: Json) -> bool:
    """Whether both have the field that must be the same, and the same in it; a missing one is like no other."""
    if "same" not in rule:
        return True
    left, right = (row.get(rule["same"]) for _, row in (one, other))
    return left is not None and right is not None and bool(comparable(left) == comparable(right))
