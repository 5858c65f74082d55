"""Identity keys (`<kind>:<scope>:<id>`) as a caller may read them. Pure."""

import re

from api.access.masking import mask_phone

# Lead channels number people by their phone.
_PHONE = re.compile(r"(?:(?:[+]|00)?86)?1[3-9][0-9]{9}")


def shown_id(source_id: str, *, sees_phones: bool) -> str:
    """A source's own id, masked where it is a phone and the caller may see none."""
    hidden = not sees_phones and _PHONE.fullmatch(source_id)
    return str(mask_phone(source_id)) if hidden else source_id


def is_masked(key: str, *, sees_phones: bool) -> bool:
    """Whether `shown_key` would hide some of this text, which need not be a key."""
    source_id = key.split(":", 2)[-1]
    return shown_id(source_id, sees_phones=sees_phones) != source_id


def shown_key(key: str, *, sees_phones: bool) -> str:
    """An identity key with its id as `shown_id` has it."""
    kind, scope, source_id = key.split(":", 2)
    return f"{kind}:{scope}:{shown_id(source_id, sees_phones=sees_phones)}"
