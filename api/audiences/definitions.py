"""Rules of smart tags and segments: drafted, published, taken back. Each in one transaction."""

from dataclasses import dataclass
from typing import Any, Final

from api.audiences import repository
from api.audiences.acting import Acting
from api.audiences.kinds import Sort
from api.audiences.references import named_by, reference_problems
from api.audiences.repository import Row
from api.audiences.rule_schemas import DraftInput, Publication, Restoration
from api.audiences.states import NOT_SMART, at, own_row
from api.errors import ConflictError, InvalidError, NotFoundError
from api.storage.audience_rules import memberships
from api.versions import require_changed
from segment_engine.problems import InvalidFilterError, Problem

NO_DRAFT: Final = Problem(
    "no_draft", "/filter", "没有草稿,请提供 filter", "There is no draft: say which filter to publish."
)
NO_DEFINITION: Final = Problem("definition_unknown", "/path/number", "规则版本不存在", "There is no such version.")


@dataclass(frozen=True, slots=True)
class Usable:
    """A filter that may be used, and whom it names."""

    document: Any
    references: frozenset[int]


def usable(acting: Acting, document: Any, own_id: int | None, *, path: str = "/filter") -> Usable | list[Problem]:
    """The filter, or everything that is wrong with it: by the catalogue, by who writes it, by what it names."""
    standing = acting.standing()
    rules = list(memberships(document))
    problems: list[Problem] = []
    try:
        acting.asked.filters.checked(document, standing.known)
    except InvalidFilterError as wrong:
        problems += wrong.problems
    problems += reference_problems(rules, standing, own_id)
    if problems:
        return [at(path, problem) for problem in dict.fromkeys(problems)]
    return Usable(document, named_by(rules, standing.known))


def require_usable(acting: Acting, document: Any, own_id: int | None) -> Usable:
    """The filter; raises InvalidError with everything that is wrong with it."""
    found = usable(acting, document, own_id)
    if isinstance(found, list):
        raise InvalidError(*found)
    return found


def keep_draft(acting: Acting, sort: Sort, audience_id: int, if_match: str | None, body: DraftInput) -> Row:
    """A rule to be published later: nothing follows from it."""
    row = _smart_row(acting, sort, audience_id, if_match)
    require_usable(acting, body.filter, audience_id)
    _change(acting, row, {"draft": body.filter})
    acting.tell(f"{sort.kind}.draft", sort.kind, audience_id)
    return {**row, "draft": body.filter, "version": row["version"] + 1}


def discard_draft(acting: Acting, sort: Sort, audience_id: int, if_match: str | None) -> None:
    """The draft goes; raises ConflictError where there is none."""
    row = _smart_row(acting, sort, audience_id, if_match)
    if row["draft"] is None:
        raise ConflictError(NO_DRAFT)
    _change(acting, row, {"draft": None})
    acting.tell(f"{sort.kind}.discard_draft", sort.kind, audience_id)


def publish(acting: Acting, sort: Sort, audience_id: int, if_match: str | None, body: Publication) -> str | None:
    """The draft, or the filter that is given, counts from now on; returns the job that calculates it, if any."""
    row = _smart_row(acting, sort, audience_id, if_match)
    document = row["draft"] if body.filter is None else body.filter
    if document is None:
        raise ConflictError(NO_DRAFT)
    return _publish(acting, sort, row, document, note=body.note, action="publish")


def restore(
    acting: Acting, sort: Sort, audience_id: int, number: int, if_match: str | None, body: Restoration
) -> str | None:
    """An earlier version counts again, as a new one; returns the job that calculates it, if any."""
    row = _smart_row(acting, sort, audience_id, if_match)
    earlier = repository.one_definition(acting.connection, audience_id, number)
    if earlier is None:
        raise NotFoundError(NO_DEFINITION)
    note = body.note or f"恢复自版本 {number} / Restored from version {number}"
    return _publish(acting, sort, row, earlier["filter"], note=note, action="restore")


def first_definition(acting: Acting, audience_id: int, rule: Usable, *, note: str) -> None:
    """The first version of a new one."""
    repository.insert_definition(
        acting.connection, audience_id, rule.document, rule.references, note=note, by=acting.by, now=acting.now
    )


def _publish(acting: Acting, sort: Sort, row: Row, document: Any, *, note: str, action: str) -> str | None:
    rule = require_usable(acting, document, row["id"])
    number = repository.insert_definition(
        acting.connection, row["id"], document, rule.references, note=note, by=acting.by, now=acting.now
    )
    # What was wrong was wrong with the rule before.
    _change(acting, row, {"definition": number, "draft": None, "problems": None, "failed_at": None})
    job_id = acting.calculate([row["id"]]) if row["is_enabled"] else None
    numbers = {"before": {"definition": row["definition"]}, "after": {"definition": number}}
    acting.tell(f"{sort.kind}.{action}", sort.kind, row["id"], **numbers)
    return job_id


def _smart_row(acting: Acting, sort: Sort, audience_id: int, if_match: str | None) -> Row:
    row = own_row(acting, sort, audience_id, if_match)
    if not row["is_smart"]:
        raise ConflictError(NOT_SMART)
    return row


def _change(acting: Acting, row: Row, values: dict[str, Any]) -> None:
    require_changed(repository.update_audience(acting.connection, row, values, by=acting.by, now=acting.now))
