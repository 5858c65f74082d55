"""What a filter means, as a sentence in Chinese and in English; what is not said in it is not meant.

Said at every rule: what it is about, what is compared with what, what becomes of missing values where a negation
leaves that open, and with `as_of` the days that relative windows count. An operator with its value is put into words
in `phrases.py`. Nothing here asks a catalogue or a store: the tree carries its fields, names of audiences are given.
"""

from collections.abc import Sequence as Items
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from segment_engine.catalog import Source
from segment_engine.checked import Activity, CheckedGroup, CheckedNode, Comparison, Measure, Rows, Sequence
from segment_engine.phrases import Subject, Wording, length, predicate
from segment_engine.sentences import (
    NOTHING,
    AudienceNames,
    OptionLabels,
    Sentence,
    between,
    bracketed,
    listed,
    quoted,
    remark,
    same,
)
from segment_engine.tree import AudienceKind, Bucket, Combinator, Everyone, Membership, Metric

ONLINE: Final = "客户线上行为"
"""The first category of the sources that are done (做过) and not had (有过); seed 003 §4.1.2."""

_SPACE: Final = same(" ")
_NEXT: Final = Sentence(";", "; ")
_JOINING: Final = {Combinator.AND: Sentence(" 且 ", " and "), Combinator.OR: Sentence(" 或 ", " or ")}
_AUDIENCES: Final = {AudienceKind.TAG: Sentence("标签", "tag"), AudienceKind.SEGMENT: Sentence("分群", "segment")}
_METRICS: Final = {
    Metric.COUNT: Sentence("次数", "number of rows"),
    Metric.DAYS: Sentence("天数", "number of different days"),
    Metric.SUM: Sentence("{}合计", "total of {}"),
    Metric.AVG: Sentence("{}平均值", "average of {}"),
    Metric.MIN: Sentence("{}最小值", "smallest {}"),
    Metric.MAX: Sentence("{}最大值", "largest {}"),
    Metric.DISTINCT: Sentence("{}去重个数", "number of different {}"),
    Metric.FIRST: Sentence("首次的{}", "first {}"),
    Metric.LAST: Sentence("末次的{}", "last {}"),
}


@dataclass(frozen=True, slots=True)
class _Context:
    """What words are drawn from, and whose conditions are told: those of customers, or of rows inside `where`."""

    names: AudienceNames
    wording: Wording
    of_rows: bool = False

    def inside_where(self) -> "_Context":
        return _Context(self.names, self.wording, of_rows=True)


def describe(
    checked: CheckedGroup, names: AudienceNames, as_of: datetime | None, *, labels: OptionLabels | None = None
) -> Sentence:
    """The whole filter; `as_of` is aware and in the tenant's zone, and without it no counted days are told."""
    return _group(checked, _Context(names, Wording(as_of, labels or {})))


def describe_rule(
    node: CheckedNode,
    names: AudienceNames,
    as_of: datetime | None,
    *,
    labels: OptionLabels | None = None,
    of_rows: bool = False,
) -> Sentence:
    """One node of a filter or, of_rows, of a `where`."""
    return _node(node, _Context(names, Wording(as_of, labels or {}), of_rows))


def describe_measure(
    measure: Measure, source: Source, as_of: datetime | None, *, labels: OptionLabels | None = None
) -> Sentence:
    """One of an activity's `having`."""
    return _measure(measure, source, _Context({}, Wording(as_of, labels or {})))


def _node(node: CheckedNode, context: _Context) -> Sentence:
    match node:
        case CheckedGroup():
            return _group(node, context)
        case Comparison():
            return _comparison(node, context)
        case Activity():
            return _activity(node, context)
        case Sequence():
            return _sequence(node, context)
        case Membership():
            return _membership(node, context)
        case Everyone() | Bucket():
            return _share(node)


def _group(group: CheckedGroup, context: _Context) -> Sentence:
    together = between(_JOINING[group.combinator], (_member(node, context) for node in group.rules))
    return Sentence("不满足:", "not ") + bracketed(together) if group.negated else together


def _member(node: CheckedNode, context: _Context) -> Sentence:
    """A rule of a group; several that stand together in a group of their own are in brackets."""
    told = _node(node, context)
    # A negated group has its brackets already.
    needs_brackets = isinstance(node, CheckedGroup) and len(node.rules) > 1 and not node.negated
    return bracketed(told) if needs_brackets else told


def _comparison(node: Comparison, context: _Context) -> Sentence:
    label = Sentence(node.field.label_zh, node.field.label_en)
    told = predicate(Subject.of(node.field), node.operator, node.value, node.other, context.wording)
    policy = _policy(matches_missing=node.matches_missing, of_rows=context.of_rows)
    return label + _SPACE + told + (policy if node.operator.is_negative else NOTHING)


def _policy(*, matches_missing: bool, of_rows: bool) -> Sentence:
    """What becomes of missing values, which a negation leaves open."""
    whose = Sentence("记录", "rows") if of_rows else Sentence("客户", "those")
    verb = Sentence("也算", "count too") if matches_missing else Sentence("不算", "do not count")
    return remark(Sentence(f"没有值的{whose.zh}{verb.zh}", f"{whose.en} without a value {verb.en}"))


