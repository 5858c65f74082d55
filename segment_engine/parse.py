"""From a document to a tree: which members stand where. Whether a catalogue knows the names is asked in `validate.py`.

Every problem of a document is told at once; a member that is wrong is left out of what is read on, so that nothing is
told twice. Nothing is guessed: an unknown member is a problem, and `id` and `path`, which editors add, are dropped.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final, TypeVar

from segment_engine.document import FilterLimits, document_problems
from segment_engine.problems import InvalidFilterError, Problem, pointer
from segment_engine.tree import (
    METRICS_OF_ROWS,
    MISSING,
    Activity,
    AudienceKind,
    Bucket,
    Combinator,
    Condition,
    Everyone,
    Group,
    Having,
    Membership,
    Metric,
    Node,
    NullPolicy,
    Occurrence,
    Place,
    Sequence,
    Step,
    rules_of,
)

E = TypeVar("E", bound=StrEnum)

_EDITORS_MEMBERS: Final = frozenset({"id", "path"})
_BUCKETS: Final = 100
_STEPS: Final = 10


def parse(document: Any, limits: FilterLimits | None = None) -> Group:
    """The tree of a document; raises InvalidFilterError with everything that is wrong with its shape."""
    limits = limits or FilterLimits()
    if problems := document_problems(document, limits):
        raise InvalidFilterError(*problems)
    reader = _Reader(limits)
    tree = reader.filter(document, (), level=1)
    if reader.problems or tree is None:
        raise InvalidFilterError(*reader.problems)
    return tree


class _Reader:
    """Reads nodes and notes problems; a node that cannot be read is None."""

    def __init__(self, limits: FilterLimits) -> None:
        self.problems: list[Problem] = []
        self._limits = limits

    def filter(self, document: Any, place: Place, *, level: int, of_rows: bool = False) -> Group | None:
        """A whole filter or, of_rows, a `where`; an activity is one condition, whatever its own `where` says."""
        tree = self._group(document, place, level, of_rows)
        most = self._limits.conditions
        if tree is not None and sum(1 for _ in rules_of(tree)) > most:
            self._tell_conditions(place, most)
        return tree

    def _group(self, document: Any, place: Place, level: int, of_rows: bool) -> Group | None:
        members = self._members(document, place, required={"combinator", "rules"}, allowed={"not"})
        if members is None:
            return None
        if level > self._limits.nesting:
            most = self._limits.nesting
            self._tell("nested_too_deep", place, f"条件组最多嵌套 {most} 层", f"Groups nest at most {most} deep.")
            return None
        combinator = self._choice(members, "combinator", Combinator, place)
        negated = self._truth(members, "not", place)
        listed = self._list(members, "rules", place)
        if len(listed) > (most := self._limits.conditions):
            self._tell_conditions(place, most)
            return None
        rules = [self._rule(rule, (*place, "rules", index), level, of_rows) for index, rule in enumerate(listed)]
        if combinator is None or negated is None:
            return None
        return Group(combinator, tuple(rule for rule in rules if rule is not None), negated, place)

    def _rule(self, document: Any, place: Place, level: int, of_rows: bool) -> Node | None:
        if not isinstance(document, dict):
            self._tell_type(place, "对象", "an object")
            return None
        if "rules" in document or "combinator" in document:
            return self._group(document, place, level + 1, of_rows)
        if of_rows:
            return self._condition(document, place)
        kind = self._text(document, "kind", place)
        read = _KINDS.get(kind or "")
        if kind is not None and read is None:
            known = ", ".join(_KINDS)
            self._tell("unknown_kind", (*place, "kind"), f"条件类型应为以下之一:{known}", f"A kind is one of {known}.")
        return read(self, document, place, level) if read else None

    def attribute(self, document: Mapping[str, Any], place: Place, level: int) -> Condition | None:
        """A field of the customer compared with a value."""
        return self._condition(document, place, kind=True)

    def _condition(self, document: Mapping[str, Any], place: Place, *, kind: bool = False) -> Condition | None:
        required = {"field", "operator", *(["kind"] if kind else [])}
        members = self._members(document, place, required=required, allowed={"value", "null_policy"})
        if members is None:
            return None
        field, operator = self._text(members, "field", place), self._text(members, "operator", place)
        policy = self._choice(members, "null_policy", NullPolicy, place, default=NullPolicy.EXCLUDE)
        if field is None or operator is None or policy is None:
            return None
        return Condition(field, operator, members.get("value", MISSING), policy, place)

    def activity(self, document: Mapping[str, Any], place: Place, level: int) -> Activity | None:
        """Rows of a source."""
        members = self._members(
            document, place, required={"kind", "source", "occurrence"}, allowed={"where", "having", "include_zero"}
        )
        if members is None:
            return None
        source, occurrence = (
            self._text(members, "source", place),
            self._choice(members, "occurrence", Occurrence, place),
        )
        include_zero = self._truth(members, "include_zero", place)
        where = self._where(members, place, level)
        listed = self._list(members, "having", place) if "having" in members else []
        if len(listed) > (most := self._limits.conditions):
            told = f"统计指标最多 {most} 个", f"An activity has at most {most} metrics."
            self._tell("too_many_conditions", (*place, "having"), *told)
            listed = []
        having = [self._having(item, (*place, "having", index)) for index, item in enumerate(listed)]
        if source is None or occurrence is None or include_zero is None:
            return None
        return Activity(source, occurrence, where, tuple(one for one in having if one), include_zero, place)

    def _where(self, members: Mapping[str, Any], place: Place, level: int) -> Group | None:
        if "where" not in members:
            return None
        return self.filter(members["where"], (*place, "where"), level=level + 1, of_rows=True)

    def _having(self, document: Any, place: Place) -> Having | None:
        members = self._members(
            document, place, required={"metric", "operator"}, allowed={"field", "value", "null_policy"}
        )
        if members is None:
            return None
        metric, operator = self._choice(members, "metric", Metric, place), self._text(members, "operator", place)
        policy = self._choice(members, "null_policy", NullPolicy, place, default=NullPolicy.EXCLUDE)
        field = self._text(members, "field", place) if "field" in members else None
        if metric is None:
            return None
        if metric in METRICS_OF_ROWS and "field" in members:
            self._tell("unexpected_member", (*place, "field"), f"指标 {metric} 不带字段", f"{metric} takes no field.")
        elif metric not in METRICS_OF_ROWS and "field" not in members:
            self._tell("missing_member", (*place, "field"), "缺少 field", f"{metric} needs a field.")
        if operator is None or policy is None:
            return None
        return Having(metric, field, operator, members.get("value", MISSING), policy, place)

    def tag(self, document: Mapping[str, Any], place: Place, level: int) -> Membership | None:
        """Being tagged."""
        return self._membership(document, place, AudienceKind.TAG)

    def segment(self, document: Mapping[str, Any], place: Place, level: int) -> Membership | None:
        """Being in a segment."""
        return self._membership(document, place, AudienceKind.SEGMENT)

    def _membership(self, document: Mapping[str, Any], place: Place, kind: AudienceKind) -> Membership | None:
        name = f"{kind}_ids"
        members = self._members(document, place, required={"kind", "operator", name})
        if members is None:
            return None
        operator = self._choice(members, "operator", _Being, place)
        ids = self._list(members, name, place)
        wrong = [index for index, one in enumerate(ids) if isinstance(one, bool) or not isinstance(one, int) or one < 1]
        for index in wrong:
            self._tell_type((*place, name, index), "正整数", "a whole number of 1 or more")
        if operator is None or wrong:
            return None
        return Membership(kind, tuple(sorted(set(ids))), operator is _Being.NOT_IN, place)

    def everyone(self, document: Mapping[str, Any], place: Place, level: int) -> Everyone | None:
        """All customers."""
        return Everyone(place) if self._members(document, place, required={"kind"}) is not None else None

    def bucket(self, document: Mapping[str, Any], place: Place, level: int) -> Bucket | None:
        """A stable random share."""
        members = self._members(document, place, required={"kind", "salt", "from", "to"})
        if members is None:
            return None
        salt = self._text(members, "salt", place)
        bounds = [self._whole(members, name, place) for name in ("from", "to")]
        first, end = bounds
        if salt is None or first is None or end is None:
            return None
        if not 0 <= first < end <= _BUCKETS:
            name = "to" if 0 <= first < _BUCKETS else "from"
            self._tell("out_of_range", (*place, name), "应满足 0 ≤ from < to ≤ 100", "Must be 0 ≤ from < to ≤ 100.")
            return None
        return Bucket(salt, first, end, place)

    def sequence(self, document: Mapping[str, Any], place: Place, level: int) -> Sequence | None:
        """Steps one after another."""
        members = self._members(
            document,
            place,
            required={"kind", "steps", "within", "occurrence"},
            allowed={"max_gap", "without", "same"},
        )
        if members is None:
            return None
        listed = self._list(members, "steps", place)
        if len(listed) == 1:
            self._tell("too_few_steps", (*place, "steps"), "序列至少需要两个步骤", "A sequence has two steps or more.")
        if len(listed) > _STEPS:
            told = f"序列最多 {_STEPS} 个步骤", f"A sequence has at most {_STEPS} steps."
            self._tell("too_many_steps", (*place, "steps"), *told)
            listed = listed[:_STEPS]
        steps = [self._step(step, (*place, "steps", index), level) for index, step in enumerate(listed)]
        without = self._step(members["without"], (*place, "without"), level) if "without" in members else None
        same = self._text(members, "same", place) if "same" in members else None
        occurrence = self._choice(members, "occurrence", Occurrence, place)
        if occurrence is None:
            return None
        return Sequence(
            tuple(step for step in steps if step),
            members["within"],
            members.get("max_gap", MISSING),
            without,
            same,
            occurrence,
            place,
        )

    def _step(self, document: Any, place: Place, level: int) -> Step | None:
        members = self._members(document, place, required={"source"}, allowed={"where"})
        if members is None:
            return None
        source, where = self._text(members, "source", place), self._where(members, place, level)
        return None if source is None else Step(source, where, place)

    def _members(
        self, document: Any, place: Place, *, required: set[str], allowed: set[str] | None = None
    ) -> Mapping[str, Any] | None:
        """The object's members, without those that editors add; None for no object, and where a needed one misses."""
        if not isinstance(document, dict):
            self._tell_type(place, "对象", "an object")
            return None
        known = required | (allowed or set())
        members = {name: value for name, value in document.items() if name not in _EDITORS_MEMBERS}
        listed = ", ".join(sorted(known))
        for name in (name for name in members if name not in known):
            self._tell("unknown_member", (*place, name), f"未知成员,可用:{listed}", f"Unknown member; known: {listed}.")
        missing = sorted(required - members.keys())
        for name in missing:
            self._tell("missing_member", (*place, name), f"缺少 {name}", f"{name} is missing.")
        return None if missing else members

    def _choice(
        self, members: Mapping[str, Any], name: str, choices: type[E], place: Place, *, default: E | None = None
    ) -> E | None:
        if name not in members:
            return default
        value = members[name]
        if isinstance(value, str) and value in list(choices):
            return choices(value)
        known = ", ".join(choices)
        self._tell(f"unknown_{name}", (*place, name), f"应为以下之一:{known}", f"Must be one of {known}.")
        return None

    def _text(self, members: Mapping[str, Any], name: str, place: Place) -> str | None:
        """A text that says something."""
        if name not in members:
            self._tell("missing_member", (*place, name), f"缺少 {name}", f"{name} is missing.")
            return None
        value = members[name]
        if isinstance(value, str) and value.strip() and len(value) <= self._limits.text:
            return value
        most = self._limits.text
        self._tell_type((*place, name), f"非空文本,最多 {most} 个字符", f"text of 1 to {most} characters")
        return None

    def _truth(self, members: Mapping[str, Any], name: str, place: Place) -> bool | None:
        value = members.get(name, False)
        if isinstance(value, bool):
            return value
        self._tell_type((*place, name), "true 或 false", "true or false")
        return None

    def _whole(self, members: Mapping[str, Any], name: str, place: Place) -> int | None:
        value = members[name]
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        self._tell_type((*place, name), "整数", "a whole number")
        return None

    def _list(self, members: Mapping[str, Any], name: str, place: Place) -> list[Any]:
        """A list that is neither empty nor too long."""
        value = members[name]
        if not isinstance(value, list):
            self._tell_type((*place, name), "列表", "a list")
            return []
        if not value:
            self._tell("empty_list", (*place, name), f"{name} 不能为空", f"{name} must not be empty.")
        elif len(value) > (most := self._limits.list_items):
            self._tell("list_too_long", (*place, name), f"最多 {most} 项", f"At most {most} items.")
            return []
        return value

    def _tell_conditions(self, place: Place, most: int) -> None:
        told = f"筛选条件最多 {most} 个", f"A filter has at most {most} conditions."
        self._tell("too_many_conditions", place, *told)

    def _tell_type(self, place: Place, zh: str, en: str) -> None:
        self._tell("wrong_type", place, f"应为{zh}", f"Must be {en}.")

    def _tell(self, code: str, place: Place, zh: str, en: str) -> None:
        self.problems.append(Problem(code, pointer(place), zh, en))


class _Being(StrEnum):
    IN = "in"
    NOT_IN = "not_in"


_Read = Callable[[_Reader, Mapping[str, Any], Place, int], Node | None]

_KINDS: Final[Mapping[str, _Read]] = {
    "attribute": _Reader.attribute,
    "activity": _Reader.activity,
    "tag": _Reader.tag,
    "segment": _Reader.segment,
    "everyone": _Reader.everyone,
    "bucket": _Reader.bucket,
    "sequence": _Reader.sequence,
}
