"""`/v1/customers/{one_id}/tags`, and what the customer list does with a selection: `/v1/customers/bulk`."""

from typing import Annotated

from fastapi import Path, Response
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import Connection

from api.access.guard import CurrentActor, missing, requires
from api.access.permissions import Permission
from api.audiences.static_change import Target
from api.audiences.static_doors import CHANGED, AudienceId, changes_at
from api.audiences.static_one_customer import one_person, put_on, shown_tags, take_off
from api.audiences.static_rules import SEGMENT, TAG, Act
from api.audiences.static_schemas import BulkAction, CustomerTags, MessageAction, TagsToAdd
from api.audiences.static_service import Changes
from api.clock import now
from api.contract import answers
from api.dependencies import CurrentCaller, CurrentEffects, Reader, Settings, Store
from api.edge.prefix_router import PrefixRouter
from api.effects import Reply
from api.errors import NotPermittedError
from api.shapes import Text
from segment_engine.runtime.secret import tenant_secret

customer_tags = PrefixRouter(prefix="/v1/customers", tags=["customers"])
bulk = PrefixRouter(prefix="/v1/customers/bulk", tags=["customers"])

OneId = Annotated[str, Path(), Text(1, 64)]
MEMBER_ACTIONS = {
    "add_tag": (TAG, Act.ADD),
    "remove_tag": (TAG, Act.REMOVE),
    "add_to_segment": (SEGMENT, Act.ADD),
    "remove_from_segment": (SEGMENT, Act.REMOVE),
}


@customer_tags.get("/{one_id}/tags", responses=answers(404))
@requires(Permission.CUSTOMER_VIEW)
def list_tags_of_customer(one_id: OneId, actor: CurrentActor, reader: Reader, store: Store) -> CustomerTags:
    """The enabled static tags on a customer, with group, colour, since when, by whom / 客户的静态标签."""
    person = one_person(reader, store, actor, one_id, Permission.CUSTOMER_VIEW)
    with store.read() as connection:
        return shown_tags(connection, person)


@customer_tags.post("/{one_id}/tags", responses=answers(404, 409), response_model=CustomerTags)
@requires(Permission.CUSTOMER_TAG)
async def tag_customer(
    one_id: OneId,
    body: TagsToAdd,
    actor: CurrentActor,
    effects: CurrentEffects,
    reader: Reader,
    store: Store,
    settings: Settings,
) -> Response:
    """Put static tags on a customer; those that are on stay as they are / 给客户打标签."""
    if (before := await effects.answered()) is not None:
        return before
    person = await run_in_threadpool(one_person, reader, store, actor, one_id, Permission.CUSTOMER_TAG)
    secret = tenant_secret(settings)

    def work(connection: Connection) -> Reply:
        tags = put_on(connection, effects.caller, person, body.tag_ids, secret=secret, now=effects.now)
        return Reply(tags, target=f"customer:{person.one_ids[0]}")

    return await effects.once(work)


@customer_tags.delete("/{one_id}/tags/{tag_id}", status_code=204, responses=answers(404, 409))
@requires(Permission.CUSTOMER_TAG)
def untag_customer(
    one_id: OneId,
    tag_id: AudienceId,
    actor: CurrentActor,
    caller: CurrentCaller,
    reader: Reader,
    store: Store,
    settings: Settings,
) -> None:
    """Take a static tag off a customer; nothing happens when it is not on / 移除客户标签."""
    person = one_person(reader, store, actor, one_id, Permission.CUSTOMER_TAG)
    secret = tenant_secret(settings)
    store.write(lambda connection: take_off(connection, caller, person, tag_id, secret=secret, now=now()))


@bulk.post("", response_class=Response, responses=CHANGED)
@requires(Permission.CUSTOMER_VIEW)
async def act_on_customers(
    body: BulkAction,
    actor: CurrentActor,
    effects: CurrentEffects,
    changes: Annotated[Changes, changes_at("/selection")],
) -> Response:
    """Tag customers, put them into a static segment, take them out, or message them (群发) / 客户列表批量操作.

    Tags need `customer.tag`, segments `segment.manage`, messages `customer.message`.
    """
    if isinstance(body, MessageAction):
        _require(actor, Permission.CUSTOMER_MESSAGE)
        return await changes.message(effects, body.target, body.selection)
    kind, act = MEMBER_ACTIONS[body.action]
    _require(actor, kind.permission)
    return await changes.members(effects, Target(kind, body.target, act, body.selection.how, "/target"), body.selection)


def _require(actor: CurrentActor, permission: Permission) -> None:
    if not actor.may(permission):
        raise NotPermittedError(missing(permission))
