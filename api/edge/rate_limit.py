"""How often one caller may ask: a token bucket per key, in this process's memory.

Two processes count apart, so a limit is per process. Which key and which rate is the caller's decision: the middleware
limits addresses, `limit` is for routes that know who is asking.
"""

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from api.edge.answers import error_answer
from api.errors import TooManyRequestsError

MAX_BUCKETS = 50_000
A_TOKEN = 1 - 1e-9  # what rounding leaves of one


@dataclass(frozen=True, slots=True)
class Bucket:
    """Tokens left at a moment, in seconds of a clock that never goes back."""

    tokens: float
    at: float


def take(bucket: Bucket | None, now: float, rate: float, burst: float) -> tuple[Bucket, float]:
    """Take a token: the bucket after it, and 0.0 or how many seconds to wait for one.

    `rate` tokens come per second, `burst` fit in; no bucket is a full one. Who must wait pays nothing.
    """
    left = burst if bucket is None else min(burst, bucket.tokens + max(0.0, now - bucket.at) * rate)
    if left >= A_TOKEN:
        return Bucket(max(0.0, left - 1), now), 0.0
    return Bucket(left, now), (1 - left) / rate


class RateLimits:
    """The buckets of one application, of the `max_buckets` callers seen last."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, max_buckets: int = MAX_BUCKETS) -> None:
        self._clock = clock
        self._max_buckets = max_buckets
        self._buckets: OrderedDict[tuple[str, ...], Bucket] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._buckets)

    def wait_seconds(self, key: tuple[str, ...], rate: float, burst: float) -> float:
        """Count one request of `key`; 0.0, or the seconds until the next is welcome. A rate of 0 limits nothing."""
        if rate <= 0:
            return 0.0
        with self._lock:
            self._buckets[key], wait = take(self._buckets.get(key), self._clock(), rate, burst)
            self._buckets.move_to_end(key)
            if len(self._buckets) > self._max_buckets:
                self._buckets.popitem(last=False)
        return wait


def limit(request: Request, key: str, rate: float, burst: float) -> None:
    """Count one request of `key`, such as `patient:42`; raises TooManyRequestsError."""
    limits: RateLimits = request.app.state.rate_limits
    if wait := limits.wait_seconds(("key", key), rate, burst):
        raise TooManyRequestsError(wait)


class RateLimitMiddleware:
    """Limits requests per client address: `rate` per second, `burst` at once; a rate of 0 limits nothing."""

    def __init__(self, app: ASGIApp, limits: RateLimits, rate: float, burst: float) -> None:
        self._app = app
        self._limits = limits
        self._rate = rate
        self._burst = burst

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            wait = self._limits.wait_seconds(("address", client_address(scope)), self._rate, self._burst)
            if wait:
                await error_answer(scope, TooManyRequestsError(wait))(scope, receive, send)
                return
        await self._app(scope, receive, send)


def client_address(scope: Scope) -> str:
    """Who is counted as one: an IPv4 address, or the /64 that one IPv6 subscriber has to itself."""
    host = str((scope.get("client") or ("unknown",))[0])
    if ":" not in host:
        return host
    try:
        address = ipaddress.IPv6Address(host)
    except ValueError:
        return host
    return str(address.ipv4_mapped or ipaddress.IPv6Network((address, 64), strict=False))
