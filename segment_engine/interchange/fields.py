"""The catalogue as the editor's `fields`: what may be chosen, with words in Chinese and English.

The editor's own members are those of its types `Field` and `OptionGroup`; `label_en`, `datatype`, `category`, `unit`,
`permission`, `metrics` and `shape` are ours, for front ends that want to know more. Who may see a field is asked by
whoever hands these out.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from segment_engine.catalog import DATED, NUMERIC, Catalog, Field, Source
from segment_engine.describe import ONLINE
from segment_engine.interchange.names import (
    BUCKET,
    EVERY_CUSTOMER,
    EVERYONE,
    SEGMENT,
    SEQUENCE,
    SHARE,
    SOURCE,
    TAG,
    operator_written,
)
from segment_engine.operators import OPERATORS, FieldType, Operator, Shape
from segment_engine.sentences import AudienceNames, OptionLabels
from segment_engine.tree import AudienceKind

Json = dict[str, Any]

_OTHERS: Final = "标签与分群"
_UNARY: Final = "unary"
_COUNTING: Final = (
    ("atLeast", "至少(次)", "at least"),
    ("atMost", "至多(次,含 0 次)", "at most, zero included"),
    ("exactly", "恰好(次)", "exactly"),
    ("all", "全部记录满足", "all rows meet"),
)


def fields_of(catalog: Catalog, names: AudienceNames | None = None, labels: OptionLabels | None = None) -> list[Json]:
    """Groups of fields by first category; `names` are the tags and segments to choose from, `labels` the options."""
    groups: dict[str, list[Json]] = {}
    for field in catalog.attributes.values():
        groups.setdefault(field.category[0], []).append(_field(field, labels or {}))
    for source in catalog.sources.values():
        groups.setdefault(source.category[0], []).append(_source(source, labels or {}))
    groups[_OTHERS] = [*_rules(names or {})]
    return [{"label": label, "options": options} for label, options in groups.items()]


def _field(field: Field, labels: OptionLabels) -> Json:
    values = _values(field, labels)
    told = {
        "name": field.name,
        "label": field.label_zh,
        "label_en": field.label_en,
        "category": [*field.category],
        "datatype": str(field.type),
        "inputType": _input(field.type),
        "valueEditorType": _editor(field.type, has_values=bool(values)),
        "operators": [*_operators(field.type)],
    }
    if any(operator.shape is Shape.ONE for operator in OPERATORS[field.type].values()):
        # The fields to compare with are those of the same type.
        told |= {"valueSources": ["value", "field"], "comparator": "datatype"}
    further = {"values": values, "unit": field.unit, "permission": field.permission}
    return {**told, **{name: value for name, value in further.items() if value}}


def _values(field: Field, labels: OptionLabels) -> list[Json]:
    if field.options is not None:
        return [{"name": option, "label": option} for option in field.options]
    if field.options_from is None:
        return []
    table = field.options_from.table
    return [{"name": value, "label": label} for (of, value), label in labels.items() if of == table]


def _input(field_type: FieldType) -> str:
    if field_type in NUMERIC:
        return "number"
    return "date" if field_type in DATED else "text"


def _editor(field_type: FieldType, *, has_values: bool) -> str:
    if field_type is FieldType.BOOLEAN:
        return "checkbox"
    if not has_values:
        return "text"
    return "multiselect" if field_type is FieldType.OPTIONS else "select"


def _operators(field_type: FieldType) -> Iterator[Json]:
    """Each name of the editor once: true and false are two values of one operator there."""
    offered: set[str] = set()
    for operator in OPERATORS[field_type].values():
        name = operator_written(field_type, operator)
        if name not in offered:
            offered.add(name)
            yield _operator(name, operator)


def _operator(name: str, operator: Operator) -> Json:
    if operator.name == "is_true":
        return {"name": name, "label": "为", "label_en": "is", "shape": str(Shape.ONE)}
    told = {"name": name, "label": operator.zh, "label_en": operator.en, "shape": str(operator.shape)}
    return {**told, "arity": _UNARY} if operator.shape is Shape.NONE else told


def _source(source: Source, labels: OptionLabels) -> Json:
    return {
        "name": f"{SOURCE}{source.name}",
        "label": source.label_zh,
        "label_en": source.label_en,
        "category": [*source.category],
        "datatype": "source",
        "operators": [{"name": "=", "label": "满足", "label_en": "meets"}],
        "matchModes": [*_modes(source)],
        "subproperties": [_field(field, labels) for field in source.fields.values()],
        "metrics": [
            {"metric": str(one.metric), "field": one.field, "label": one.label_zh, "label_en": one.label_en}
            for one in source.metrics
        ],
    }


def _modes(source: Source) -> Iterator[Json]:
    is_online = source.category[0] == ONLINE
    words = (("some", "做过", "did"), ("none", "未做过", "did not")) if is_online else (
        ("some", "有过", "has"), ("none", "没有", "has no")
    )  # fmt: skip
    for name, zh, en in (*words, *_COUNTING):
        yield {"name": name, "label": zh, "label_en": en}


def _rules(names: AudienceNames) -> Iterator[Json]:
    """What is no field of a customer."""
    being = [_named("in", "属于", "is in any of"), _named("notIn", "不属于", "is in none of")]
    yield {**_named(TAG, "标签", "Tag"), **_choice(AudienceKind.TAG, names), "operators": being}
    yield {**_named(SEGMENT, "分群", "Segment"), **_choice(AudienceKind.SEGMENT, names), "operators": being}
    every = {**_named(EVERY_CUSTOMER, "全部客户", "all customers"), "arity": _UNARY}
    yield {**_named(EVERYONE, "全部客户", "Everyone"), "operators": [every]}
    # Their values are objects; without an editor of one's own they are left as they are.
    share = {**_named(SHARE, "随机份额", "random share"), "arity": _UNARY}
    yield {**_named(BUCKET, "随机分桶", "Random share"), "operators": [share]}
    order = [_named("did", "依次有过", "has in order"), _named("did_not", "没有依次有过", "does not have in order")]
    yield {**_named(SEQUENCE, "行为序列", "Sequence"), "operators": [{**one, "arity": _UNARY} for one in order]}


def _choice(kind: AudienceKind, names: AudienceNames) -> Mapping[str, Any]:
    values = [_named(str(number), name, name) for (of, number), name in names.items() if of is kind]
    return {"valueEditorType": "multiselect", "values": values}


def _named(name: str, zh: str, en: str) -> Json:
    return {"name": name, "label": zh, "label_en": en}
