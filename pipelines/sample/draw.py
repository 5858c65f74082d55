"""Throwing many dice at once and turning numbers into columns: the small tools every table of the sample uses.

What is drawn (names, visits, money) belongs to the modules named for it; writing files belongs to `writers`.
Moments are whole seconds of local time since 1970-01-01 00:00 local, days are local days since 1970-01-01.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Rng = np.random.Generator

DAY = 86_400
ALPHABET = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-", np.uint8)
_FACES = 4096
_OWN_IDS = 10**7


class Dice:
    """A weighted die with faces 0..k-1; weights are kept to 1/4096."""

    def __init__(self, weights: Sequence[float]) -> None:
        shares = np.cumsum(np.asarray(weights, dtype=np.float64))
        edges = np.rint(shares / shares[-1] * _FACES).astype(np.int64)
        self._table = np.repeat(np.arange(len(weights), dtype=np.int64), np.diff(edges, prepend=0))

    def throw(self, rng: Rng, size: int) -> Ints:
        """`size` faces."""
        faces: Ints = self._table[rng.integers(0, _FACES, size, dtype=np.uint16)]
        return faces


def stream(*numbers: int) -> Rng:
    """A generator that depends on the numbers alone."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence([n & 0xFFFFFFFF for n in numbers])))


def chance(rng: Rng, size: int, probability: float | NDArray[np.float64]) -> Bools:
    """True with the given probability, `size` times."""
    truths: Bools = rng.random(size) < probability
    return truths


def below(rng: Rng, limits: Ints) -> Ints:
    """A whole number in [0, limit) for every limit (limits of at least 1)."""
    return (rng.random(len(limits)) * limits).astype(np.int64)


def between(rng: Rng, low: int, high: int, size: int) -> Ints:
    """Whole numbers in [low, high]."""
    return rng.integers(low, high + 1, size, dtype=np.int64)


def within(delay: Ints, room: Ints) -> Ints:
    """Delays that end before the room does: one that is too long starts over, so that none pile up at the end."""
    return np.where(delay < room, delay, delay % np.maximum(room, 1))


def repeat_each(counts: Ints) -> tuple[Ints, Ints]:
    """Children of parents: each child's parent and its 0-based place among its siblings."""
    parents = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    firsts = np.cumsum(counts) - counts
    return parents, np.arange(len(parents), dtype=np.int64) - firsts[parents]


def sums(values: Ints, groups: Ints, size: int) -> Ints:
    """Sum of `values` per group 0..size-1, exact in whole numbers."""
    totals = np.zeros(size, dtype=np.int64)
    np.add.at(totals, groups, values)
    return totals


def texts(words: Sequence[str] | pl.Series, at: Ints) -> pl.Series:
    """The words at the given places, as a text column."""
    series = words if isinstance(words, pl.Series) else _series(tuple(words))
    return series.gather(at)


@lru_cache(maxsize=512)
def _series(words: tuple[str, ...]) -> pl.Series:
    return pl.Series(words, dtype=pl.String)


def option(words: Sequence[str], at: Ints) -> pl.Series:
    """The words at the given places, as a coded column (fewer than 255 words)."""
    return pl.Series(at.astype(np.uint8)).cat.to(pl.Enum(list(words)))


def only(column: pl.Series, where: Bools) -> pl.Series:
    """The column where `where` holds, null elsewhere."""
    return pl.select(pl.when(pl.Series(where)).then(column)).to_series()


def lookup(column: pl.Series, at: Ints, where: Bools) -> pl.Series:
    """The column's values at the given places where `where` holds, null elsewhere (whatever the place)."""
    return column.gather(only(pl.Series(at), where))


def choose(where: Bools, yes: pl.Series, no: pl.Series) -> pl.Series:
    """`yes` where `where` holds, else `no`."""
    return pl.select(pl.when(pl.Series(where)).then(yes).otherwise(no)).to_series()


def moment(seconds: Ints, where: Bools | None = None) -> pl.Series:
    """Local seconds as a datetime column, null where `where` does not hold."""
    column = pl.Series(seconds * 1_000_000).cast(pl.Datetime("us"))
    return column if where is None else only(column, where)


def day(days: Ints, where: Bools | None = None) -> pl.Series:
    """Local days as a date column, null where `where` does not hold."""
    column = pl.Series(days.astype(np.int32)).cast(pl.Date)
    return column if where is None else only(column, where)


def never(size: int) -> pl.Series:
    """A truth column of false."""
    return pl.Series(np.zeros(size, dtype=np.bool_))


def nothing(size: int) -> pl.Series:
    """A text column of nulls."""
    return pl.repeat(None, size, dtype=pl.String, eager=True)


def join(*parts: str | Ints | pl.Series) -> pl.Series:
    """The parts side by side as text; null where a part is null."""
    columns = [
        pl.lit(p) if isinstance(p, str) else pl.lit(p if isinstance(p, pl.Series) else pl.Series(p)) for p in parts
    ]
    return pl.select(pl.concat_str(columns)).to_series()


def own_ids(prefix: str, chunk: int, size: int) -> pl.Series:
    """Ids of the rows a chunk makes itself: two letters and ten digits, distinct over all chunks."""
    assert size < _OWN_IDS, f"a chunk makes fewer than {_OWN_IDS} rows of one table"
    return join(prefix, np.arange(size, dtype=np.int64) + (10**9 + chunk * _OWN_IDS))


def tokens(rng: Rng, size: int, head: str, length: int) -> pl.Series:
    """Random ids as WeChat hands them out: `head`, then letters up to `length` characters."""
    letters = ALPHABET[rng.integers(0, 64, (size, length), dtype=np.uint8)]
    letters[:, : len(head)] = np.frombuffer(head.encode(), np.uint8)
    offsets = np.arange(0, length * (size + 1), length, dtype=np.int64)
    array = pa.LargeStringArray.from_buffers(size, pa.py_buffer(offsets), pa.py_buffer(letters.tobytes()))
    return pl.Series(pl.from_arrow(array))
