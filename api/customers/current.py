"""Who asks, as the routes about customers are handed it: what they see of customers, and what filters they may ask."""

from typing import Annotated

from fastapi import Depends

from api.access.actors import Actor
from api.access.erased import erased_customers
from api.access.guard import CurrentActor
from api.access.permissions import Permission
from api.customers.asking import Asker
from api.customers.sight import Sight
from api.dependencies import Filters, Store
from api.filters.audiences import AudienceDirectory
from api.storage.database import Database


def current_sight(actor: CurrentActor, store: Store) -> Sight:
    """What the caller sees of customers, at this moment."""
    with store.read() as connection:
        return Sight(actor, erased_customers(connection))


def current_asker(actor: CurrentActor, store: Store, filters: Filters) -> Asker:
    """The same with the tags and segments that there are at this moment."""
    return asker_of(actor, store, filters.audiences)


def asker_of(
    actor: Actor, store: Database, audiences: AudienceDirectory, permission: Permission = Permission.CUSTOMER_VIEW
) -> Asker:
    """Somebody as they may ask now; `permission` says whose customers it is about."""
    with store.read() as connection:
        return Asker(Sight(actor, erased_customers(connection), permission), audiences.known(connection))


CurrentSight = Annotated[Sight, Depends(current_sight)]
CurrentAsker = Annotated[Asker, Depends(current_asker)]
