"""`/v1/identity/reviews`: what about identities waits for an operator's decision (待审核队列).

As decisions, it may concern customers of any clinic, so it is read by those who reach every customer. Blocked values
are no queue: nothing about them waits, and a block made by hand stands among the overrides.
"""

from typing import Annotated

from fastapi import Depends, Query

from api.access.erased import erased_customers
from api.access.guard import CurrentActor, require_everybody, requires
from api.access.permissions import Permission
from api.dependencies import Reader, Settings, Store
from api.edge.prefix_router import PrefixRouter
from api.identity.review_schemas import (
    ChangePage,
    ConflictPage,
    ContestedValuePage,
    HubPage,
    NearLimitPage,
    Queue,
    ReviewQuery,
    Reviews,
)
from api.identity.reviews import Desk, review_page, reviews
from api.storage.overrides import operator_rows
from segment_engine.runtime.secret import tenant_secret

router = PrefixRouter(prefix="/v1/identity/reviews", tags=["identity"])


def current_desk(actor: CurrentActor, store: Store, settings: Settings) -> Desk:
    """The queues' reader at this moment; raises NotPermittedError for who reaches only some customers."""
    require_everybody(actor, Permission.IDENTITY_VIEW)
    with store.read() as connection:
        overrides, erased = operator_rows(connection, in_force_only=True), erased_customers(connection)
    return Desk(actor, overrides, erased, tenant_secret(settings))


CurrentDesk = Annotated[Desk, Depends(current_desk)]
PageQuery = Annotated[ReviewQuery, Query()]


@router.get("")
@requires(Permission.IDENTITY_VIEW)
def count_reviews(reader: Reader, desk: CurrentDesk) -> Reviews:
    """How much stands in each review queue, and how much of it is new / 待审核概览."""
    return reviews(reader, desk)


@router.get("/contested-values")
@requires(Permission.IDENTITY_VIEW)
def list_contested_values(query: PageQuery, reader: Reader, desk: CurrentDesk) -> ContestedValuePage:
    """Phones that several adults claim, with the patient files that do / 争议号码."""
    return review_page(reader, desk, Queue.CONTESTED_VALUES, query, ContestedValuePage)


@router.get("/hubs")
@requires(Permission.IDENTITY_VIEW)
def list_hubs(query: PageQuery, reader: Reader, desk: CurrentDesk) -> HubPage:
    """Phones that too many people carry / 公共号码."""
    return review_page(reader, desk, Queue.HUBS, query, HubPage)


@router.get("/conflicts")
@requires(Permission.IDENTITY_VIEW)
def list_conflicts(query: PageQuery, reader: Reader, desk: CurrentDesk) -> ConflictPage:
    """Links that were refused, with both sides and why / 身份冲突."""
    return review_page(reader, desk, Queue.CONFLICTS, query, ConflictPage)


@router.get("/near-limit")
@requires(Permission.IDENTITY_VIEW)
def list_near_limit(query: PageQuery, reader: Reader, desk: CurrentDesk) -> NearLimitPage:
    """Customers who are nearly too large to be one person, of one night the nearest first / 接近限制."""
    return review_page(reader, desk, Queue.NEAR_LIMIT, query, NearLimitPage)


@router.get("/changes")
@requires(Permission.IDENTITY_VIEW)
def list_changes(query: PageQuery, reader: Reader, desk: CurrentDesk) -> ChangePage:
    """Merges and moves of the night where money or an appointment is at stake / 当晚变更."""
    return review_page(reader, desk, Queue.CHANGES, query, ChangePage)
