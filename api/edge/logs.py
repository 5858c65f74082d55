"""Logs as one JSON object per line on stderr, from structlog and the standard library alike.

What a request's line says is `api.edge.requests`'. JSON escapes control characters, so no text can forge a line.
"""

import contextlib
import logging
import sys
from typing import Any, TextIO

import structlog
from structlog.typing import Processor

# In front of every line, whoever wrote it.
SHARED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    structlog.processors.format_exc_info,
)
FIRST_KEYS = ("at", "level", "event", "request_id")
# Of strangers only warnings: an HTTP client tells each address it calls, with the tokens and names in it.
OURS = ("cdp", "api", "segment_engine", "uvicorn", "uvicorn.error")


def configure_logging() -> None:
    """Send everything that is logged in this process to stderr as JSON; may be called again."""
    # Not through the standard library: there, the line of a request cost a tenth of the request.
    structlog.configure(
        processors=[*SHARED, _ordered, structlog.processors.JSONRenderer()],
        logger_factory=_StderrLogger,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.setLevel(logging.WARNING)
    for name in OURS:
        logging.getLogger(name).setLevel(logging.INFO)
    if not any(isinstance(handler, _StderrHandler) for handler in root.handlers):
        root.addHandler(_StderrHandler())
    _adopt_uvicorn()


def _adopt_uvicorn() -> None:
    """Uvicorn's own handlers go; its access log too, for it holds raw paths and queries."""
    for name in ("uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    access = logging.getLogger("uvicorn.access")
    access.handlers.clear()
    access.propagate = False


class _StderrLogger:
    """Writes whole lines to what is stderr at the time of writing."""

    def __init__(self, *_name: object) -> None:
        pass

    def msg(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a full disk under the log must not stop the work
            sys.stderr.write(f"{line}\n")

    debug = info = warning = error = critical = exception = fatal = msg


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to what is stderr at the time of writing."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self.setFormatter(
            structlog.stdlib.ProcessorFormatter(
                foreign_pre_chain=SHARED,
                processors=[
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    _ordered,
                    structlog.processors.JSONRenderer(),
                ],
            )
        )

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def _ordered(logger: Any, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return {**{key: event[key] for key in FIRST_KEYS if key in event}, **event}
