"""Exports of customers: the request puts a job into the queue, the job writes the file."""

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta

import duckdb
from sqlalchemy import Connection

from api.access.actors import Actor
from api.access.guard import missing
from api.access.permissions import Permission
from api.audit.log import Entry, append
from api.caller import Caller
from api.customers.asking import Asker
from api.customers.current import asker_of
from api.customers.export import ExportQuery, ExportRequest, audited, export_query, row_count
from api.errors import NotPermittedError
from api.exports.csv import write_csv
from api.exports.target import remove_target
from api.exports.xlsx import write_xlsx
from api.files.store import NewFile, record_file
from api.filters.evaluator import FilterEvaluator
from api.jobs.context import Finished, JobContext
from api.jobs.model import Job
from api.jobs.queue import enqueue
from segment_engine.runtime.limited import Budget
from segment_engine.runtime.secret import tenant_secret

EXPORT_CUSTOMERS = "customers.export"

# Nobody sits in front of a job: it may wait for its turn while people ask filters.
TURN_SECONDS = 300.0

MEDIA_TYPES = {
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "csv": "text/csv; charset=utf-8",
}
WRITERS: dict[str, Callable[..., int]] = {"xlsx": write_xlsx, "csv": write_csv}


def count_rows(filters: FilterEvaluator, asker: Asker, request: ExportRequest, budget: Budget) -> int:
    """How many customers it would have; raises InvalidError, NotPermittedError, NothingPublishedError."""
    with filters.session(budget) as session:
        return row_count(session.cursor, export_query(session, asker, request))


def request_export(
    connection: Connection, actor: Actor, caller: Caller, request: ExportRequest, *, rows: int, now: datetime
) -> Job:
    """Put the export into the queue, and its request into the audit log."""
    params = request.model_dump(mode="json", exclude_none=True)
    job = enqueue(connection, kind=EXPORT_CUSTOMERS, params=params, owner=actor, request_id=caller.request_id, now=now)
    entry = Entry("export.requested", "job", job.id, after={**audited(request), "rows": rows})
    append(connection, caller, entry, now=now)
    return job


def export_customers(context: JobContext) -> Finished:
    """Write the file: what the requester may see at this moment, not at that of the request."""
    if not context.actor.may(Permission.CUSTOMER_EXPORT):
        raise NotPermittedError(missing(Permission.CUSTOMER_EXPORT))
    request = ExportRequest.model_validate(context.job.params)
    services = context.services
    folder = services.settings.folders.exports
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The attempt is in the name: whoever lost the job writes beside its successor, never over it.
    path = folder / f"{context.job.id}-{context.job.attempts}-{secrets.token_hex(4)}.{request.format}"
    asker = asker_of(context.actor, services.database, services.filters.audiences, Permission.CUSTOMER_EXPORT)
    with services.filters.session() as session:
        with services.filters.turns.taken(TURN_SECONDS):
            query = export_query(session, asker, request)
        cursor, pointer = session.cursor, session.pointer
        rows = row_count(cursor, query)
        now = services.clock()
        file = NewFile(
            id=secrets.token_hex(16),
            job_id=context.job.id,
            path=path,
            name=f"客户列表-{pointer.as_of:%Y%m%d}.{request.format}",
            media_type=MEDIA_TYPES[request.format],
            rows=rows,
            expires_at=now + timedelta(minutes=services.settings.export_link_minutes),
        )
        secret = tenant_secret(services.settings)
        context.record(lambda connection: record_file(connection, file, secret=secret, now=now))
        _write(context, cursor, query, request.format, file)
    return Finished(file.result, discard=lambda: remove_target(path))


def _write(
    context: JobContext, cursor: duckdb.DuckDBPyConnection, query: ExportQuery, form: str, file: NewFile
) -> None:
    context.progress(0, file.rows)
    try:
        WRITERS[form](
            file.path,
            cursor,
            query.sql,
            query.values,
            query.columns,
            timezone=context.services.settings.timezone,
            on_progress=lambda done: context.progress(done, file.rows),
        )
    except FileNotFoundError:
        # An erasure takes the unfinished file away, and cancels the job.
        context.check_now()
        raise
