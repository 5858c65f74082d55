"""Puts the edge in front of an application: which layers there are, and in which order."""

from fastapi import FastAPI

from api.edge.answers import install_error_handlers
from api.edge.body import BodyMiddleware
from api.edge.rate_limit import RateLimitMiddleware, RateLimits
from api.edge.requests import RequestMiddleware
from api.settings import ApiSettings
from api.strict_json import JsonLimits

# Paths at and below which other media types than JSON are accepted, with their caps in bytes.
UPLOADS: dict[str, int] = {
    "/v1/tags/*/members/import": 20 << 20,
    "/v1/segments/*/members/import": 20 << 20,
}


def install_inner_edge(app: FastAPI, settings: ApiSettings) -> None:
    """Problem documents, readable requests, rates: what metrics still count."""
    install_error_handlers(app)
    app.state.rate_limits = RateLimits()
    app.add_middleware(
        BodyMiddleware, limits=JsonLimits(settings.body_max_bytes, settings.json_max_depth), uploads=UPLOADS
    )
    app.add_middleware(
        RateLimitMiddleware,
        limits=app.state.rate_limits,
        rate=settings.rate_limit_per_address,
        burst=settings.rate_burst_per_address,
    )


def install_outer_edge(app: FastAPI) -> None:
    """Ids, log lines, headers and the last answer; add nothing after it."""
    app.add_middleware(RequestMiddleware)
