"""Which personal fields a caller sees as they are, and how the others are shown. Pure.

The rules are those of dbt_project/macros/masks.sql, which makes the analysts' views; a test holds the two together.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from api.access.actors import Actor
from api.access.permissions import Permission

_NUMBER = re.compile(r"[+]?[0-9]{11,15}")
_RESIDENT = re.compile(r"[0-9]{17}[0-9Xx]")


def mask_phone(phone: str | None) -> str | None:
    """13812345678 → 138****5678, with a country code likewise; of any other text at most the last two characters."""
    if phone is None:
        return None
    if _NUMBER.fullmatch(phone):
        return f"{phone[:-8]}****{phone[-4:]}"
    return f"****{phone[-2:]}" if len(phone) >= 7 else "****"


def mask_name(name: str | None) -> str | None:
    """唐三 → 唐*, 唐三藏 → 唐**: the first character and one star for each other."""
    return None if name is None else name[:1] + "*" * max(len(name) - 1, 1)


def mask_id_number(id_number: str | None) -> str | None:
    """440301199001011234 → ******19900101****; of any other document nothing.

    The birth date is told anyway; with the district or the last four signs the whole number could be worked out.
    """
    if id_number is None:
        return None
    return f"******{id_number[6:14]}****" if _RESIDENT.fullmatch(id_number) else "****"


# Of customers and of those who look after them.
NAMES = (
    "name", "nickname", "online_consultant_name", "consultant_name", "responsible_doctor_name",
    "customer_service_name", "last_visit_doctor_name",
)  # fmt: skip

# Personal field → the permission to see it as it is, and how it is shown without.
MASKS: Mapping[str, tuple[Permission, Callable[[str | None], str | None]]] = {
    "phone": (Permission.CUSTOMER_PHONE_VIEW, mask_phone),
    "id_number": (Permission.CUSTOMER_ID_NUMBER_VIEW, mask_id_number),
    **dict.fromkeys(NAMES, (Permission.CUSTOMER_NAME_VIEW, mask_name)),
}


# Personal field of which no part can be shown → what it takes to see it: a remark may hold all the others.
HIDDEN: Mapping[str, frozenset[Permission]] = {
    "avatar_url": frozenset({Permission.CUSTOMER_NAME_VIEW}),
    "patient_remark": frozenset(permission for permission, _ in MASKS.values()),
}


def permission_for(field: str) -> Permission | None:
    """What it takes to see the field as it is; None for a field that is never masked."""
    return MASKS[field][0] if field in MASKS else None


def permissions_for(field: str) -> frozenset[Permission]:
    """All that it takes to see the field as it is, of fields without any part to show too."""
    permission = permission_for(field)
    return HIDDEN.get(field, frozenset() if permission is None else frozenset({permission}))


# Class of a personal field in the filter catalogue → what it takes to see it as it is; free text may hold all of it.
CLASSES: Mapping[str, frozenset[Permission]] = {
    "pii_name": frozenset({Permission.CUSTOMER_NAME_VIEW}),
    "pii_phone": frozenset({Permission.CUSTOMER_PHONE_VIEW}),
    "pii_id_number": frozenset({Permission.CUSTOMER_ID_NUMBER_VIEW}),
    "pii_free_text": frozenset(permission for permission, _ in MASKS.values()),
}


def permissions_for_class(name: str | None) -> frozenset[Permission]:
    """What it takes to see a catalogue's field of this class; of a class that nobody here knows, all there are."""
    return frozenset() if name is None else CLASSES.get(name, frozenset(Permission))


def visible_classes(actor: Actor) -> frozenset[str]:
    """The classes of fields that the caller may filter by: it sees their own values, for some customers at least."""
    return frozenset(name for name in CLASSES if all(map(actor.reaches, permissions_for_class(name))))


def authored_classes(actor: Actor) -> frozenset[str]:
    """The classes of fields that the caller may write rules about: it sees their own values of all whom it views.

    A rule is calculated over everybody, and who is in tells the value: of nobody may that be told to the rule's writer.
    """
    return frozenset(
        name
        for name, needed in CLASSES.items()
        if all(actor.covers(permission, Permission.CUSTOMER_VIEW) for permission in needed)
    )


def may_use_raw(actor: Actor, field: str) -> bool:
    """Whether the caller may filter, sort, group or export by the field's own value, for some customers at least.

    For which: those whom `api.access.scope.customer_scope(actor.reaches(permission))` holds for, of each permission.
    """
    return all(map(actor.reaches, permissions_for(field)))


def visible_fields(actor: Actor) -> frozenset[str]:
    """The personal fields whose own value the caller may see, for some customers at least."""
    return frozenset(field for field in MASKS if may_use_raw(actor, field))


def masked(row: Mapping[str, Any], granted: frozenset[Permission]) -> dict[str, Any]:
    """The row of one customer as a caller sees it who was granted these permissions on this customer."""
    return {
        field: value if permissions_for(field) <= granted else MASKS[field][1](value) if field in MASKS else None
        for field, value in row.items()
    }
