"""`/v1/audience-quota`: how many smart tags and segments may be enabled, and purchases of more.

Purchases are the whole tenant's, so they are noted at headquarters.
"""

from typing import Annotated

from fastapi import Path, Query, Response
from sqlalchemy import Connection

from api.access.guard import CurrentActor, require_headquarters, requires
from api.access.permissions import Permission
from api.audiences import quotas
from api.audiences.acting import CurrentAsked
from api.audiences.quota_schemas import NewPurchase, Purchase, PurchasePage, PurchaseQuery, Quotas, Revoked
from api.audiences.schemas import MAX_ID
from api.clock import now
from api.contract import answers
from api.dependencies import CurrentEffects, Settings, Store
from api.edge.prefix_router import PrefixRouter
from api.effects import Reply
from api.shapes import QueryInt
from api.storage.audience_quotas import Included

router = PrefixRouter(prefix="/v1/audience-quota", tags=["audiences"])

PurchaseId = Annotated[int, Path(), QueryInt(1, MAX_ID)]


@router.get("")
@requires(Permission.CUSTOMER_VIEW)
def read_quota(store: Store, settings: Settings) -> Quotas:
    """How many smart tags and segments may be enabled, with the prompts of both pages / 可用数量."""
    today = now().astimezone(settings.zone).date()
    with store.read() as connection:
        return quotas.quotas(connection, today=today, included=Included.by(settings))


@router.get("/purchases")
@requires(Permission.ACCESS_VIEW)
def list_purchases(
    query: Annotated[PurchaseQuery, Query()], actor: CurrentActor, store: Store, settings: Settings
) -> PurchasePage:
    """Purchases, newest first, also those that are over / 增购记录."""
    require_headquarters(actor, Permission.ACCESS_VIEW)
    with store.read() as connection:
        return quotas.purchase_page(connection, query, today=now().astimezone(settings.zone).date())


@router.post("/purchases", status_code=201, response_model=Purchase)
@requires(Permission.ACCESS_MANAGE)
async def create_purchase(body: NewPurchase, asked: CurrentAsked, effects: CurrentEffects) -> Response:
    """Note a purchase: it counts at once, for the whole chain, through its last day / 增购."""
    require_headquarters(asked.actor, Permission.ACCESS_MANAGE)

    def work(connection: Connection) -> Reply:
        return Reply(quotas.purchase(asked.acting(connection, effects.now), body), 201)

    return await effects.once(work, slow=True)


@router.post("/purchases/{purchase_id}/revoke", responses=answers(404, 409), response_model=Revoked)
@requires(Permission.ACCESS_MANAGE)
async def revoke_purchase(purchase_id: PurchaseId, asked: CurrentAsked, effects: CurrentEffects) -> Response:
    """Take a purchase back; what is then too many is disabled at once, the smallest first / 撤销增购."""
    require_headquarters(asked.actor, Permission.ACCESS_MANAGE)

    def work(connection: Connection) -> Reply:
        return Reply(quotas.revoke(asked.acting(connection, effects.now), purchase_id))

    return await effects.once(work, slow=True)
