"""Versions of rules as one caller reads them: all of one tag or segment, one by itself, two beside each other."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection

from api.audiences import repository
from api.audiences.acting import Asked
from api.audiences.cursor import encode_cursor
from api.audiences.definitions import NO_DEFINITION, NO_DRAFT
from api.audiences.differences import Change, differences, is_same_meaning
from api.audiences.filters import names_of, shown_sentence
from api.audiences.kinds import Sort
from api.audiences.named import operator_names
from api.audiences.repository import Row
from api.audiences.rule_schemas import (
    ChangeShown,
    DefinitionDetail,
    DefinitionPage,
    DefinitionQuery,
    DefinitionShown,
    Diff,
    DiffQuery,
    RuleShown,
)
from api.errors import ConflictError, NotFoundError, NotPermittedError
from api.storage.audience_rules import Named, named_audiences
from segment_engine.checked import CheckedGroup, CheckedNode
from segment_engine.describe import describe_rule
from segment_engine.problems import Problem
from segment_engine.sentences import Sentence

HIDDEN = Problem(
    "masked_field",
    "",
    "规则使用了您只能看到脱敏值的字段",
    "The rule compares a field that you see masked.",
)


def definition_page(
    connection: Connection, asked: Asked, sort: Sort, audience_id: int, query: DefinitionQuery
) -> DefinitionPage:
    """One page of versions, newest first; raises NotFoundError."""
    row = _row(connection, sort, audience_id)
    known = named_audiences(connection)
    rows = repository.page_of_definitions(connection, audience_id, query.cursor, limit=query.limit + 1)
    page, more = rows[: query.limit], len(rows) > query.limit
    people = operator_names(connection, {one["created_by"] for one in page})
    return DefinitionPage(
        definitions=[_shown(one, row, asked.filters.told(one["filter"], known), people) for one in page],
        next_cursor=encode_cursor((page[-1]["number"],)) if more else None,
    )


def definition_detail(
    connection: Connection, asked: Asked, sort: Sort, audience_id: int, number: int
) -> DefinitionDetail:
    """One version without its warnings; raises NotFoundError."""
    row = _row(connection, sort, audience_id)
    one = _definition(connection, audience_id, number)
    rule = asked.filters.told(one["filter"], named_audiences(connection))
    people = operator_names(connection, [one["created_by"]])
    return DefinitionDetail(**_shown(one, row, rule, people).model_dump(), rule=rule)


def draft_of(connection: Connection, asked: Asked, sort: Sort, audience_id: int) -> RuleShown:
    """The draft without its warnings; raises NotFoundError where there is none."""
    row = _row(connection, sort, audience_id)
    if row["draft"] is None:
        raise NotFoundError(NO_DRAFT)
    return asked.filters.told(row["draft"], named_audiences(connection))


def diff(connection: Connection, asked: Asked, sort: Sort, audience_id: int, number: int, query: DiffQuery) -> Diff:
    """What is different between two versions.

    Raises NotFoundError, NotPermittedError where one is hidden, ConflictError where one cannot be read any more.
    """
    _row(connection, sort, audience_id)
    base = number - 1 if query.base is None else query.base
    known = named_audiences(connection)
    before, after = (_checked(connection, asked, audience_id, one, known) for one in (base, number))
    names, labels = names_of(known), asked.filters.labels

    def tell(node: CheckedNode) -> Sentence:
        return describe_rule(node, names, None, labels=labels)

    return Diff(
        base=base,
        number=number,
        is_same_meaning=is_same_meaning(before, after),
        before=shown_sentence(asked.filters.sentence(before, known)),
        after=shown_sentence(asked.filters.sentence(after, known)),
        changes=[_shown_change(change) for change in differences(before, after, tell)],
    )


def stored_rule(connection: Connection, sort: Sort, audience_id: int, number: int | None) -> Any:
    """The filter of a version, or of the draft; None where there is none."""
    row = repository.one_audience(connection, sort.kind, audience_id)
    if row is None or number is None:
        return row and row["draft"]
    one = repository.one_definition(connection, audience_id, number)
    return one and one["filter"]


def _row(connection: Connection, sort: Sort, audience_id: int) -> Row:
    row = repository.one_audience(connection, sort.kind, audience_id)
    if row is None:
        raise NotFoundError(sort.unknown)
    return row


def _definition(connection: Connection, audience_id: int, number: int) -> Row:
    one = repository.one_definition(connection, audience_id, number)
    if one is None:
        raise NotFoundError(NO_DEFINITION)
    return one


def _checked(
    connection: Connection, asked: Asked, audience_id: int, number: int, known: dict[int, Named]
) -> CheckedGroup:
    read = asked.filters.read(_definition(connection, audience_id, number)["filter"], known)
    if read.is_hidden:
        raise NotPermittedError(HIDDEN)
    if read.checked is None:
        raise ConflictError(*read.problems)
    return read.checked


def _shown(one: Row, row: Row, rule: RuleShown, people: Mapping[str, str]) -> DefinitionShown:
    same = ("number", "note", "created_at", "created_by")
    return DefinitionShown(
        **{name: one[name] for name in same},
        created_by_name=people[one["created_by"]],
        is_current=one["number"] == row["definition"],
        sentence=rule.sentence,
        is_hidden=rule.is_hidden,
    )


def _shown_change(change: Change) -> ChangeShown:
    return ChangeShown.model_validate(asdict(change))
