"""From a filter document to the editor's JSON, from which `reading.py` reads the same document again."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from segment_engine.catalog import Catalog, Field
from segment_engine.document import FilterLimits
from segment_engine.interchange.lists import joined
from segment_engine.interchange.names import (
    BEING,
    BUCKET,
    EVERY_CUSTOMER,
    EVERYONE,
    LISTS,
    SEQUENCE,
    SHARE,
    SOURCE,
    operator_written,
)
from segment_engine.interchange.notes import KEPT, Json, Notes, kept
from segment_engine.operators import OPERATORS, FieldType, Operator, Shape, operator_of
from segment_engine.parse import parse
from segment_engine.problems import InvalidFilterError
from segment_engine.tree import Occurrence, Place

_MODES: Final = {("gte", False): "atLeast", ("eq", False): "exactly", ("lte", True): "atMost"}
"""How the editor says a count, by our operator and whether zero is included."""


def to_react_querybuilder(document: Any, catalog: Catalog, limits: FilterLimits | None = None) -> Json:
    """The editor's JSON of a document; raises InvalidFilterError where it is none, or names what does not exist."""
    parse(document, limits)
    writer = _Writer(catalog)
    query = writer.group(document, (), None)
    if writer.notes.problems:
        raise InvalidFilterError(*writer.notes.problems)
    return query


class _Writer:
    """Writes groups and rules of a document that parses, and notes names that do not exist."""

    def __init__(self, catalog: Catalog) -> None:
        self.notes = Notes()
        self._catalog = catalog

    def group(self, group: Json, place: Place, fields: Mapping[str, Field] | None) -> Json:
        """A group; `fields` are those of the rows it is about, None for the customer."""
        rules = [self._rule(rule, (*place, "rules", index), fields) for index, rule in enumerate(group["rules"])]
        negated = {"not": group["not"]} if "not" in group else {}
        return {"combinator": group["combinator"], "rules": rules, **negated, **kept(group)}

    def _rule(self, rule: Json, place: Place, fields: Mapping[str, Field] | None) -> Json:
        if "rules" in rule:
            return self.group(rule, place, fields)
        if fields is not None:
            return {**self._condition(rule, place, fields), **kept(rule)}
        match rule["kind"]:
            case "attribute":
                written = self._condition(rule, place, self._catalog.attributes)
            case "activity":
                written = self._activity(rule, place)
            case "tag" | "segment" as kind:
                written = _written(f"rule:{kind}", _theirs(rule["operator"]), rule[f"{kind}_ids"])
            case kind:
                written = _special(rule, kind)
        return {**written, **kept(rule)}

    def _condition(self, rule: Json, place: Place, fields: Mapping[str, Field]) -> Json:
        field = fields.get(rule["field"])
        if field is None:
            self.notes.tell("unknown_field", (*place, "field"), "没有这个字段", "There is no such field.")
            return {}
        operator = operator_of(field.type, rule["operator"])
        if operator is None:
            self.notes.tell_choice("unknown_operator", (*place, "operator"), OPERATORS[field.type])
            return {}
        meta = {"meta": {"null_policy": rule["null_policy"]}} if "null_policy" in rule else {}
        return {**_compared(field, operator, rule.get("value")), **meta}

    def _activity(self, rule: Json, place: Place) -> Json:
        source = self._catalog.sources.get(rule["source"])
        if source is None:
            self.notes.tell("unknown_source", (*place, "source"), "没有这个数据源", "There is no such source.")
            return {}
        where: Json = {"combinator": "and", "rules": []}
        if "where" in rule:
            where = self.group(rule["where"], (*place, "where"), source.fields)
        match, meta = _match(rule)
        written = _written(f"{SOURCE}{source.name}", "=", where)
        return {**written, "match": match, **({"meta": meta} if meta else {})}


def _compared(field: Field, operator: Operator, value: Any) -> Json:
    name = operator_written(field.type, operator)
    if operator.shape is Shape.NONE:
        truth = operator.name == "is_true" if field.type is FieldType.BOOLEAN and name == "=" else None
        return _written(field.name, name, truth)
    if operator.shape is Shape.ONE and isinstance(value, dict) and "field" in value:
        return {**_written(field.name, name, value["field"]), "valueSource": "field"}
    if isinstance(value, list) and name not in LISTS and (text := joined(value)) is not None:
        return _written(field.name, name, text)
    return _written(field.name, name, value)


def _match(rule: Json) -> tuple[Json, Json]:
    """How many rows, as the editor says it; and what it cannot say."""
    meta = {name: rule[name] for name in ("having", "include_zero") if name in rule}
    if rule["occurrence"] == Occurrence.DID_NOT:
        return {"mode": "none"}, meta
    mode = _counted(rule.get("having", ()), include_zero=meta.get("include_zero"))
    if mode is None:
        return {"mode": "some"}, meta
    if mode == "atMost":
        del meta["include_zero"]
    first, *rest = meta.pop("having")
    return {"mode": mode, "threshold": first["value"]}, {**({"having": rest} if rest else {}), **meta}


def _counted(having: Sequence[Json], *, include_zero: bool | None) -> str | None:
    """The mode that says the first of these metrics; None where the editor cannot."""
    if not having or having[0].keys() != {"metric", "operator", "value"} or having[0]["metric"] != "count":
        return None
    value = having[0]["value"]
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        return None
    return _MODES.get((having[0]["operator"], include_zero is True))


def _special(rule: Json, kind: str) -> Json:
    value = {name: member for name, member in rule.items() if name not in (*KEPT, "kind", "occurrence")}
    if kind == "everyone":
        return _written(EVERYONE, EVERY_CUSTOMER, None)
    if kind == "bucket":
        return _written(BUCKET, SHARE, value)
    return _written(SEQUENCE, rule["occurrence"], value)


def _theirs(being: str) -> str:
    return next(theirs for theirs, ours in BEING.items() if ours == being)


def _written(field: str, operator: str, value: Any) -> Json:
    return {"field": field, "operator": operator, "value": value}
