"""From a tree to what it means: every name is one of the catalogue's, every value one that its operator takes.

Told at once, each at its place: fields, sources, operators and options that do not exist, what the caller may not ask
about, and what would mean nothing or something else than it says.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from segment_engine.catalog import NUMERIC, Catalog, Field, Source
from segment_engine.checked import Activity, CheckedGroup, CheckedNode, Comparison, Measure, Rows, Sequence
from segment_engine.document import FilterLimits
from segment_engine.naming import not_enabled, not_there
from segment_engine.operators import OPERATORS, FieldType, Operator, Shape, operator_of
from segment_engine.problems import InvalidFilterError, Problem, pointer
from segment_engine.tree import (
    MISSING,
    AudienceKind,
    Condition,
    Group,
    Having,
    Membership,
    Metric,
    NullPolicy,
    Occurrence,
    Place,
    Step,
)
from segment_engine.tree import Activity as ActivityAsWritten
from segment_engine.tree import Sequence as SequenceAsWritten
from segment_engine.values import FieldRef, Value, Window, read_value

_OPTION_TYPES: Final = frozenset({FieldType.OPTION, FieldType.OPTIONS})
_COUNTS: Final = frozenset({Metric.COUNT, Metric.DAYS})
_OF_NUMBERS: Final = frozenset({Metric.SUM, Metric.AVG, Metric.MIN, Metric.MAX})
_WINDOW: Final = Operator("window", "时间窗口", "window", Shape.WINDOW)
# What only a customer without a row could satisfy.
_ONLY_ZERO: Final = frozenset({("eq", 0), ("lte", 0), ("lt", 1), ("in", (0,))})


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks, and about when.

    permissions: classes of masked fields that the caller sees; tags, segments: those that the caller may name;
    disabled: what others are called that exist and are out of use, so that nobody is told that they are not there;
    is_past: whether the filter is about an earlier day than the data's; is_before_history: and about one of which
    nobody knows what customers were like
    """

    permissions: frozenset[str] = frozenset()
    tags: frozenset[int] = frozenset()
    segments: frozenset[int] = frozenset()
    is_past: bool = False
    is_before_history: bool = False
    disabled: Mapping[tuple[AudienceKind, int], str] = field(default_factory=dict)


def validate(tree: Group, catalog: Catalog, asking: Asking, limits: FilterLimits | None = None) -> CheckedGroup:
    """The tree with everything resolved; raises InvalidFilterError with everything wrong, in order of the document."""
    check = _Check(catalog, asking, limits or FilterLimits())
    checked = check.group(tree, catalog.attributes, "客户资料 / the customer")
    if check.problems:
        # What several steps have in common is wrong once.
        raise InvalidFilterError(*dict.fromkeys(check.problems))
    return checked


