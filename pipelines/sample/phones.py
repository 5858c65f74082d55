"""Mobile numbers: one distinct number for every owner and slot, scattered over the real prefixes.

Whose number stands on which file belongs to `people`, `files` and `wechat`.
"""

import numpy as np
import polars as pl

from pipelines.sample import names
from pipelines.sample.draw import Ints

# A number is a place in prefixes x 10^8; places are spread by a multiplier that shares no factor with their count.
_TAILS = 10**8
_PLACES = len(names.PHONE_PREFIXES) * _TAILS
_SPREAD = 1_234_567_891
_PREFIXES = np.array(names.PHONE_PREFIXES, dtype=np.int64)
SLOTS = 4  # of a person: the number now, the former one, a relative's, a mistyped one
NOW, FORMER, RELATIVE, WRONG = range(SLOTS)
OWNER_STAFF = _PLACES // 2  # people count upwards from 0, staff from the middle


def slots_of(persons: Ints, slot: int) -> Ints:
    """The places of the persons' numbers in one slot."""
    return persons * SLOTS + slot


def phone_numbers(base: int, places: Ints) -> pl.Series:
    """Eleven-digit mobile numbers, equal only for equal places."""
    spread = (places + base) * _SPREAD % _PLACES  # below 2^63: 3.4e9 places times the multiplier
    return pl.Series(_PREFIXES[spread // _TAILS] * _TAILS + spread % _TAILS).cast(pl.String)