def _activity(node: Activity, context: _Context) -> Sentence:
    source = node.rows.source
    told = [*_where(node.rows, context)]
    if node.having:
        told.append(between(_JOINING[Combinator.AND], (_measure(one, source, context) for one in node.having)))
    if node.include_zero:
        told.append(Sentence("含 0 次", "zero included"))
    verb = _occurrence(source, did=node.did, include_zero=node.include_zero)
    return verb + _SPACE + _label(source) + (remark(between(_NEXT, told)) if told else NOTHING)


def _occurrence(source: Source, *, did: bool, include_zero: bool) -> Sentence:
    is_online = source.category[0] == ONLINE
    # Without a row the measures may still hold, so that neither word alone would be true.
    if include_zero:
        return (
            Sentence("做过或未做过", "did any number of") if is_online else Sentence("有过或没有", "has any number of")
        )
    if did:
        return Sentence("做过", "did at least one") if is_online else Sentence("有过", "has at least one")
    return Sentence("未做过", "did no") if is_online else Sentence("没有", "has no")


def _label(source: Source) -> Sentence:
    return Sentence(source.label_zh, source.label_en)


def _where(rows: Rows, context: _Context) -> Items[Sentence]:
    """What rows must meet, if anything."""
    if rows.where is None:
        return ()
    return (Sentence("满足:", "where ") + _group(rows.where, context.inside_where()),)


def _measure(node: Measure, source: Source, context: _Context) -> Sentence:
    field = None if node.metric is Metric.DISTINCT else node.field
    subject = Subject(node.type) if field is None else replace(Subject.of(field), type=node.type)
    told = predicate(subject, node.operator, node.value, None, context.wording)
    policy = _policy(matches_missing=node.matches_missing, of_rows=False)
    return _metric(node, source) + _SPACE + told + (policy if node.operator.is_negative else NOTHING)


def _metric(node: Measure, source: Source) -> Sentence:
    """The words that the source offers for it, or those of any source."""
    name = None if node.field is None else node.field.name
    for offered in source.metrics:
        if (offered.metric, offered.field) == (node.metric, name):
            return Sentence(offered.label_zh, offered.label_en)
    words = _METRICS[node.metric]
    if node.field is None:
        return words
    return Sentence(words.zh.replace("{}", node.field.label_zh), words.en.replace("{}", node.field.label_en))


def _sequence(node: Sequence, context: _Context) -> Sentence:
    steps = between(Sentence(" → ", " → "), (_step(rows, context) for rows in node.steps))
    verb = (
        Sentence("依次有过", "has in this order")
        if node.did
        else Sentence("没有依次有过", "does not have in this order")
    )
    return verb + _SPACE + bracketed(between(_NEXT, [steps, *_limits(node, context)]))


def _step(rows: Rows, context: _Context) -> Sentence:
    told = _where(rows, context)
    return _label(rows.source) + (remark(told[0]) if told else NOTHING)


def _limits(node: Sequence, context: _Context) -> list[Sentence]:
    within = length(node.within)
    told = [Sentence(f"首尾相隔不超过{within.zh}", f"at most {within.en} from first to last")]
    if node.max_gap is not None:
        gap = length(node.max_gap)
        told.append(Sentence(f"相邻两步相隔不超过{gap.zh}", f"at most {gap.en} between neighbours"))
    if node.without is not None:
        told.append(Sentence("相邻两步之间没有 ", "between neighbours no ") + _step(node.without, context))
    if node.same is not None:
        field = node.steps[0].source.fields[node.same]
        told.append(Sentence(f"各步的{field.label_zh}相同", f"the same {field.label_en} in all"))
    return told


def _membership(node: Membership, context: _Context) -> Sentence:
    names = listed([_audience(node.kind, one, context.names) for one in node.ids])
    is_tag = node.kind is AudienceKind.TAG
    if node.negated:
        verb = Sentence("不带", "has none of") if is_tag else Sentence("不属于", "is in none of")
        return verb + _SPACE + names + (Sentence(" 中的任何一个", "") if len(node.ids) > 1 else NOTHING)
    verb = Sentence("带有", "has any of") if is_tag else Sentence("属于", "is in any of")
    return verb + _SPACE + names + (Sentence(" 中的至少一个", "") if len(node.ids) > 1 else NOTHING)


def _audience(kind: AudienceKind, one: int, names: AudienceNames) -> Sentence:
    name = names.get((kind, one))
    return _AUDIENCES[kind] + _SPACE + (same(str(one)) if name is None else quoted(name))


def _share(node: Everyone | Bucket) -> Sentence:
    if isinstance(node, Everyone):
        return Sentence("全部客户", "all customers")
    salt = quoted(node.salt).zh
    return Sentence(
        f"按{salt}随机分成的 100 份中第 {node.first} 至 {node.end} 份(含 {node.first},不含 {node.end})",
        f"the random share from {node.first} up to, not including, {node.end} of 100 by {salt}",
    )