class _Check:
    """Resolves nodes and notes problems; a node that cannot be resolved is left out."""

    def __init__(self, catalog: Catalog, asking: Asking, limits: FilterLimits) -> None:
        self.problems: list[Problem] = []
        self._catalog = catalog
        self._asking = asking
        self._limits = limits

    def group(self, group: Group, fields: Mapping[str, Field], owner: str) -> CheckedGroup:
        """A group whose conditions are about these fields."""
        rules = [self._node(node, fields, owner) for node in group.rules]
        return CheckedGroup(group.combinator, tuple(rule for rule in rules if rule), group.negated, group.place)

    def _node(self, node: object, fields: Mapping[str, Field], owner: str) -> CheckedNode | None:
        match node:
            case Group():
                return self.group(node, fields, owner)
            case Condition():
                if fields is self._catalog.attributes:
                    self._check_history((*node.place, "field"))
                return self._comparison(node, fields, owner)
            case ActivityAsWritten():
                return self._activity(node)
            case SequenceAsWritten():
                return self._sequence(node)
            case Membership():
                return self._membership(node)
        return node  # type: ignore[return-value]  # everyone and buckets name nothing

    def _comparison(self, node: Condition, fields: Mapping[str, Field], owner: str) -> Comparison | None:
        field = self._field(node.field, fields, owner, (*node.place, "field"))
        if field is None:
            return None
        operator = self._operator(node.operator, field.type, node.place)
        if operator is None:
            return None
        self._check_null_policy(operator, node.null_policy, node.place)
        value = self._value(node.value, operator, field.type, node.place)
        other = None
        if isinstance(value, FieldRef):
            other, value = self._other(value, field, fields, owner, (*node.place, "value", "field")), None
        elif field.type in _OPTION_TYPES and field.options is not None:
            self._check_options(value, field.options, (*node.place, "value"))
        return Comparison(field, operator, value, other, node.null_policy is NullPolicy.MATCH, node.place)

    def _other(
        self, ref: FieldRef, field: Field, fields: Mapping[str, Field], owner: str, place: Place
    ) -> Field | None:
        other = self._field(ref.field, fields, owner, place)
        if other is not None and other.type is not field.type:
            self._tell("wrong_type", place, f"应为类型 {field.type} 的字段", f"Must be a field of type {field.type}.")
        return other

    def _activity(self, node: ActivityAsWritten) -> Activity | None:
        did = node.occurrence is Occurrence.DID
        source = self._source(node.source, node.place)
        if node.having and not did:
            self._tell(
                "metric_with_did_not",
                (*node.place, "having"),
                "没有/未做过 不能带统计指标",
                "did_not takes no metrics: nothing is there to be measured.",
            )
        if node.include_zero and not (did and node.having):
            told = "include_zero 只用于带统计指标的 有过/做过", "include_zero belongs to did with a metric."
            self._tell("unexpected_member", (*node.place, "include_zero"), *told)
        if source is None:
            return None
        where = None if node.where is None else self.group(node.where, source.fields, source.label_zh)
        having = [self._measure(one, source, node.include_zero) for one in node.having] if did else []
        measures = tuple(one for one in having if one)
        return Activity(Rows(source, where), did, measures, node.include_zero, node.place)

    def _measure(self, node: Having, source: Source, include_zero: bool) -> Measure | None:
        field = None
        if node.field is not None:
            field = self._field(node.field, source.fields, source.label_zh, (*node.place, "field"))
            if field is None:
                return None
            if node.metric in _OF_NUMBERS and field.type not in NUMERIC:
                told = f"{node.metric} 只能用于数字字段", f"{node.metric} is of fields with numbers."
                self._tell("wrong_type", (*node.place, "field"), *told)
                return None
        measured = _type_of(node.metric, field)
        operator = self._operator(node.operator, measured, node.place)
        if operator is None:
            return None
        self._check_null_policy(operator, node.null_policy, node.place)
        value = self._value(node.value, operator, measured, node.place)
        if isinstance(value, FieldRef):
            told = "统计指标应与一个值比较", "A metric is compared with a value."
            self._tell("wrong_type", (*node.place, "value"), *told)
        if node.metric in _COUNTS and not include_zero and (operator.name, value) in _ONLY_ZERO:
            told = "没有记录请用 没有/未做过,或设置 include_zero", "For no rows say did_not, or set include_zero."
            self._tell("never_true", (*node.place, "value"), *told)
        matches = node.null_policy is NullPolicy.MATCH
        return Measure(node.metric, field, measured, operator, value, matches, node.place)

    def _sequence(self, node: SequenceAsWritten) -> Sequence | None:
        steps = [self._rows(step) for step in node.steps]
        without = None if node.without is None else self._rows(node.without)
        within = self._window(node.within, (*node.place, "within"))
        max_gap = None if node.max_gap is MISSING else self._window(node.max_gap, (*node.place, "max_gap"))
        known = [rows for rows in steps if rows]
        if node.same is not None:
            self._check_same(node.same, known, (*node.place, "same"))
        if within is None or len(known) < len(steps):
            return None
        did = node.occurrence is Occurrence.DID
        return Sequence(tuple(known), within, max_gap, without, node.same, did, node.place)

    def _check_same(self, name: str, steps: list[Rows], place: Place) -> None:
        found = [self._field(name, rows.source.fields, rows.source.label_zh, place) for rows in steps]
        if len({field.type for field in found if field}) > 1:
            told = "各步骤中该字段的类型应相同", "The field must have one type in all steps."
            self._tell("wrong_type", place, *told)

    def _rows(self, step: Step) -> Rows | None:
        source = self._source(step.source, step.place)
        if source is None:
            return None
        return Rows(source, None if step.where is None else self.group(step.where, source.fields, source.label_zh))

    def _window(self, raw: object, place: Place) -> Window | None:
        value = self._read(raw, _WINDOW, FieldType.DATETIME, place)
        return value if isinstance(value, Window) else None

    def _membership(self, node: Membership) -> Membership | None:
        is_tag = node.kind is AudienceKind.TAG
        self._check_history((*node.place, "kind"))
        unusable = sorted(set(node.ids) - (self._asking.tags if is_tag else self._asking.segments))
        place = (*node.place, f"{node.kind}_ids")
        for one in unusable:
            name = self._asking.disabled.get((node.kind, one))
            if name is None:
                self._tell(f"unknown_{node.kind}", place, *not_there(node.kind, one))
            else:
                self._tell(f"{node.kind}_disabled", place, *not_enabled(node.kind, one, name))
        return None if unusable else node

    def _field(self, name: str, fields: Mapping[str, Field], owner: str, place: Place) -> Field | None:
        field = fields.get(name)
        if field is None:
            self._tell("unknown_field", place, f"{owner} 没有这个字段", f"{owner} has no such field.")
            return None
        if field.permission is not None and field.permission not in self._asking.permissions:
            self._tell("field_not_permitted", place, "没有权限使用该字段", "You may not ask about this field.")
            return None
        if field.is_current_only and self._asking.is_past:
            told = (
                "该字段只有当前值,不能用于过去的日期",
                "Only its value of today is known, not that of an earlier day.",
            )
            self._tell("not_known_then", place, *told)
            return None
        return field

    def _check_history(self, place: Place) -> None:
        """What customers were like is known from the first night on; what they did, from the first row on."""
        if self._asking.is_before_history:
            told = "该日期早于客户资料与标签的历史记录", "Attributes, tags and segments were not recorded that early."
            self._tell("before_history", place, *told)

    def _source(self, name: str, place: Place) -> Source | None:
        source = self._catalog.sources.get(name)
        if source is None:
            self._tell("unknown_source", (*place, "source"), "没有这个数据源", "There is no such source.")
        return source

    def _operator(self, name: str, field_type: FieldType, place: Place) -> Operator | None:
        operator = operator_of(field_type, name)
        if operator is None:
            known = ", ".join(OPERATORS[field_type])
            told = f"类型 {field_type} 的操作符:{known}", f"Operators of type {field_type}: {known}."
            self._tell("unknown_operator", (*place, "operator"), *told)
        return operator

    def _check_null_policy(self, operator: Operator, policy: NullPolicy, place: Place) -> None:
        if policy is NullPolicy.MATCH and not operator.is_negative:
            told = "null_policy: match 只用于否定操作符", "null_policy: match belongs to negative operators."
            self._tell("null_policy_not_allowed", (*place, "null_policy"), *told)

    def _check_options(self, value: Value, options: tuple[str, ...], place: Place) -> None:
        several = isinstance(value, tuple)
        for index, one in enumerate(value if isinstance(value, tuple) else [value]):
            if isinstance(one, str) and one not in options:
                known = ", ".join(options)
                at = (*place, index) if several else place
                self._tell("unknown_option", at, f"选项应为:{known}", f"Must be one of {known}.")

    def _value(self, raw: object, operator: Operator, field_type: FieldType, place: Place) -> Value:
        return self._read(raw, operator, field_type, (*place, "value"))

    def _read(self, raw: object, operator: Operator, field_type: FieldType, place: Place) -> Value:
        try:
            return read_value(raw, operator, field_type, place, self._limits)
        except InvalidFilterError as wrong:
            self.problems += wrong.problems
            return None

    def _tell(self, code: str, place: Place, zh: str, en: str) -> None:
        self.problems.append(Problem(code, pointer(place), zh, en))


def _type_of(metric: Metric, field: Field | None) -> FieldType:
    """What a metric measures: rows, days and different values are counted, an average of whole numbers is none."""
    if field is None or metric is Metric.DISTINCT:
        return FieldType.INTEGER
    return FieldType.DECIMAL if metric is Metric.AVG and field.type is FieldType.INTEGER else field.type
