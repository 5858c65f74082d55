"""Prometheus metrics of one application: requests, durations, and the age of what is served."""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.edge.routes import route_template

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """The registry of one application; each application has its own, so tests do not share numbers."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "cdp_http_requests_total", "Requests answered", ["method", "route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "cdp_http_request_seconds",
            "Seconds per request",
            ["method", "route"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self._children: dict[tuple[str, str, str], tuple[Counter, Histogram]] = {}
        self.published_age = Gauge(
            "cdp_published_age_seconds", "Age of the served version; -1 when there is none", registry=self.registry
        )
        self.published_rows = Gauge("cdp_published_rows", "Rows of a served table", ["table"], registry=self.registry)

        self.jobs = Gauge("cdp_jobs", "Jobs waiting and running", ["status"], registry=self.registry)
        self.job_wait = Gauge(
            "cdp_job_oldest_queued_age_seconds", "Age of the oldest waiting job; 0 without one", registry=self.registry
        )
        self.outbox = Gauge(
            "cdp_outbox_messages", "Messages not sent, or nobody knows", ["status"], registry=self.registry
        )
        self.audit_ok = Gauge(
            "cdp_audit_chain_ok",
            "1 when last night's walk found the audit log whole, 0 when broken",
            registry=self.registry,
        )

    def count(self, method: str, route: str, status: str, seconds: float) -> None:
        """One request that was answered."""
        labels = (method, route, status)
        if labels not in self._children:
            self._children[labels] = (self.requests.labels(*labels), self.seconds.labels(method, route))
        requests, durations = self._children[labels]
        requests.inc()
        durations.observe(seconds)

    def text(self) -> bytes:
        """The exposition format that Prometheus scrapes."""
        return generate_latest(self.registry)


class MetricsMiddleware:
    """Counts and times every request by its route template, never by the raw path."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = "500"

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        began = time.perf_counter()
        try:
            await self._app(scope, receive, watched)
        finally:
            self._metrics.count(scope["method"], route_template(scope), status, time.perf_counter() - began)
