"""How many customers a filter means now, some of them, and how many each of its branches means alone (its funnel).

Within a time budget, and cut to the customers whom the caller may see. Saying why one customer is in it is
`explain.py`'s.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final

import duckdb
import numpy as np
import numpy.typing as npt

from segment_engine.checked import CheckedGroup, CheckedNode
from segment_engine.clinics import without_clinics
from segment_engine.describe import describe_rule
from segment_engine.normalize import normalize_node
from segment_engine.plan import Plan, plan
from segment_engine.predicates import InAudience
from segment_engine.problems import pointer
from segment_engine.resolve import resolve
from segment_engine.runtime.audiences import Answer, AudienceReader, LeafMemory
from segment_engine.runtime.bitmaps import Bitmap
from segment_engine.runtime.limited import Budget
from segment_engine.runtime.version import Opened
from segment_engine.sentences import AudienceNames, OptionLabels, Sentence
from segment_engine.tree import Place

SAMPLE: Final = 20
SECONDS: Final = 10.0

_ROOT: Final[Place] = ()


@dataclass(frozen=True, slots=True)
class Branch:
    """A rule or group of the filter, and how many customers it means by itself; path: its JSON Pointer."""

    path: str
    sentence: Sentence
    count: int


@dataclass(frozen=True, slots=True)
class Preview:
    """The answer, and how it was found.

    sample: keys, in their order; branches: every rule and group below the root, in the order of the document; seconds:
    it took; remembered: leaves that were known already; plan and answer: for `plan_text`
    """

    count: int
    sample: tuple[int, ...]
    branches: tuple[Branch, ...]
    seconds: float
    remembered: int
    plan: Plan
    answer: Answer


@dataclass(frozen=True, slots=True)
class Sight:
    """What the caller sees: scope cuts every count and sample to these customers, names and labels make sentences."""

    scope: Bitmap | None = None
    names: AudienceNames = field(default_factory=dict)
    labels: OptionLabels = field(default_factory=dict)


def preview(
    checked: CheckedGroup,
    opened: Opened,
    connection: duckdb.DuckDBPyConnection,
    *,
    audiences: Callable[[InAudience], Bitmap],
    sight: Sight | None = None,
    sample: int = SAMPLE,
    budget: Budget | None = None,
    memory: LeafMemory | None = None,
    workers: int = 2,
) -> Preview:
    """The preview of a filter; raises QueryTimeoutError, QueryCancelledError, duckdb.Error.

    audiences: the members of a tag or segment; memory: of leaves, which belongs to this version and day. Clinics
    that the version excludes are left out here: the filter comes as it was written.
    """
    began = perf_counter()
    sight = sight or Sight()
    reader = AudienceReader(connection, opened.version, audiences, memory=memory, workers=workers)
    made, answer = (budget or Budget(SECONDS)).run(lambda: _read(checked, opened, reader), reader.stop)
    seen = {place: _seen(bitmap, sight) for place, bitmap in answer.members.items()}
    branches = tuple(_branch(node, seen, opened, sight) for node in below(checked))
    sampled = stable_sample(seen[_ROOT].keys(), sample)
    return Preview(
        len(seen[_ROOT]), sampled, branches, perf_counter() - began, answer.remembered, made, answer
    )  # fmt: skip


def below(group: CheckedGroup) -> Iterator[CheckedNode]:
    """Every rule and group in a group, in the order of the document."""
    for node in group.rules:
        yield node
        if isinstance(node, CheckedGroup):
            yield from below(node)


def stable_sample(keys: npt.NDArray[np.int64], most: int) -> tuple[int, ...]:
    """So many of the keys, in their order: the same ones as long as they are there, and not the oldest customers only.

    Those whose hash is the least, so that a filter that changes little keeps most of its sample.
    """
    if most <= 0:
        return ()
    if len(keys) <= most:
        return tuple(keys.tolist())
    chosen = np.argpartition(_hashed(keys), most - 1)[:most]
    return tuple(sorted(keys[chosen].tolist()))


def _hashed(keys: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """The finalizer of SplitMix64: Source: Steele, Lea and Flood, Fast splittable pseudorandom number generators."""
    mixed = keys.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _read(checked: CheckedGroup, opened: Opened, reader: AudienceReader) -> tuple[Plan, Answer]:
    meant = without_clinics(checked, opened.excluded_clinics)
    formulas: dict[Hashable, CheckedNode] = {_ROOT: meant, **{node.place: node for node in below(meant)}}
    made = plan({place: resolve(normalize_node(node), opened.as_of, opened.known) for place, node in formulas.items()})
    return made, reader.read(made)


def _seen(bitmap: Bitmap, sight: Sight) -> Bitmap:
    return bitmap if sight.scope is None else bitmap & sight.scope


def _branch(node: CheckedNode, seen: Mapping[Hashable, Bitmap], opened: Opened, sight: Sight) -> Branch:
    sentence = describe_rule(node, sight.names, opened.as_of, labels=sight.labels)
    return Branch(pointer(node.place), sentence, len(seen[node.place]))
