"""From whom a caller reaches to one SQL predicate over `marts.dim_customer` (数据权限). Pure; values are bound."""

from collections.abc import Iterable
from typing import Any

from api.access.actors import Level, Reach, ScopeChannel

FLAGS = {
    ScopeChannel.PATIENT: "has_patient_file",
    ScopeChannel.OFFICIAL_ACCOUNT: "is_fan",
    ScopeChannel.MINI_PROGRAM: "is_mini_program_user",
    ScopeChannel.WECOM: "is_wecom_contact",
    ScopeChannel.LEAD: "is_lead",
}
# Whoever stands in one of these looks after the customer.
STAFF_COLUMNS = ("responsible_doctor_id", "consultant_id", "online_consultant_id", "customer_service_id")


def customer_scope(reaches: Iterable[Reach], *, prefix: str = "scope") -> tuple[str, dict[str, Any]]:
    """A predicate that is true or false, never null, and the values of its `$<prefix>_…` parameters.

    {all patients, leads of clinic A} →
    (has_patient_file) or (is_lead and list_has_any(clinic_ids, $scope_lead_clinics::varchar[]))

    A customer counts as the clinic's when the clinic is among `clinic_ids`. Nobody reached is `false`.
    """
    reached = set(reaches)
    parts: list[str] = []
    values: dict[str, Any] = {}
    for channel, flag in FLAGS.items():
        of_channel = [reach for reach in reached if reach.channel is channel]
        if any(reach.level is Level.ALL for reach in of_channel):
            parts.append(f"({flag})")
            continue
        clinics = sorted(reach.clinic_id for reach in of_channel if reach.clinic_id is not None)
        if clinics:
            name = f"{prefix}_{channel}_clinics"
            parts.append(f"({flag} and list_has_any(clinic_ids, ${name}::varchar[]))")
            values[name] = clinics
        staff = sorted(reach.staff_id for reach in of_channel if reach.staff_id is not None)
        if staff:
            name = f"{prefix}_{channel}_staff"
            parts.append(f"({flag} and list_has_any([{', '.join(STAFF_COLUMNS)}], ${name}::varchar[]))")
            values[name] = staff
    return (f"({' or '.join(parts)})" if parts else "(false)"), values
