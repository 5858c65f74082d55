"""What the clinic routes do."""

from collections.abc import Mapping
from datetime import date, datetime

from sqlalchemy import Connection

from api.access.actors import EVERY_CLINIC, Actor
from api.access.permissions import Permission
from api.audit.log import Entry, append
from api.caller import Caller
from api.clinics.repository import Row, insert_service, published_clinics, update_service
from api.clinics.rules import notice_of, problems_of, shown
from api.clinics.schemas import UNSET_VERSION, Clinic, Clinics, ServiceInput
from api.errors import InvalidError, NotFoundError
from api.storage.clinic_services import ClinicService, clinic_services
from api.versions import require_changed, require_version
from segment_engine.problems import Problem
from segment_engine.runtime.published import PublishedReader

NO_CLINIC = Problem("clinic_unknown", "/path/clinic_id", "没有该门诊", "The published version has no such clinic.")


def clinics_of(reader: PublishedReader, services: Mapping[str, ClinicService], actor: Actor, today: date) -> Clinics:
    """The clinics at which the caller sees customers; headquarters sees all."""
    with reader.cursor() as (cursor, pointer):
        rows = published_clinics(cursor)
    chain = [shown(row, services.get(row["clinic_id"]), today) for row in rows]
    held = actor.clinics(Permission.CUSTOMER_VIEW)
    seen = [clinic for clinic in chain if EVERY_CLINIC in held or clinic.clinic_id in held]
    return Clinics(version=pointer.version, as_of=pointer.as_of, clinics=seen, notice=notice_of(chain, seen))


def find_clinic(reader: PublishedReader, clinic_id: str) -> Row:
    """A clinic of the served version; raises NotFoundError."""
    with reader.cursor() as (cursor, _):
        found = [row for row in published_clinics(cursor) if row["clinic_id"] == clinic_id]
    if not found:
        raise NotFoundError(NO_CLINIC)
    return found[0]


def set_service(
    connection: Connection, caller: Caller, clinic: Row, if_match: str | None, body: ServiceInput, *,
    today: date, now: datetime,
) -> Clinic:  # fmt: skip
    """Write a clinic's service and its audit row; raises PreconditionRequiredError, PreconditionFailedError.

    Recalculations from now on go by it; what was calculated stays until then. Raises InvalidError.
    """
    if problems := problems_of(body):
        raise InvalidError(*problems)
    clinic_id = clinic["clinic_id"]
    before = clinic_services(connection).get(clinic_id)
    version = require_version(UNSET_VERSION if before is None else before.version, if_match)
    after = ClinicService(clinic_id, body.status, body.since, body.until, caller.key, now, version + 1)
    write = insert_service if before is None else update_service
    require_changed(write(connection, after))
    entry = Entry("clinic.service", "clinic", clinic_id, before and _told(before), _told(after))
    append(connection, caller, entry, now=now)
    return shown(clinic, after, today)


def _told(service: ClinicService) -> dict[str, str | None]:
    until = None if service.until is None else service.until.isoformat()
    return {"status": service.status.value, "since": service.since.isoformat(), "until": until}
