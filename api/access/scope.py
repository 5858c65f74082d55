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
        clinics = sorted(str(reach.clinic_id) for reach in of_channel if reach.level is Level.CLINIC)
        if clinics:
            name = f"{prefix}_{channel}_clinics"
            parts.append(f"({flag} and list_has_any(clinic_ids, ${name}::varchar[]))")
            values[name] = clinics
        own = sorted((str(reach.staff_id), reach.clinic_id or "") for reach in of_channel if reach.level is Level.OWN)
        for number, (staff, clinic) in enumerate(own):
            name = f"{prefix}_{channel}_staff_{number}"
            looked_after = f"list_contains([{', '.join(STAFF_COLUMNS)}], ${name})"
            values[name] = staff
            if clinic:  # an employee's number given at one clinic opens no other
                looked_after += f" and list_contains(clinic_ids, ${name}_clinic)"
                values[f"{name}_clinic"] = clinic
            parts.append(f"({flag} and {looked_after})")
    return (f"({' or '.join(parts)})" if parts else "(false)"), values
