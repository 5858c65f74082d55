"""A phone as somebody types it, in the forms in which the published data may hold it. Pure.

A mainland mobile is published in its eleven digits, any other number as its source spells it: signs, country code and
the 0 before an area code included.
"""

import phonenumbers

REGION = "CN"
MAINLAND = "+86"


def phone_forms(text: str) -> list[str] | None:
    """E.164 and the other ways to dial the number, as `plain_phone_sql` has them; None when the text is no phone.

    A number without country code is read as dialled from mainland China, as the pipeline does.
    021-80000285 → +862180000285, 02180000285, 2180000285, 862180000285, 00862180000285
    """
    try:
        number = phonenumbers.parse(text, REGION)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    national = e164.removeprefix(MAINLAND)
    if national == e164:
        return [e164, f"00{e164[1:]}"]
    return [e164, *(f"{prefix}{national}" for prefix in ("0", "", "86", "0086"))]


def plain_phone_sql(column: str) -> str:
    """SQL expression: the published phone in `column` without the signs that only group digits.

    A mobile has none; of a million customers, looking for some would take ten times as long.
    """
    return f"case when starts_with({column}, '1') then {column} else regexp_replace({column}, '[^0-9+]', '', 'g') end"
