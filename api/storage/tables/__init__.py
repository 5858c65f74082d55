"""The tables of the operational store, a module per concept; importing this package fills `METADATA`.

Columns and walls (keys, checks) only; what may be written when belongs to the domains.
"""

from api.storage.tables import (
    access,
    audiences,
    audit,
    clinics,
    customer_list,
    customers,
    idempotency,
    identity,
    jobs,
    outbox,
)
from api.storage.tables.base import METADATA

__all__ = [
    "METADATA",
    "access",
    "audiences",
    "audit",
    "clinics",
    "customer_list",
    "customers",
    "idempotency",
    "identity",
    "jobs",
    "outbox",
]
