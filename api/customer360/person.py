"""Whose profile is asked for, as the caller sees them."""

from dataclasses import dataclass
from typing import Any

import duckdb

from api.access.masking import mask_name, permissions_for_class
from api.access.permissions import Permission
from api.customers.repository import one_customer
from api.customers.service import NO_CUSTOMER, permissions_on
from api.customers.sight import Sight
from api.errors import NotFoundError


@dataclass(frozen=True, slots=True)
class Person:
    """One customer whom the caller sees: their row, and the permissions over personal fields that hold on them."""

    row: dict[str, Any]
    granted: frozenset[Permission]

    @property
    def one_id(self) -> str:
        """The id of today, which need not be the one that was asked for."""
        return str(self.row["one_id"])

    @property
    def key(self) -> int:
        return int(self.row["customer_key"])

    @property
    def sees_names(self) -> bool:
        return Permission.CUSTOMER_NAME_VIEW in self.granted

    @property
    def sees_phones(self) -> bool:
        return Permission.CUSTOMER_PHONE_VIEW in self.granted

    @property
    def sees_free_text(self) -> bool:
        """What somebody wrote may hold a name, a phone, an ID number."""
        return permissions_for_class("pii_free_text") <= self.granted

    def shown_name(self, name: str | None) -> str | None:
        """A name of the customer or of staff, masked unless the caller sees names of this customer."""
        return name if self.sees_names else mask_name(name)


def find_person(cursor: duckdb.DuckDBPyConnection, sight: Sight, one_id: str) -> Person:
    """The customer of an id, also of one merged into theirs; raises NotFoundError for one the caller does not see.

    Whoever is seen is seen as a whole, as in the customer list: records of every clinic and channel.
    """
    granted = sight.granted()
    row = one_customer(cursor, sight.conditions(), granted, one_id=one_id)
    if row is None:
        raise NotFoundError(NO_CUSTOMER)
    return Person(row, permissions_on(row, granted))
