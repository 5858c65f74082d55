"""`/v1/customers/search`, `/columns` and `/operations`: the customer list as people work with it."""

from functools import partial
from typing import Annotated

from fastapi import Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from api.access.guard import CurrentActor, requires
from api.access.permissions import Permission
from api.clock import now
from api.contract import answers
from api.customer_list.columns import Layout
from api.customer_list.operations import OperationPage, OperationQuery, operation_page
from api.customer_list.own_columns import ChosenColumns, OwnColumns, own_layout, save_layout, shown_layout
from api.customer_list.schemas import SearchPage, SearchRequest
from api.customer_list.search import search_page
from api.customers.current import CurrentAsker
from api.dependencies import CurrentCaller, Filters, Store
from api.edge.prefix_router import PrefixRouter
from api.filters.attended import attended
from api.storage.database import Database
from api.versions import IfMatch, etag
from segment_engine.runtime.limited import Budget

router = PrefixRouter(prefix="/v1/customers", tags=["customers"])


@router.post("/search", response_model_exclude_unset=True)
@requires(Permission.CUSTOMER_VIEW)
async def search_customers(
    body: SearchRequest, request: Request, filters: Filters, asker: CurrentAsker, caller: CurrentCaller, store: Store
) -> SearchPage:
    """A page of the list: quick and advanced filters, tags, segments; any order, chosen columns / 客户列表查询."""
    layout = await run_in_threadpool(_layout, store, caller.key)
    work = partial(search_page, filters, asker, layout, body)
    # What asks the customers' own table alone is over before a turn would come.
    return await (
        attended(request, filters, work) if body.is_evaluated else run_in_threadpool(work, Budget(filters.seconds))
    )


@router.get("/columns")
@requires(Permission.CUSTOMER_VIEW)
def read_columns(actor: CurrentActor, caller: CurrentCaller, store: Store, response: Response) -> OwnColumns:
    """The caller's columns in their order, with their ETag, and all that there are / 自定义列."""
    with store.read() as connection:
        layout, version = own_layout(connection, caller.key)
    response.headers["ETag"] = etag(version)
    return shown_layout(actor, layout, version)


@router.put("/columns", responses=answers(412, 428))
@requires(Permission.CUSTOMER_VIEW)
def save_columns(
    body: ChosenColumns, if_match: IfMatch, actor: CurrentActor, caller: CurrentCaller, store: Store, response: Response
) -> OwnColumns:
    """The caller's columns anew: which, in which order, which are pinned / 保存自定义列."""
    layout, version = store.write(lambda connection: save_layout(connection, caller, if_match, body, now=now()))
    response.headers["ETag"] = etag(version)
    return shown_layout(actor, layout, version)


@router.get("/operations")
@requires(Permission.CUSTOMER_VIEW)
def list_operations(query: Annotated[OperationQuery, Query()], actor: CurrentActor, store: Store) -> OperationPage:
    """Who did what with many customers at once, newest first / 操作日志."""
    with store.read() as connection:
        return operation_page(connection, actor, query)


def _layout(store: Database, owner: str) -> Layout:
    with store.read() as connection:
        return own_layout(connection, owner)[0]
