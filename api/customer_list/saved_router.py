"""`/v1/customers/filters`: saved filters (常用筛选)."""

from typing import Annotated

from fastapi import Path, Response
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import Connection

from api.access.guard import requires
from api.access.permissions import Permission
from api.clock import now
from api.contract import answers
from api.customer_list import saved
from api.customer_list.saved_schemas import SavedFilter, SavedFilterInput, SavedFilters
from api.customers.current import CurrentAsker
from api.dependencies import Catalogs, CurrentCaller, CurrentEffects, Reader, Store
from api.edge.prefix_router import PrefixRouter
from api.effects import Reply
from api.shapes import Text
from api.versions import IfMatch, etag
from segment_engine.catalog import Catalog
from segment_engine.runtime.catalogs import PublishedCatalogs
from segment_engine.runtime.published import PublishedReader

router = PrefixRouter(prefix="/v1/customers/filters", tags=["customers"])

Id = Annotated[str, Path(), Text(1, 64)]
EDIT = answers(404, 409, 412, 428)


@router.get("")
@requires(Permission.CUSTOMER_VIEW)
def list_saved_filters(
    caller: CurrentCaller, asker: CurrentAsker, reader: Reader, catalogs: Catalogs, store: Store
) -> SavedFilters:
    """The caller's own and the shared ones; one whose rule no longer works says so / 常用筛选列表."""
    catalog = _catalog(reader, catalogs)
    with store.read() as connection:
        return saved.saved_filters(connection, caller, asker, catalog)


@router.post("", status_code=201, responses=answers(409), response_model=SavedFilter)
@requires(Permission.CUSTOMER_VIEW)
async def create_saved_filter(
    body: SavedFilterInput, asker: CurrentAsker, effects: CurrentEffects, reader: Reader, catalogs: Catalogs
) -> Response:
    """Keep a filter under a name / 保存常用筛选."""
    if (before := await effects.answered()) is not None:
        return before
    catalog = await run_in_threadpool(_catalog, reader, catalogs)
    await run_in_threadpool(saved.require_sound, body, asker, catalog)

    def work(connection: Connection) -> Reply:
        row = saved.create_filter(connection, effects.caller, body, now=effects.now)
        made = saved.shown(row, effects.caller, asker, catalog)
        return Reply(made, 201, {"ETag": etag(made.version), "Location": f"/v1/customers/filters/{made.id}"})

    return await effects.once(work, slow=True)


@router.get("/{filter_id}", responses=answers(404))
@requires(Permission.CUSTOMER_VIEW)
def read_saved_filter(
    filter_id: Id,
    caller: CurrentCaller,
    asker: CurrentAsker,
    reader: Reader,
    catalogs: Catalogs,
    store: Store,
    response: Response,
) -> SavedFilter:
    """One saved filter, with its ETag / 常用筛选详情."""
    catalog = _catalog(reader, catalogs)
    with store.read() as connection:
        found = saved.shown(saved.find_filter(connection, caller, filter_id), caller, asker, catalog)
    response.headers["ETag"] = etag(found.version)
    return found


@router.put("/{filter_id}", responses=EDIT)
@requires(Permission.CUSTOMER_VIEW)
def edit_saved_filter(
    filter_id: Id,
    body: SavedFilterInput,
    if_match: IfMatch,
    caller: CurrentCaller,
    asker: CurrentAsker,
    reader: Reader,
    catalogs: Catalogs,
    store: Store,
    response: Response,
) -> SavedFilter:
    """The whole filter anew; only its owner changes it / 修改常用筛选."""
    catalog = _catalog(reader, catalogs)
    saved.require_sound(body, asker, catalog)
    row = store.write(lambda connection: saved.edit_filter(connection, caller, filter_id, if_match, body, now=now()))
    response.headers["ETag"] = etag(row["version"])
    return saved.shown(row, caller, asker, catalog)


@router.delete("/{filter_id}", status_code=204, responses=answers(404, 412, 428))
@requires(Permission.CUSTOMER_VIEW)
def delete_saved_filter(filter_id: Id, if_match: IfMatch, caller: CurrentCaller, store: Store) -> None:
    """It goes; only its owner deletes it / 删除常用筛选."""
    store.write(lambda connection: saved.delete_filter(connection, caller, filter_id, if_match, now=now()))


def _catalog(reader: PublishedReader, catalogs: PublishedCatalogs) -> Catalog:
    with reader.cursor() as (_, pointer):
        return catalogs.of(pointer)
