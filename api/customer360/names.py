"""Names of clinics and staff that records mention by their ids."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import duckdb

from api.customer360.person import Person


@dataclass(frozen=True, slots=True)
class Names:
    """What clinics, employees and their WeCom accounts are called; employees as the caller sees names here."""

    clinics: Mapping[str, str]
    staff: Mapping[str, str]
    wecom: Mapping[str, str]
    person: Person

    def clinic(self, clinic_id: str | None) -> str | None:
        return None if clinic_id is None else self.clinics.get(clinic_id)

    def employee(self, staff_id: str | None) -> str | None:
        return None if staff_id is None else self.person.shown_name(self.staff.get(staff_id))

    def wecom_employee(self, account: str | None) -> str | None:
        """Whose WeCom account it is."""
        return None if account is None else self.person.shown_name(self.wecom.get(account))


def names_of(
    cursor: duckdb.DuckDBPyConnection,
    person: Person,
    *,
    clinics: Iterable[str | None] = (),
    staff: Iterable[str | None] = (),
    wecom: Iterable[str | None] = (),
) -> Names:
    """The names behind these ids; an id that is none has no name."""
    return Names(
        _names(cursor, "dim_clinic", "clinic_id", "clinic_name", clinics),
        _names(cursor, "dim_staff", "staff_id", "staff_name", staff),
        _names(cursor, "dim_staff", "wecom_user_id", "staff_name", wecom),
        person,
    )


def _names(
    cursor: duckdb.DuckDBPyConnection, table: str, column: str, name: str, ids: Iterable[str | None]
) -> dict[str, str]:
    asked = sorted({one for one in ids if one is not None})
    if not asked:
        return {}
    statement = f"""
        select {column}, min({name})
        from marts.{table}
        where list_contains($ids::varchar[], {column}) and {name} is not null
        group by {column}
    """
    return dict(cursor.execute(statement, {"ids": asked}).fetchall())
