"""One rule at a time, as somebody who edits it waits for its number: nothing known, one leaf edited, all remembered.

Also what compiling costs, phase by phase. Many rules at once belong to `segments_runs.py`.
"""

import time
from collections.abc import Callable, Mapping
from random import Random
from statistics import median, quantiles
from typing import Any, Final, TypeVar

from benchmarks.segments_rules import SEED, Json, edited, make_rules
from benchmarks.segments_world import Formulas, World
from segment_engine.compile import compile_many
from segment_engine.normalize import normalize
from segment_engine.parse import parse
from segment_engine.plan import Plan, plan
from segment_engine.predicates import InAudience
from segment_engine.resolve import resolve
from segment_engine.runtime.audiences import AudienceReader, LeafMemory
from segment_engine.runtime.bitmaps import Bitmap
from segment_engine.statements import select_customers
from segment_engine.validate import Asking, validate

PREVIEWED: Final = 150

T = TypeVar("T")


def measure_preview(world: World, formulas: Formulas) -> Mapping[str, Any]:
    """p50 and p95, in ms: compiling, and from a plan to the number of customers."""
    rules = make_rules(len(formulas), world.clinics)
    previews = _Previews(world, formulas, Asking(segments=frozenset(rules)))
    chance = Random(SEED)
    found: dict[str, list[float]] = {"compiled": [], "cold": [], "edited": [], "cached": []}
    for document in list(rules.values())[:PREVIEWED]:
        for name, milliseconds in previews.of(document, edited(document, chance, world.clinics)).items():
            found[name].append(milliseconds)
    return {name: [median(values), quantiles(values, n=20)[-1]] for name, values in found.items()}


class _Previews:
    """Previews rules; other rules that one refers to are known already."""

    def __init__(self, world: World, formulas: Formulas, asking: Asking) -> None:
        self._world = world
        self._asking = asking
        self._version = world.version()
        members = AudienceReader(world.connection, self._version, self._none).read(plan(formulas)).members  # type: ignore[arg-type]
        self._members: Mapping[Any, Bitmap] = members

    def of(self, document: Json, changed: Json) -> Mapping[str, float]:
        memory = LeafMemory()
        reader = AudienceReader(self._world.connection, self._version, self._members.__getitem__, memory=memory)
        compiled, asked = _timed(lambda: self._plan(document))
        cold, _ = _timed(lambda: self._count(reader, asked))
        other = self._plan(changed)
        one_leaf, _ = _timed(lambda: self._count(reader, other))
        cached, _ = _timed(lambda: self._count(reader, asked))
        return {"compiled": compiled, "cold": cold, "edited": one_leaf, "cached": cached}

    def _plan(self, document: Json) -> Plan:
        checked = validate(parse(document), self._world.catalog, self._asking)
        return compile_many({0: checked}, self._world.as_of, self._world.known)

    def _count(self, reader: AudienceReader, asked: Plan) -> int:
        return len(reader.read(asked).members[0])

    def _none(self, one: InAudience) -> Bitmap:
        raise AssertionError(f"{one} is no rule of the plan")


def measure_compile(world: World, formulas: Formulas) -> Mapping[str, Any]:
    """Milliseconds a rule, by phase; `SQL` is the single statement of a rule."""
    documents = make_rules(len(formulas), world.clinics)
    asking = Asking(segments=frozenset(documents))
    spent: dict[str, float] = {}

    def phase(name: str, work: Callable[[], T]) -> T:
        milliseconds, found = _timed(work)
        spent[name] = milliseconds / len(documents)
        return found

    trees = phase("parse", lambda: [parse(document) for document in documents.values()])
    checked = phase("validate", lambda: [validate(tree, world.catalog, asking) for tree in trees])
    normal = phase("normalize", lambda: [normalize(one) for one in checked])
    resolved = phase("resolve", lambda: [resolve(one, world.as_of, world.known) for one in normal])
    phase("plan", lambda: plan(dict(zip(formulas, resolved, strict=True))))
    phase("SQL", lambda: [select_customers(one, world.marts) for one in resolved])
    return spent


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    began = time.perf_counter()
    found = work()
    return (time.perf_counter() - began) * 1000, found
