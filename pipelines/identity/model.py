"""What a night of identity resolution is told and what it answers: thresholds, kinds, summary, errors.

The algorithm lives in the modules beside this one; `resolve.py` runs it.

    IdentityError
    ├── IdentityNightError     a night that may not run
    ├── IdentityInputError     rows that cannot be resolved
    └── IdentityOverrideError  operator rows that contradict each other
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

ALGORITHM_VERSION: Final = 3
"""Part of a night's fingerprint: raise it when the same input may give another partition or other events."""

OWN_DIGEST: Final = "hash(kind, first_seen_at, name_norm, birth_date, id_number, is_minor)"
"""What a record itself says, as SQL over the columns of identities."""

Ints = NDArray[np.signedinteger[Any]]
"""As narrow as what they count allows, mostly 32 bits: a product of two must be widened first."""
Truths = NDArray[np.bool_]


class Kind(NamedTuple):
    """One kind of source record: its place in the replay order and its weight when ids are handed on."""

    rank: int
    weight: int


KINDS: Final[Mapping[str, Kind]] = {
    "patient": Kind(0, 1000),
    "wecom_contact": Kind(1, 10),
    "official_account_fan": Kind(2, 10),
    "mini_program_user": Kind(3, 10),
    "lead": Kind(4, 1),
}
PATIENT_RANK: Final = KINDS["patient"].rank
MERGE: Final = "merge"
"""The value type of a standing reason that an operator gave (tier 0)."""


@dataclass(frozen=True, slots=True)
class IdentityConfig:
    """Thresholds of value states and of a customer's limits; the salt of new ids (one per tenant, never changed)."""

    hub_persons: int = 5
    hub_unions: int = 4
    hub_records: int = 40
    customer_unions: int = 3
    customer_records: int = 60
    limits: bool = True
    salt: str = ""


@dataclass(frozen=True, slots=True)
class NightSummary:
    """What one night did.

    `identities`, `customers` and `largest` (records) count tonight's records only; `events` counts by kind;
    `states` counts the values that are not ok. Seconds per step are for people and take no part in equality.
    """

    night: date
    identities: int
    customers: int
    largest: int
    conflicts: int
    events: Mapping[str, int]
    states: Mapping[str, int]
    seconds: Mapping[str, float] = field(default_factory=dict, compare=False)


class IdentityError(Exception):
    """Why a night was refused: a stable code, and one sentence in each language."""

    def __init__(self, code: str, message_zh: str, message_en: str) -> None:
        super().__init__(f"{code}: {message_en} / {message_zh}")
        self.code = code
        self.message_zh = message_zh
        self.message_en = message_en


class IdentityNightError(IdentityError):
    """The night lies before the last one, so its ids can no longer be derived."""


class IdentityInputError(IdentityError):
    """Rows of the input cannot be resolved; `rows` names every one of them."""

    def __init__(self, code: str, message_zh: str, message_en: str, rows: Sequence[tuple[Any, ...]]) -> None:
        super().__init__(code, message_zh, message_en)
        self.rows = tuple(rows)


class IdentityOverrideError(IdentityError):
    """Operator rows contradict each other; `override_ids` names them."""

    def __init__(self, code: str, message_zh: str, message_en: str, override_ids: Sequence[str]) -> None:
        super().__init__(code, message_zh, message_en)
        self.override_ids = tuple(override_ids)
