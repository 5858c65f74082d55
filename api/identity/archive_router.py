"""`/v1/customers/{one_id}/identities` and `/v1/customers/{one_id}/identity-events`."""

from typing import Annotated

from fastapi import Depends, Path, Query

from api.access.erased import erased_customers
from api.access.guard import CurrentActor, requires
from api.access.permissions import Permission
from api.contract import answers
from api.customers.sight import Sight
from api.dependencies import Reader, Store
from api.edge.prefix_router import PrefixRouter
from api.identity.archive import customer_events, customer_identities
from api.identity.archive_schemas import CustomerIdentities, EventQuery, IdentityEvents
from api.shapes import Text

router = PrefixRouter(prefix="/v1/customers", tags=["identity"])

OneId = Annotated[str, Path(), Text(1, 64)]


def current_sight(actor: CurrentActor, store: Store) -> Sight:
    """The customers whose identities the caller may see, at this moment."""
    with store.read() as connection:
        return Sight(actor, erased_customers(connection), Permission.IDENTITY_VIEW)


CurrentSight = Annotated[Sight, Depends(current_sight)]


@router.get("/{one_id}/identities", responses=answers(404))
@requires(Permission.IDENTITY_VIEW)
def list_identities(one_id: OneId, reader: Reader, sight: CurrentSight) -> CustomerIdentities:
    """Every identity of a customer, and why it belongs to them / 身份档案."""
    return customer_identities(reader, sight, one_id)


@router.get("/{one_id}/identity-events", responses=answers(404))
@requires(Permission.IDENTITY_VIEW)
def list_identity_events(
    one_id: OneId, query: Annotated[EventQuery, Query()], reader: Reader, sight: CurrentSight
) -> IdentityEvents:
    """How the customer's identities came together, came and went / 变更记录."""
    return customer_events(reader, sight, one_id, query)
