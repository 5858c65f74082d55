"""Random valid filters over a world, for tests that compare engines.

Everything comes from a `random.Random`: the same seed gives the same. Values are often those of the world, so that
answers are seldom empty. What a filter selects is not known here; the interpreter says it.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from random import Random
from typing import Any, Final

from segment_engine.cases.world import World
from segment_engine.catalog import NUMERIC, Field, Source
from segment_engine.operators import OPERATORS, SIZE_OPERATORS, FieldType, Operator, Shape
from segment_engine.texts import normalised
from tests.segment_engine.random_worlds import AMOUNTS, DAYS, DECIMALS, INTEGERS, TEXTS

Json = Any

_PATTERNS: Final = (
    "a",
    "^a",
    "海$",
    "(?i)abc",
    "[%_]",
    r"\\",
    ".",
    "^.{2,}$",
    "^(a+)+$",
    r"\pL",
    "上|北",
    "^$",
    "(?s)a.b",
    "'",
)
# What a filter may say is less than what may be stored.
_MOST_OF_FILTERS: Final[Mapping[FieldType, int]] = {FieldType.MONEY: 10**16, FieldType.DECIMAL: 10**12}


def random_filter(random: Random, world: World) -> Json:
    """A valid filter: at most some twenty rules, at most five levels."""
    return _group(random, 1, lambda level: _rule(random, world, level))


def _group(random: Random, level: int, rule: Callable[[int], Json]) -> Json:
    several = random.choices([1, 2, 3, 4], [5, 4, 2, 1] if level == 1 else [2, 4, 2, 1])[0]
    nests = 0.2 if level < 4 else 0
    rules = [_group(random, level + 1, rule) if random.random() < nests else rule(level) for _ in range(several)]
    group = {"combinator": random.choice(["and", "or"]), "rules": rules}
    return group | random.choice([{}, {}, {}, {"not": True}, {"not": False}, {"id": "g"}])


def _rule(random: Random, world: World, level: int) -> Json:
    makers: list[tuple[Callable[[], Json], int]] = [
        (lambda: {"kind": "attribute", **_condition(random, world.catalog.attributes, world.customers.values())}, 8),
        (lambda: _activity(random, world, level), 8),
        (lambda: _sequence(random, world, level), 2),
        (lambda: _membership(random, world), 2),
        (lambda: _bucket(random), 1),
        (lambda: {"kind": "everyone"}, 1),
    ]
    (make,) = random.choices([maker for maker, _ in makers], [weight for _, weight in makers])
    return make()


def _membership(random: Random, world: World) -> Json:
    kind, known = random.choice([("tag", world.tags), ("segment", world.segments)])
    ids = random.choices(sorted(known), k=random.randint(1, 3))
    return {"kind": kind, "operator": random.choice(["in", "not_in"]), f"{kind}_ids": ids}


def _bucket(random: Random) -> Json:
    start = random.randint(0, 99)
    return {
        "kind": "bucket",
        "salt": random.choice(["spring", "早春", "'", " s "]),
        "from": start,
        "to": random.randint(start + 1, 100),
    }


def _activity(random: Random, world: World, level: int) -> Json:
    source = world.catalog.sources[random.choice(sorted(world.catalog.sources))]
    rule = {
        "kind": "activity",
        "occurrence": random.choice(["did", "did", "did", "did_not"]),
        **_step(random, world, source, level),
    }
    if rule["occurrence"] == "did_not" or random.random() < 0.3:
        return rule
    includes_zero = random.random() < 0.3
    rule["having"] = [_measure(random, world, source, includes_zero) for _ in range(random.choice([1, 1, 1, 2]))]
    return rule | ({"include_zero": True} if includes_zero else random.choice([{}, {"include_zero": False}]))


def _step(random: Random, world: World, source: Source, level: int) -> Json:
    step = {"source": source.name}
    if level >= 5 or random.random() < 0.35:
        return step
    rows = [row.values for row in world.rows[source.name]]
    return {**step, "where": _group(random, level + 1, lambda _: _condition(random, source.fields, rows))}


def _measure(random: Random, world: World, source: Source, includes_zero: bool) -> Json:
    metric = random.choice(["count", "count", "days", "sum", "avg", "min", "max", "distinct", "first", "last"])
    if metric in ("count", "days"):
        having = {"metric": metric, **_compared(random, FieldType.INTEGER, [0, 1, 2, 3, 5])}
        never = [("eq", 0), ("lte", 0), ("lt", 1), ("in", [0])]
        is_never = (having["operator"], having.get("value")) in never or having.get("value") in ([0, 0], [0, 0, 0])
        # Asking for nothing but zero rows, without including them, is refused.
        return {"metric": metric, "operator": "gte", "value": 1} if is_never and not includes_zero else having
    fields = [one for one in source.fields.values() if metric in ("distinct", "first", "last") or one.type in NUMERIC]
    if not fields:
        return {"metric": "count", "operator": "gte", "value": 1}
    field = random.choice(fields)
    told = {"metric": metric, "field": field.name}
    if metric == "distinct":
        return {**told, **_compared(random, FieldType.INTEGER, [0, 1, 2, 3])}
    kind = FieldType.DECIMAL if metric == "avg" and field.type is FieldType.INTEGER else field.type
    there = [
        _said(value, field.type) for row in world.rows[source.name] if (value := row.values.get(field.name)) is not None
    ]
    return {**told, **_compared(random, kind, there)}


def _condition(random: Random, fields: Mapping[str, Field], rows: Any) -> Json:
    field = random.choice(list(fields.values()))
    there = [_said(value, field.type) for row in rows if (value := row.get(field.name)) is not None]
    condition = _compared(random, field.type, there)
    others = [one.name for one in fields.values() if one.type is field.type]
    takes_field = OPERATORS[field.type][condition["operator"]].shape is Shape.ONE
    if takes_field and random.random() < 0.2:
        condition["value"] = {"field": random.choice(others)}
    return {"field": field.name, **condition}


def _said(value: Any, kind: FieldType) -> Json:
    """A stored value as a filter says it: yuan, and the day of a moment; of several options one."""
    match value:
        case tuple():
            return value[0]
        case datetime():
            return str(value.date())
        case date():
            return str(value)
        case Decimal():
            return float(value)
    return (
        value / 100 if kind is FieldType.MONEY and value % 100 else value // 100 if kind is FieldType.MONEY else value
    )


def _compared(random: Random, kind: FieldType, there: Sequence[Json]) -> Json:
    """An operator of the type, with a value that is often one of these."""
    operator = random.choice(list(OPERATORS[kind].values()))
    condition: dict[str, Json] = {"operator": operator.name}
    if operator.shape is not Shape.NONE:
        condition["value"] = _value(random, operator, kind, [one for one in there if _may_be_said(one, kind)])
    if operator.is_negative:
        condition |= random.choice([{}, {"null_policy": "match"}, {"null_policy": "exclude"}])
    return condition


def _may_be_said(value: Json, kind: FieldType) -> bool:
    if kind in _MOST_OF_FILTERS:
        # A float that has too many digits for its decimals is not what it was.
        whole = isinstance(value, int) or abs(value) < 10**9
        return whole and abs(value) < _MOST_OF_FILTERS[kind]
    return not isinstance(value, str) or len(value) <= 200


def _value(random: Random, operator: Operator, kind: FieldType, there: Sequence[Json]) -> Json:
    def one() -> Json:
        return random.choice(there) if there and random.random() < 0.8 else _invented(random, kind)

    made = {
        Shape.ITEMS: lambda: [one() for _ in range(random.randint(1, 3))],
        Shape.PAIR: lambda: sorted([one(), one()]),
        Shape.WINDOW: lambda: _window(random, kind, takes_today=operator.name == "within_past"),
        Shape.SPAN: lambda: _span(random, kind),
        Shape.SIZE: lambda: _size(random),
        Shape.AHEAD: lambda: {"n": random.choice([1, 2, 7, 30, 365, 366])},
        Shape.MONTHS: lambda: random.choices(range(1, 13), k=random.randint(1, 3)),
        Shape.DAYS: lambda: random.choices(range(1, 32), k=random.randint(1, 4)),
    }
    if operator.shape in made:
        return made[operator.shape]()
    return _part(random, operator, one()) if kind is FieldType.TEXT else one()


def _span(random: Random, kind: FieldType) -> Json:
    window = _window(random, kind, takes_today=False)
    return {"a": window["n"] + random.randint(1, 5), "b": window["n"], "unit": window["unit"]}


def _size(random: Random) -> Json:
    name = random.choice(SIZE_OPERATORS)
    value = _value(random, OPERATORS[FieldType.INTEGER][name], FieldType.INTEGER, [0, 1, 2, 3])
    return {"operator": name, "value": value}


def _part(random: Random, operator: Operator, text: str) -> str:
    """A pattern, or a part of a text where parts are asked for."""
    if operator.name.endswith("regex"):
        return random.choice(_PATTERNS)
    if operator.name in ("eq", "neq") or random.random() < 0.3:
        return text
    start = random.randrange(len(text))
    part = {"starts_with": text[: start + 1], "ends_with": text[start:]}.get(operator.name, text[start : start + 2])
    return part if normalised(part) else text


def _invented(random: Random, kind: FieldType) -> Json:
    match kind:
        case FieldType.INTEGER:
            return random.choice(INTEGERS)
        case FieldType.DECIMAL:
            return random.choice([one for one in DECIMALS if abs(one) < 10**12])
        case FieldType.MONEY:
            return random.choice([one for one in AMOUNTS if abs(one) < 10**16])
        case FieldType.DATE | FieldType.DATETIME:
            return random.choice(DAYS)
        case FieldType.OPTION | FieldType.OPTIONS:
            return random.choice(["男", "a", "nobody has this"])
    return random.choice([text for text in TEXTS if normalised(text)])


def _window(random: Random, kind: FieldType, *, takes_today: bool) -> Json:
    hours = ["hour"] if kind is FieldType.DATETIME else []
    unit = random.choice([*hours, "day", "day", "week", "month", "year"])
    n = random.choice([1, 2, 3, 7, 30]) if unit != "hour" else random.choice([1, 12, 24, 36, 168, 305_000, 876_000 - 5])
    today = {"include_today": random.random() < 0.5} if takes_today and unit != "hour" and random.random() < 0.4 else {}
    return {"n": n, "unit": unit, **today}


def _sequence(random: Random, world: World, level: int) -> Json:
    sources = [
        world.catalog.sources[random.choice(sorted(world.catalog.sources))] for _ in range(random.choice([2, 2, 3]))
    ]
    rule = {
        "kind": "sequence",
        "occurrence": random.choice(["did", "did", "did_not"]),
        "steps": [_step(random, world, source, level) for source in sources],
        "within": _window(random, FieldType.DATETIME, takes_today=False),
    }
    if random.random() < 0.3:
        rule["max_gap"] = _window(random, FieldType.DATETIME, takes_today=False)
    if random.random() < 0.3:
        rule["without"] = _step(random, world, random.choice(list(world.catalog.sources.values())), level)
    if random.random() < 0.4 and (shared := _shared(sources)):
        rule["same"] = random.choice(shared)
    return rule


def _shared(sources: Sequence[Source]) -> list[str]:
    """The fields that all these sources have, with one type."""
    return [
        name
        for name, field in sources[0].fields.items()
        if all(name in one.fields and one.fields[name].type is field.type for one in sources)
    ]
