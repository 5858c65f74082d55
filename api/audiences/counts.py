"""How many customers are in tags and segments, as the caller would count them in the list of members."""

from collections.abc import Collection, Mapping

from sqlalchemy import Connection

from api.access.actors import Actor
from api.access.erased import erased_customers
from api.audiences.members import directory_of
from api.customers.sight import Sight
from api.filters.evaluator import FilterEvaluator
from api.storage.audiences import stored_audiences
from segment_engine.runtime.memberships import DamagedMembershipsError
from segment_engine.runtime.published import NothingPublishedError


def member_counts(
    connection: Connection, actor: Actor, evaluator: FilterEvaluator, ids: Collection[int], calculated: Collection[int]
) -> Mapping[int, int]:
    """By id, of the customers whom the caller sees; smart ones that were never calculated, or are lost, have none."""
    counted = [one for one in stored_audiences(connection, ids) if not one.is_smart or one.id in calculated]
    if not counted:
        return {}
    conditions = Sight(actor, erased_customers(connection)).showing((), "")
    counts: dict[int, int] = {}
    try:
        with evaluator.session() as session:
            scope = session.scope(conditions.text, conditions.values) if conditions.parts else None
            for one in counted:
                try:
                    members = directory_of(session).of(one, session.opened, None, connection)
                except DamagedMembershipsError:
                    continue
                counts[one.id] = len(members if scope is None else members & scope)
    except NothingPublishedError:
        return {}
    return counts
