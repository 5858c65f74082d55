"""A phone as somebody types it, in the forms in which the published data may hold it. Pure."""

import phonenumbers

REGION = "CN"
MAINLAND = "+86"


def phone_forms(text: str) -> list[str] | None:
    """E.164 and, for a mainland number, its national digits; None when the text is no phone number.

    A number without country code is read as dialled from mainland China, as the pipeline does.
    """
    try:
        number = phonenumbers.parse(text, REGION)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return [e164, e164.removeprefix(MAINLAND)] if e164.startswith(MAINLAND) else [e164]
