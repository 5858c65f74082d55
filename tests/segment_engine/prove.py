"""Proofs by trying: random filters on every engine, random documents at the door.

The suite tries some hundred; `python -m tests.segment_engine.prove` tries 20,000 of each and prints what it counted.
"""

import argparse
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from sqlglot import exp, parse_one

from segment_engine.cases.compiled import (
    compiled_alone,
    compiled_together,
    compiled_together_on_marts,
    relations_in,
)
from segment_engine.cases.interpreter import everybody
from segment_engine.cases.run import Asked, Engine, interpreted, read_filter, with_rules_reversed
from segment_engine.cases.world import World
from segment_engine.compile import compile_one
from segment_engine.emit import Dialect
from segment_engine.problems import InvalidFilterError
from segment_engine.relations import Statement
from tests.segment_engine.random_filters import random_filter
from tests.segment_engine.random_hostile import CANARY, random_hostile
from tests.segment_engine.random_worlds import PRESENTS, poisoned_world

AT_ONCE: Final = 100
"""Filters that are asked of one world, and compiled together."""

ENGINES: Final[Sequence[tuple[str, Engine]]] = (
    ("compiled alone", compiled_alone),
    ("compiled alone, rules reversed", with_rules_reversed(compiled_alone)),
    ("compiled together", compiled_together),
    ("compiled together, on marts", compiled_together_on_marts),
)

_OWN_NAMES: Final = {
    "customer_key", "one_id", "world", "customer", "audience_member", "audience_kind", "audience_id",
    "row_count", "days", "moment", "started", "same_value", "role", "moment_before", "forbidden", "looked_back",
    "together", "step", "second", "place", "row_key", "value", "ranked", "child",
}  # fmt: skip
_OWN_TEXTS: Final = {"", "Asia/Shanghai", "0x"}
_MADE: Final = ("sum_", "avg_", "present_", "min_", "max_", "distinct_", "first_", "last_", "sequence_")
_SPARK_KNOWS: Final = {
    "arrays_overlap", "array_except", "array_sort", "collect_list", "conv", "flatten", "make_dt_interval",
    "make_ym_interval", "to_utc_timestamp", "unix_micros",
}  # fmt: skip


