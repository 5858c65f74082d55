"""What routes are handed: settings, the published data, the operational store, the clock, effects.

Nothing here waits, so nothing is worth a thread: FastAPI runs what is not `async` in one. Nor does one of these depend
on another: each costs FastAPI as much as a query costs the store.
"""

from typing import Annotated

from fastapi import Depends, Request

from api.access.guard import actor_of
from api.caller import Caller
from api.clock import now
from api.edge.routes import matched_route
from api.effects import Effects, IdempotencyKey, effects_of
from api.filters.evaluator import FilterEvaluator
from api.settings import ApiSettings
from api.storage.database import Database
from segment_engine.runtime.catalogs import PublishedCatalogs
from segment_engine.runtime.published import PublishedReader


async def api_settings(request: Request) -> ApiSettings:
    """The settings the application was made with."""
    settings: ApiSettings = request.app.state.settings
    return settings


async def published_reader(request: Request) -> PublishedReader:
    """The process-wide reader of published versions."""
    reader: PublishedReader = request.app.state.reader
    return reader


async def published_catalogs(request: Request) -> PublishedCatalogs:
    """The filter catalogues of published versions, kept by the process."""
    catalogs: PublishedCatalogs = request.app.state.catalogs
    return catalogs


async def filter_evaluator(request: Request) -> FilterEvaluator:
    """The process-wide evaluator of filters."""
    filters: FilterEvaluator = request.app.state.filters
    return filters


async def operational_store(request: Request) -> Database:
    """The operational store."""
    database: Database = request.app.state.database
    return database


async def current_caller(request: Request) -> Caller:
    """Who is asking, as audit rows name them."""
    return _caller(request)


async def current_effects(request: Request, idempotency_key: IdempotencyKey = None) -> Effects:
    """The effects of this request; raises BadRequestError without an Idempotency-Key."""
    route = matched_route(request.scope)
    assert route is not None, "dependencies run for routes only"
    database: Database = request.app.state.database
    return effects_of(request, database, _caller(request), key=idempotency_key, operation=route.name, now=now())


def _caller(request: Request) -> Caller:
    return actor_of(request).caller(request.state.request_id, request.client.host if request.client else None)


Settings = Annotated[ApiSettings, Depends(api_settings)]
Reader = Annotated[PublishedReader, Depends(published_reader)]
Catalogs = Annotated[PublishedCatalogs, Depends(published_catalogs)]
Filters = Annotated[FilterEvaluator, Depends(filter_evaluator)]
Store = Annotated[Database, Depends(operational_store)]
CurrentCaller = Annotated[Caller, Depends(current_caller)]
CurrentEffects = Annotated[Effects, Depends(current_effects)]
