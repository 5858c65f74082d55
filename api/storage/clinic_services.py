"""Which clinics' data takes part on a day: the CDP service (CDP 服务) of each as the store keeps it.

    status         from `since` on            from `until` on, if there is one
    active         takes part                 ended: the subscription is over
    initialising   left out                   active: the data is complete
    ended          left out                   (has none)

Before `since`, and without a row, a clinic is active. So days pass and nobody has to act. A version is asked as on the
day on which it is served, the one after its business day: that is when people see a clinic end. Asked by
recalculations, of the API and of the night; the routes are `api.clinics`'.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection, inspect, select

from api.storage.tables.clinics import clinic_service


class ServiceStatus(StrEnum):
    """How far a clinic is served."""

    ACTIVE = "active"
    INITIALISING = "initialising"
    ENDED = "ended"


_AFTERWARDS = {
    ServiceStatus.ACTIVE: ServiceStatus.ENDED,
    ServiceStatus.INITIALISING: ServiceStatus.ACTIVE,
    ServiceStatus.ENDED: ServiceStatus.ENDED,
}


@dataclass(frozen=True, slots=True)
class ClinicService:
    """What was set for one clinic; `until` is the first day on which the status no longer holds."""

    clinic_id: str
    status: ServiceStatus
    since: date
    until: date | None
    changed_by: str
    changed_at: datetime
    version: int

    def on(self, day: date) -> ServiceStatus:
        """The status that holds on a day."""
        if day < self.since:
            return ServiceStatus.ACTIVE
        is_over = self.until is not None and day >= self.until
        return _AFTERWARDS[self.status] if is_over else self.status


def clinic_services(connection: Connection) -> Mapping[str, ClinicService]:
    """What was set, by clinic; nothing in a store of an earlier revision, which a night may meet."""
    if not inspect(connection).has_table(clinic_service.name):
        return {}
    rows = connection.execute(select(clinic_service).order_by(clinic_service.c.clinic_id)).mappings()
    return {row["clinic_id"]: ClinicService(**{**row, "status": ServiceStatus(row["status"])}) for row in rows}


def served_on(business_day: date) -> date:
    """The day on which people ask the version of a business day, since nights begin when that is over."""
    return business_day + timedelta(days=1)


def excluded_clinics(connection: Connection, on: date) -> frozenset[str]:
    """The clinics whose rows, and whose customers of no other clinic, recalculations on a day leave out."""
    services = clinic_services(connection)
    return frozenset(clinic for clinic, one in services.items() if one.on(on) is not ServiceStatus.ACTIVE)
