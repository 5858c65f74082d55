"""The circuit breaker in Dagster: what an operator lets pass is run configuration of the step that checks."""

from typing import Any

import dagster as dg
from pydantic import Field

from pipelines.breaker import UnknownCheckError, accepted_checks

CHECKING_OP = "marts_and_checks"


class Accepted(dg.Config):
    """Checks that an operator has looked at and lets pass in this run."""

    accept: list[str] = Field(default=[])


def accepted_by(config: Accepted) -> tuple[str, ...]:
    """The checks that the configuration lets pass; a name that may not be accepted fails the step before any work."""
    try:
        return accepted_checks(config.accept)
    except UnknownCheckError as error:
        raise dg.Failure(str(error), allow_retries=False) from error


def accepted_in(run: dg.DagsterRun) -> list[str]:
    """The checks that a run's configuration lets pass, for its record."""
    configured: Any = run.run_config
    for name in ("ops", CHECKING_OP, "config"):
        configured = configured.get(name, {})
    return sorted(configured.get("accept", []))