@dataclass(slots=True)
class Tally:
    """What was tried, counted by what was found, and the first findings that should not be."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def fault(self, kind: str, told: object) -> None:
        """Count a fault and remember what it was."""
        self.counts[kind] += 1
        self.faults.append(f"{kind}: {told}")


def asked_of(world: World, number: int, seed: int) -> list[Asked]:
    """Random filters over a world, at one moment."""
    random = Random(seed)
    as_of = PRESENTS[seed % len(PRESENTS)].astimezone(world.zone)
    documents = [random_filter(random, world) for _ in range(number)]
    return [Asked(str(place), as_of, one, *read_filter(one, world)) for place, one in enumerate(documents)]


def try_engines(filters: int, *, first_seed: int = 0) -> Tally:
    """Whether every engine selects whom the interpreter selects; and whoever is not selected is, by the contrary."""
    tally = Tally()
    for seed in range(first_seed, first_seed + -(-filters // AT_ONCE)):
        world = poisoned_world(seed)
        cases = asked_of(world, min(AT_ONCE, filters), seed)
        expected = interpreted(world, cases)
        tally.counts["filters"] += len(cases)
        tally.counts["selecting some, not all"] += sum(0 < len(one) < len(world.customers) for one in expected)
        for name, engine in ENGINES:
            for case, wanted, got in zip(cases, expected, engine(world, cases), strict=True):
                tally.counts[name] += 1
                if wanted != got:
                    tally.fault("different", (seed, name, case.document, sorted(wanted ^ got)))
        _try_contraries(world, cases, expected, tally)
    return tally


def _try_contraries(world: World, cases: Sequence[Asked], expected: Sequence[frozenset[int]], tally: Tally) -> None:
    """Every customer is selected by p or by not p, by never both; nobody is left for the third part."""
    there = frozenset(everybody(world))
    contraries = [_contrary(case, world) for case in cases]
    for case, p, not_p in zip(cases, expected, compiled_together(world, contraries), strict=True):
        tally.counts["p, not p, neither"] += 1
        if p & not_p or there != p | not_p:
            tally.fault("no partition", (case.document, sorted(p & not_p), sorted(there ^ (p | not_p))))


def _contrary(case: Asked, world: World) -> Asked:
    document = {"combinator": "and", "not": True, "rules": case.document["rules"]}
    document["combinator"] = case.document["combinator"]
    if case.document.get("not"):
        document["not"] = False
    return Asked(case.name, case.as_of, document, *read_filter(document, world))


def try_texts(filters: int, *, first_seed: int = 0) -> Tally:
    """What the SQL of filters is made of: names of the catalogue, placeholders, and a few words of our own."""
    tally = Tally()
    for seed in range(first_seed, first_seed + -(-filters // AT_ONCE)):
        world = poisoned_world(seed)
        for case in asked_of(world, min(AT_ONCE, filters), seed):
            tally.counts["filters"] += 1
            for dialect in Dialect:
                statement = compile_one(case.checked, case.as_of, relations_in(world), dialect)
                tally.counts[f"statements of {dialect}"] += 1
                for fault in faults_of(statement, world, dialect):
                    tally.fault("foreign text", (seed, dialect, fault, case.document))
    return tally


def faults_of(statement: Statement, world: World, dialect: Dialect) -> Iterator[str]:
    """What stands in a statement and should not; it is parsed back for that."""
    # DuckDB's `$p0 … $p1` is a quoted text to sqlglot's tokenizer; the same colon serves both dialects.
    text = statement.text.replace("$p", ":p")
    tree = parse_one(text, dialect=dialect.value)
    again = tree.sql(dialect.value)
    if parse_one(again.replace("$p", ":p"), dialect=dialect.value).sql(dialect.value) != again:
        yield "the text does not read back"
    names = _names_of(world)
    for identifier in tree.find_all(exp.Identifier):
        if identifier.name not in names and not identifier.name.startswith(_MADE):
            yield f"identifier {identifier.name}"
    for literal in tree.find_all(exp.Literal):
        if literal.is_string and literal.name not in _OWN_TEXTS:
            yield f"text {literal.name}"
    placeholders = {one.name for one in tree.find_all(exp.Placeholder, exp.Parameter)} - {""}
    if placeholders != statement.values.keys():
        yield f"placeholders {sorted(placeholders ^ statement.values.keys())}"
    if dialect is Dialect.SPARK:
        yield from (
            f"function {one.name}" for one in tree.find_all(exp.Anonymous) if one.name.lower() not in _SPARK_KNOWS
        )


def _names_of(world: World) -> set[str]:
    sources = world.catalog.sources
    fields = {name for source in sources.values() for name in source.fields}
    tables = {"customer": world.catalog.attributes, **{name: source.fields for name, source in sources.items()}}
    children = {f"{table}__{name}" for table, held in tables.items() for name in held}
    numbered = {f"{name}_{number}" for name in sources for number in range(1, 40)}
    measured = {f"{name}_{kind}_{one}" for name in numbered for kind in ("first", "last") for one in fields}
    return {
        *_OWN_NAMES,
        *world.catalog.attributes,
        *sources,
        *fields,
        *numbered,
        *measured,
        *children,
        *(f"p{n}" for n in range(2_000)),
    }


def try_hostile(documents: int, *, first_seed: int = 0) -> tuple[Tally, list[float]]:
    """Whether every document is either read or refused with codes and places; and the seconds that each took."""
    tally, seconds = Tally(), []
    world = poisoned_world(first_seed)
    random = Random(first_seed)
    for _ in range(documents):
        document = random_hostile(random, world)
        began = time.perf_counter()
        try:
            _, checked = read_filter(document, world)
        except InvalidFilterError as refused:
            seconds.append(time.perf_counter() - began)
            tally.counts["refused"] += 1
            if not refused.problems or any(not one.code or not _is_pointer(one.path) for one in refused.problems):
                tally.fault("refused without code and place", document)
            continue
        except Exception as crash:
            tally.fault("crashed", (repr(crash)[:200], repr(document)[:200]))
            continue
        seconds.append(time.perf_counter() - began)
        tally.counts["read"] += 1
        statement = compile_one(checked, PRESENTS[0], relations_in(world))
        if CANARY in statement.text:
            tally.fault("a user's text in SQL", statement.text)
        for fault in faults_of(statement, world, Dialect.DUCKDB):
            tally.fault("foreign text", (fault, repr(document)[:300]))
    return tally, sorted(seconds)


def _is_pointer(path: str) -> bool:
    return path == "" or path.startswith("/")


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of sorted values lies."""
    return values[min(len(values) - 1, int(len(values) * share))]


def _print(title: str, tally: Tally) -> None:
    print(f"\n{title}")
    for name, count in tally.counts.items():
        print(f"  {count:>8,}  {name}")
    print(f"  {len(tally.faults):>8,}  faults")
    for fault in tally.faults[:10]:
        print(f"            {fault[:2_000]}")


def main() -> None:
    """Try so many of each and print the counts; ends with 1 where anything should not be."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--filters", type=int, default=20_000)
    options.add_argument("--hostile", type=int, default=20_000)
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()
    hostile, seconds = try_hostile(chosen.hostile, first_seed=chosen.seed)
    _print("Hostile documents", hostile)
    told = ", ".join(
        f"{name} {percentile(seconds, share) * 1e3:.2f} ms" for name, share in (("p50", 0.5), ("p99", 0.99))
    )
    print(f"            parse and validate: {told}")
    texts = try_texts(chosen.filters, first_seed=chosen.seed)
    _print("SQL of random filters, parsed back", texts)
    engines = try_engines(chosen.filters, first_seed=chosen.seed)
    _print("Random filters on poisoned rows, compared with the interpreter", engines)
    raise SystemExit(1 if hostile.faults or texts.faults or engines.faults else 0)


if __name__ == "__main__":
    main()
