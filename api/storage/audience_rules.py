"""Tags and segments that name each other: who refers to whom, and what is wrong with a rule when one is gone.

Single rows are read and written by `api.audiences`; how many may be enabled is `audience_quotas`' business, and what is
calculated `audiences`'.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, select, text, update

from api.storage.tables.audiences import audience, audience_definition, audience_reference
from segment_engine.parse import parse
from segment_engine.problems import InvalidFilterError, Problem, pointer
from segment_engine.references import dependants_of
from segment_engine.tree import AudienceKind, Membership, rules_of

LOCK = 0x63_64_70_61
RULE_INVALID = "rule_invalid"
"""The code of what is wrong with a rule that names a tag or segment which no longer holds (规则失效)."""

WORDS = {AudienceKind.TAG: ("标签", "tag"), AudienceKind.SEGMENT: ("分群", "segment")}
_IS_THERE = audience.c.deleted_at.is_(None)


@dataclass(frozen=True, slots=True)
class Named:
    """A tag or segment as others speak of it; also one that was deleted."""

    id: int
    kind: AudienceKind
    name: str
    is_smart: bool
    is_enabled: bool
    is_deleted: bool


def lock_audiences(connection: Connection) -> None:
    """Let one change of tags and segments happen at a time: circles and quotas are about all of them.

    SQLite has one writer anyway; PostgreSQL queues here until the change before has committed. Take it first, and not
    where writes go in groups: one of a group would wait while it holds what the one it waits for needs.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"select pg_advisory_xact_lock({LOCK})"))


def named_audiences(connection: Connection) -> dict[int, Named]:
    """Every tag and segment there ever was, by id."""
    columns = (audience.c.id, audience.c.kind, audience.c.name, audience.c.is_smart, audience.c.is_enabled)
    rows = connection.execute(select(*columns, audience.c.deleted_at))
    return {
        row.id: Named(
            row.id, AudienceKind(row.kind), row.name, row.is_smart, row.is_enabled, row.deleted_at is not None
        )
        for row in rows
    }


def references(connection: Connection) -> dict[int, frozenset[int]]:
    """What each published definition names; those without a name of others are not here."""
    found: dict[int, set[int]] = {}
    for row in connection.execute(select(audience_reference.c.audience_id, audience_reference.c.refers_to)):
        found.setdefault(row.audience_id, set()).add(row.refers_to)
    return {one: frozenset(named) for one, named in found.items()}


def memberships(document: Any) -> Iterator[Membership]:
    """The rules of a filter that name tags or segments; none of one that cannot be read any more."""
    try:
        tree = parse(document)
    except InvalidFilterError:
        return
    yield from (rule for rule in rules_of(tree) if isinstance(rule, Membership))


def place_of(rule: Membership) -> str:
    """Where in its filter a rule names tags or segments."""
    return pointer((*rule.place, f"{rule.kind}_ids"))


def invalidate_dependants(connection: Connection, gone: Collection[int], *, now: datetime) -> list[int]:
    """Tell of every rule that names one of these, or one whose rule names it, that it no longer holds; their ids.

    What they selected last stays as it is: nobody is silently taken out.
    """
    known = named_audiences(connection)
    broken: dict[int, str] = dict.fromkeys(gone, "off")
    filters = _filters(connection)
    for one in dependants_of(references(connection), gone):
        problems = [asdict(problem) for problem in _invalid(filters.get(one), broken, known)]
        broken[one] = "invalid"
        connection.execute(update(audience).where(audience.c.id == one).values(problems=problems, failed_at=now))
    return [one for one in broken if one not in set(gone)]


def _filters(connection: Connection) -> dict[int, Any]:
    counts = and_(
        audience_definition.c.audience_id == audience.c.id, audience_definition.c.number == audience.c.definition
    )
    rows = connection.execute(select(audience.c.id, audience_definition.c.filter).join_from(
        audience, audience_definition, counts).where(_IS_THERE))  # fmt: skip
    return {row.id: row.filter for row in rows}


def _invalid(document: Any, broken: Mapping[int, str], known: Mapping[int, Named]) -> Iterator[Problem]:
    for rule in memberships(document):
        for one in rule.ids:
            if one in broken:
                yield _rule_invalid(place_of(rule), known[one], is_off=broken[one] == "off")


def _rule_invalid(place: str, named: Named, *, is_off: bool) -> Problem:
    zh, en = WORDS[named.kind]
    why = ("已被禁用", "is disabled") if is_off else ("的规则已失效", "has a rule that is invalid itself")
    return Problem(
        RULE_INVALID,
        place,
        f"规则失效:引用的{zh}「{named.name}」(编号 {named.id}){why[0]}",
        f"The rule is invalid: the {en} “{named.name}” ({named.id}) that it names {why[1]}.",
    )
