"""Customers and patients in the audit log: named by a keyed digest, for its rows outlive them and are never rewritten.

Who knows a customer's or patient's id finds their rows by it; from a row there is no way to the id.
"""

from typing import Literal

from segment_engine.runtime.secret import person_digest

PersonKind = Literal["customer", "patient"]
KINDS: tuple[PersonKind, ...] = ("customer", "patient")


def person_target(secret: bytes, kind: PersonKind, person_id: str) -> str:
    """What `Entry.target_id` holds of a customer (one_id) or a patient (id at the source): 64 hexadecimal digits."""
    return person_digest(secret, f"{kind}::{person_id}")


def possible_targets(secret: bytes, asked: str) -> list[str]:
    """The targets that somebody may mean who asks for this id: itself, and the person whose id it is."""
    return [asked, *(person_target(secret, kind, asked) for kind in KINDS)]
