"""The tags and segments of one customer (客户标签, 客户分群), since when, and for a smart one why."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection

from api.audiences.log_events import Asked, Change, Event, events
from api.audiences.log_service import sources_of
from api.audiences.member_schemas import OwnAudience, OwnAudiences, WhyAnswer
from api.audiences.members import directory_of
from api.audiences.named import NO_AUDIENCE, Named, by_ids, operator_names
from api.customers.asking import Asker
from api.customers.repository import one_customer
from api.customers.service import NO_CUSTOMER, permissions_on
from api.errors import ConflictError, InvalidError, NotFoundError
from api.filters.evaluator import Session
from api.filters.explained import told_node
from api.filters.personal import classes_with
from api.filters.refusals import told_at
from api.filters.schemas import Explanation
from api.storage.audiences import StoredVersion, current_versions, stored_rules, usable_audiences
from segment_engine.checked import CheckedGroup
from segment_engine.problems import Problem
from segment_engine.runtime.explain import NotACustomerThenError, OfExcludedClinicsError, Telling
from segment_engine.runtime.explanation import Explanation as Explained
from segment_engine.runtime.memberships import DamagedMembershipsError
from segment_engine.runtime.version import asking_for

NOT_SMART: Final = Problem(
    "audience_not_smart",
    "/path/audience_id",
    "静态标签与分群由员工维护,没有规则",
    "A static tag or segment has no rule: people put customers in.",
)
NOT_PUBLISHED: Final = Problem(
    "audience_not_published", "/path/audience_id", "规则尚未发布", "Its rule was never published."
)
DISABLED: Final = Problem(
    "audience_disabled", "/path/audience_id", "已禁用,启用后才有命中原因", "It is disabled: enable it to be told why."
)
_EVER: Final = datetime(2000, 1, 1, tzinfo=UTC)


def own_audiences(session: Session, asker: Asker, store: Connection, one_id: str) -> OwnAudiences:
    """What one customer is in; raises NotFoundError for one whom the caller does not see."""
    row = _require_customer(session, asker, one_id)
    key = row["customer_key"]
    usable = by_ids(store, [one.id for one in usable_audiences(store)])
    inside = [one for one in usable.values() if key in _members(session, one)]
    since = _since(session, store, inside, key)
    versions = current_versions(store, [one.id for one in inside])
    people = operator_names(store, {event.operator for event in since.values()})
    shown = [_own(one, row["one_id"], since.get(one.id), versions.get(one.id), people) for one in inside]
    return OwnAudiences(
        version=session.pointer.version,
        one_id=row["one_id"],
        tags=[one for one in shown if one.audience.kind == "tag"],
        segments=[one for one in shown if one.audience.kind == "segment"],
    )


def why_answer(session: Session, asker: Asker, store: Connection, one_id: str, audience_id: int) -> WhyAnswer:
    """Why one customer is in a smart tag or segment.

    Raises NotFoundError, InvalidError for whom no filter is asked of, ConflictError for one without a rule that counts.

    Rules are told as far as the caller sees the fields that they name; of others only whether they hold is kept back.
    """
    granted = asker.sight.granted()
    row = _require_customer(session, asker, one_id)
    found = by_ids(store, [audience_id]).get(audience_id)
    if found is None or found.is_deleted:
        raise NotFoundError(NO_AUDIENCE)
    rules = stored_rules(store, [audience_id])
    if not rules:
        raise ConflictError(_without_rule(found))
    classes = classes_with(permissions_on(row, granted))
    checked = session.checked(rules[0].document, session.served.catalog.permissions, asker.known)
    telling = Telling(asking_for(session.opened, permissions=classes), asker.known.names, asker.labels(session))
    explained = _explained(session, checked, row["customer_key"], telling)
    version = current_versions(store, [audience_id]).get(audience_id)
    return WhyAnswer(
        audience=found.shown(),
        is_member=row["customer_key"] in _members(session, found),
        computed_at=None if version is None else version.computed_at,
        definition=rules[0].definition,
        explanation=Explanation(
            version=session.pointer.version,
            as_of=explained.as_of.date(),
            one_id=row["one_id"],
            holds=explained.holds,
            root=told_node(explained.root),
        ),
    )


def _explained(session: Session, checked: CheckedGroup, key: int, telling: Telling) -> Explained:
    try:
        return session.explain(checked, key, telling)
    except NotACustomerThenError as error:
        raise NotFoundError(told_at(error.problem, "/path/one_id")) from None
    except OfExcludedClinicsError as error:
        raise InvalidError(told_at(error.problem, "/path/one_id")) from None


def _without_rule(found: Named) -> Problem:
    if not found.is_smart:
        return NOT_SMART
    return NOT_PUBLISHED if found.definition is None else DISABLED


def _require_customer(session: Session, asker: Asker, one_id: str) -> dict[str, Any]:
    row = one_customer(session.cursor, asker.sight.conditions(), asker.sight.granted(), one_id=one_id)
    if row is None:
        raise NotFoundError(NO_CUSTOMER)
    return row


def _members(session: Session, one: Named) -> Any:
    try:
        return directory_of(session).of(one, session.opened, None)
    except DamagedMembershipsError:
        return ()


def _since(session: Session, store: Connection, inside: Sequence[Named], key: int) -> dict[int, Event]:
    """The entry that each membership of now began with: the latest there is."""
    asked = Asked([one.id for one in inside], since=_EVER, change=Change.ENTERED, few=[key])
    since: dict[int, Event] = {}
    if inside:
        for event in events(asked, sources_of(session, store)):
            since.setdefault(event.audience_id, event)
    return since


def _own(
    one: Named, one_id: str, since: Event | None, version: StoredVersion | None, people: Mapping[str, str]
) -> OwnAudience:
    return OwnAudience(
        audience=one.shown(),
        color=one.color,
        since=None if since is None else since.at,
        added_by=None if since is None or one.is_smart else people[since.operator],
        computed_at=None if version is None else version.computed_at,
        why=f"/v1/customers/{one_id}/audiences/{one.id}/explanation" if one.is_smart else None,
    )
