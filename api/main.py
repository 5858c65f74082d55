"""The application factory: settings in, an ASGI application out."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline

from api.access.credentials import Credentials
from api.access.guard import guard, public
from api.access.last_used import LastUsed
from api.access.links import PatientLinks
from api.access.oidc import Issuer
from api.access_admin.router import me
from api.access_admin.router import router as access
from api.audiences.group_router import router as tag_groups
from api.audiences.member_router import of_customers as audiences_of_customers
from api.audiences.member_router import router as audiences
from api.audiences.members import Members
from api.audiences.quota_router import router as audience_quota
from api.audiences.segment_router import router as segments
from api.audiences.static_customer_router import bulk, customer_tags
from api.audiences.static_router import segment_members, tag_members
from api.audiences.tag_router import router as tags
from api.audiences.template_router import router as templates
from api.background import Background
from api.catalogue.router import router as catalogue
from api.clinics.router import router as clinics
from api.clock import now
from api.contract import install_contract
from api.customer360.router import kinds_router as activity_kinds
from api.customer360.router import router as customer360
from api.customer_list.router import router as customer_list
from api.customer_list.saved_router import router as saved_filters
from api.customers.export_router import router as exports
from api.customers.router import router as customers
from api.edge.install import install_inner_edge, install_outer_edge
from api.edge.logs import configure_logging
from api.edge.unknown_parameters import UnknownParameters
from api.files.router import router as files
from api.filters.evaluator import FilterEvaluator
from api.filters.router import router as filter_routes
from api.identity.archive_router import router as archive
from api.identity.review_router import router as reviews
from api.identity.router import router as identity
from api.jobs.router import router as jobs
from api.operations.audit_router import router as audit
from api.operations.metrics import Metrics, MetricsMiddleware
from api.operations.router import router as operations
from api.outbox.router import router as outbox
from api.patients.router import router as patients
from api.privacy.router import erasures
from api.privacy.router import router as privacy
from api.settings import ApiSettings
from api.storage.database import Database
from api.store import open_store
from segment_engine.runtime.catalogs import PublishedCatalogs
from segment_engine.runtime.published import PublishedReader


def create_app(settings: ApiSettings | None = None) -> FastAPI:
    """Build the application; files are opened when it starts. Raises StoreUnusableError for a wrong store address."""
    settings = settings or ApiSettings()
    configure_logging()
    reader = PublishedReader(settings.folders, timezone=settings.timezone, threads=settings.api_threads)
    catalogs = PublishedCatalogs(settings.folders)
    database = Database(settings)
    # Where tags and segments come from is said here and nowhere else.
    filters = FilterEvaluator(reader, catalogs, Members(database, reader, settings.folders), timezone=settings.timezone)
    last_used = LastUsed(database)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        open_store(settings, database, now=now())
        last_used.start()
        # New with every start: an application may be started again, a thread may not.
        background = app.state.background = Background(settings, database, reader, filters)
        background.start()
        yield
        # In threads: what they wait for may itself wait for the loop.
        await run_in_threadpool(background.stop, settings.shutdown_seconds)
        await run_in_threadpool(last_used.stop)
        await database.finish()
        reader.close()
        database.close()

    # Its pages at /docs and /redoc load script and style from here, not from a CDN: clinics' servers have no internet.
    app = FastAPIOffline(
        title="Dental CDP",
        version="0.1.0",
        summary="Customer data platform for dental clinic chains / 口腔连锁客户数据平台",
        lifespan=lifespan,
        generate_unique_id_function=_route_name,
        dependencies=[Depends(_in_turn(guard, UnknownParameters()))],
    )
    for page in app.routes:
        if isinstance(page, APIRoute):  # nothing else is there yet but the documentation's own pages
            public(page.endpoint)
    app.state.settings = settings
    app.state.reader = reader
    app.state.catalogs = catalogs
    app.state.filters = filters
    app.state.database = database
    app.state.background = Background(settings, database, reader, filters)
    app.state.credentials = Credentials(database, last_used, PatientLinks(database, reader), _issuer(settings))
    app.state.metrics = Metrics()
    app.state.shutting_down = False
    install_inner_edge(app, settings)
    app.add_middleware(MetricsMiddleware, metrics=app.state.metrics)
    install_outer_edge(app)
    for router in (
        audit, access, me, clinics, customer_list, saved_filters, bulk, customer_tags, audiences_of_customers,
        customers, tag_members, segment_members, exports, catalogue, archive, identity, reviews, privacy, erasures,
        patients, jobs, files, outbox, operations, tag_groups, tags, segments, audience_quota, templates, customer360,
        activity_kinds, filter_routes, audiences,
    ):  # fmt: skip
        app.include_router(router)
    install_contract(app)
    return app


def _in_turn(*checks: Callable[[Request], Awaitable[None]]) -> Callable[[Request], Awaitable[None]]:
    async def door(request: Request) -> None:
        for check in checks:
            await check(request)

    return door


def _issuer(settings: ApiSettings) -> Issuer | None:
    if settings.oidc_issuer is None or settings.oidc_audience is None:
        return None
    return Issuer(settings.oidc_issuer, settings.oidc_audience, settings.oidc_claim)


def _route_name(route: APIRoute) -> str:
    """Client generators take function names from here."""
    return route.name
