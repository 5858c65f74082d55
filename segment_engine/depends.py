"""What a filter speaks of: fields, sources, tags and segments, as its catalogue names them."""

from collections.abc import Iterator
from dataclasses import dataclass

from segment_engine.checked import Activity, CheckedGroup, CheckedNode, Comparison, Rows, Sequence
from segment_engine.tree import AudienceKind, Membership


@dataclass(frozen=True, slots=True)
class Dependencies:
    """fields: the customer's, by name, and those of rows as `source.field`; sources, tags, segments: each once."""

    fields: frozenset[str]
    sources: frozenset[str]
    tags: frozenset[int]
    segments: frozenset[int]


def depends_on(checked: CheckedGroup) -> Dependencies:
    """Everything that a filter names."""
    named = list(_named(checked, ""))
    return Dependencies(
        fields=frozenset(name for kind, name in named if kind == "field" and isinstance(name, str)),
        sources=frozenset(name for kind, name in named if kind == "source" and isinstance(name, str)),
        tags=frozenset(name for kind, name in named if kind == AudienceKind.TAG and isinstance(name, int)),
        segments=frozenset(name for kind, name in named if kind == AudienceKind.SEGMENT and isinstance(name, int)),
    )


def _named(node: CheckedNode, prefix: str) -> Iterator[tuple[str, str | int]]:
    match node:
        case CheckedGroup(rules=rules):
            for rule in rules:
                yield from _named(rule, prefix)
        case Comparison(field, _, _, other):
            yield from (("field", f"{prefix}{one.name}") for one in (field, other) if one is not None)
        case Activity(rows, having=having):
            yield from _of_rows(rows)
            measured = (measure.field for measure in having if measure.field is not None)
            yield from (("field", f"{rows.source.name}.{field.name}") for field in measured)
        case Sequence(steps, without=without, same=same):
            for rows in (*steps, *([without] if without else [])):
                yield from _of_rows(rows)
            yield from (("field", f"{rows.source.name}.{same}") for rows in steps if same is not None)
        case Membership(kind, ids):
            yield from ((str(kind), one) for one in ids)


def _of_rows(rows: Rows) -> Iterator[tuple[str, str | int]]:
    yield "source", rows.source.name
    if rows.where is not None:
        yield from _named(rows.where, f"{rows.source.name}.")
