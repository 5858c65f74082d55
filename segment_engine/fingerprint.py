"""One short text per meaning: equal for filters that say the same up to order and nesting, whenever they are asked."""

import hashlib
from typing import Final

from segment_engine.formula import Formula

# Of another number: fingerprints of earlier releases are no longer those of the same meaning.
_FORM: Final = "f1"


def fingerprint(formula: Formula) -> str:
    """The fingerprint of a normalized formula, which is not resolved yet: 64 hexadecimal digits."""
    return hashlib.sha256(f"{_FORM}:{formula!r}".encode()).hexdigest()
