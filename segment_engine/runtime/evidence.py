"""The rows that speak for or against a rule, of one customer: the newest that `where` kept, and chains of sequences.

Fields that the caller may not see are left out. What rules they belong to is `explain.py`'s.
"""

from collections.abc import Hashable, Sequence, Set
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Any, Final
from zoneinfo import ZoneInfo

from segment_engine.catalog import Field, Source
from segment_engine.chains import Broken, Limits, Link, find_chain
from segment_engine.emit import name_of
from segment_engine.predicates import Column, Follows, RowSet
from segment_engine.relations import Statement
from segment_engine.runtime.explanation import EvidenceRow, ShownField, shown
from segment_engine.runtime.own_rows import OwnRows
from segment_engine.sentences import OptionLabels, Sentence
from segment_engine.statements import select_rows

MOST: Final = 5
"""How many rows are shown of one activity."""

_COUNT: Final = "rows_kept"


@dataclass(frozen=True, slots=True)
class Viewer:
    """How rows are shown: in which zone, with which classes of masked fields, with which labels of options."""

    zone: ZoneInfo
    permissions: Set[str] = frozenset()
    labels: OptionLabels = field(default_factory=dict)

    def sees(self, one: Field) -> bool:
        """Whether the field's value may be shown."""
        return one.permission is None or one.permission in self.permissions

    def field(self, one: Field, value: Any) -> ShownField:
        """A field with its value, without it where it is hidden."""
        label = Sentence(one.label_zh, one.label_en)
        if not self.sees(one):
            return ShownField(one.name, label, None, is_hidden=True)
        told = shown(value, one.type, self.zone)
        return ShownField(one.name, label, told, self._text(one, told))

    def row(self, source: Source, row: dict[str, Any], step: int | None = None) -> EvidenceRow:
        """A row of a source with all that may be seen of it."""
        seen = tuple(self.field(one, row[one.name]) for one in source.fields.values() if self.sees(one))
        return EvidenceRow(source.name, Sentence(source.label_zh, source.label_en), seen, step)

    def _text(self, one: Field, told: object) -> str | None:
        if one.options_from is None or told is None:
            return None
        values = told if isinstance(told, list) else [told]
        labels = [self.labels.get((one.options_from.table, str(value)), str(value)) for value in values]
        return "、".join(labels) if labels != values else None


def newest_rows(own: OwnRows, source: Source, rows: RowSet, viewer: Viewer) -> tuple[int, tuple[EvidenceRow, ...]]:
    """How many rows a set has, and the newest of them."""
    # Rows of one moment come in one order, too.
    by = ", ".join(f"{_quoted(name)} desc nulls last" for name in (source.time, *source.fields))
    kept = _kept(own, source, rows)
    text = f"select *, count(*) over () as {_COUNT} from ({kept.text}) as kept order by {by} limit {MOST}"
    found = own.read(Statement(text, kept.values))
    return found[0][_COUNT] if found else 0, tuple(viewer.row(source, row) for row in found)


def chain_of(
    own: OwnRows, sources: Sequence[Source], sequence: Follows, viewer: Viewer
) -> tuple[tuple[EvidenceRow, ...], Sentence | None]:
    """The rows of one chain, or what is missing of one."""
    steps = [own.read(_kept(own, one, rows)) for one, rows in zip(sources, sequence.steps, strict=True)]
    links = [_links(rows, one, sequence.same, viewer.zone) for rows, one in zip(steps, sources, strict=True)]
    limits = Limits(sequence.within, sequence.max_gap, _forbidden(own, sequence, viewer.zone), viewer.zone)
    found = find_chain(links, limits)
    if isinstance(found, Broken):
        return (), _missing(found, sources)
    evidence = zip(sources, steps, found, strict=True)
    return tuple(viewer.row(one, rows[place], step) for step, (one, rows, place) in enumerate(evidence, 1)), None


def _kept(own: OwnRows, source: Source, rows: RowSet) -> Statement:
    return select_rows(rows, own.relations, tuple(source.fields))


def _links(rows: Sequence[dict[str, Any]], source: Source, same: Column | None, zone: ZoneInfo) -> list[Link]:
    """Rows that say when they were and, where something must be the same, what it is."""
    found = []
    for place, row in enumerate(rows):
        moment, value = _moment(row[source.time], zone), None if same is None else _same(row[same.name])
        if moment is not None and (same is None or value is not None):
            found.append(Link(moment, value, place))
    return found


def _forbidden(own: OwnRows, sequence: Follows, zone: ZoneInfo) -> list[datetime]:
    if sequence.without is None:
        return []
    time_column = own.relations.sources[sequence.without.source].time.name
    read = own.read(select_rows(sequence.without, own.relations, (time_column,)))
    moments = [_moment(row[time_column], zone) for row in read]
    return sorted(moment for moment in moments if moment is not None)


def _moment(value: date | datetime | None, zone: ZoneInfo) -> datetime | None:
    """A day begins at midnight of the tenant's zone."""
    if value is None or isinstance(value, datetime):
        return value
    return datetime.combine(value, time(), zone)


def _same(value: Any) -> Hashable:
    """A list is the set that it is; an empty one, and an empty text, are missing."""
    if isinstance(value, list):
        return tuple(sorted(set(value))) or None
    return None if value == "" else value


def _missing(broken: Broken, sources: Sequence[Source]) -> Sentence:
    if broken.step is None:
        return Sentence("各步骤都有,但首尾相隔超过限制", "every step is there, but no chain is short enough")
    source = sources[broken.step - 1]
    if not broken.has_rows:
        zh, en = f"没有符合第 {broken.step} 步的记录", f"there is no row for step {broken.step}"
    else:
        zh = f"第 {broken.step} 步有记录,但都不能接在前一步之后"
        en = f"step {broken.step} has rows, but none of them follows the step before as asked"
    return Sentence(f"{zh}({source.label_zh})", f"{en} ({source.label_en})")


def _quoted(name: str) -> str:
    return name_of(name).sql("duckdb")
