"""Bodies of requests as strict JSON: `segment_engine.strict_json` reads them, here its refusals become answers.

Paths and queries are `api.strict_url`'s, typed values `api.shapes`'.
"""

from typing import Any

from api.errors import BadRequestError, TooLargeError
from segment_engine import strict_json
from segment_engine.strict_json import JsonLimits, JsonTooLargeError, NotStrictJsonError, canonical_json

__all__ = ["InvalidJsonError", "JsonLimits", "canonical_json", "parse_json", "too_large"]


class InvalidJsonError(BadRequestError):
    """The text is not JSON as it is read here; carries every problem that can be told."""

    title = "Invalid JSON"


def parse_json(body: bytes, limits: JsonLimits) -> Any:
    """The value of a JSON text. Raises InvalidJsonError, or TooLargeError above `limits.max_bytes`."""
    try:
        return strict_json.parse_json(body, limits)
    except JsonTooLargeError as refused:
        raise TooLargeError(*refused.problems) from None
    except NotStrictJsonError as refused:
        raise InvalidJsonError(*refused.problems) from None


def too_large(max_bytes: int) -> TooLargeError:
    """The error for a body above its cap."""
    return TooLargeError(strict_json.too_large(max_bytes))
