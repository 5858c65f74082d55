"""Whose rows of the audit log somebody may read who answers for some clinics."""

from collections.abc import Set as AbstractSet

from sqlalchemy import ColumnElement, select

from api.access.actors import EVERY_CLINIC
from api.storage.tables.access import actor_role
from api.storage.tables.audit import audit_log


def done_by_people_of(clinics: AbstractSet[str]) -> ColumnElement[bool] | None:
    """What was done by people who work at these clinics and nowhere else; None, which is all, at headquarters."""
    if EVERY_CLINIC in clinics:
        return None
    inside = select(actor_role.c.actor_id).where(actor_role.c.clinic_id.in_(sorted(clinics)))
    outside = select(actor_role.c.actor_id).where(actor_role.c.clinic_id.not_in(sorted(clinics)))
    return (
        audit_log.c.actor_kind.in_(["staff", "client"])
        & audit_log.c.actor_id.in_(inside)
        & audit_log.c.actor_id.not_in(outside)
    )
