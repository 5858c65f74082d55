"""Sets of customers as packed bits over `customer_key`: bit k of the whole is customer k. Pure arithmetic with numpy.

64 keys a word, lowest first; bits beyond the last key are 0. A million customers are 125 KB.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segment_engine.formula import All, Always, Formula, No, Some, Thing

Words = npt.NDArray[np.uint64]
Keys = npt.NDArray[np.integer]

_WORD = 64


@dataclass(frozen=True, slots=True, eq=False)
class Bitmap:
    """A set of customers; never changed, so that it may be shared."""

    words: Words

    def __and__(self, other: "Bitmap") -> "Bitmap":
        return Bitmap(self.words & other.words)

    def __or__(self, other: "Bitmap") -> "Bitmap":
        return Bitmap(self.words | other.words)

    def __sub__(self, other: "Bitmap") -> "Bitmap":
        return Bitmap(self.words & ~other.words)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bitmap) and np.array_equal(self.words, other.words)

    def __hash__(self) -> int:
        return hash(self.words.tobytes())

    def __len__(self) -> int:
        return int(np.bitwise_count(self.words).sum())

    def __contains__(self, key: int) -> bool:
        word, bit = divmod(key, _WORD)
        return 0 <= word < len(self.words) and bool(self.words[word] >> np.uint64(bit) & np.uint64(1))

    def keys(self, *, first: int | None = None) -> npt.NDArray[np.int64]:
        """The customers' keys in order; only the first so many where that is said."""
        places = np.flatnonzero(self.words)
        if first is not None:
            enough = np.searchsorted(np.cumsum(np.bitwise_count(self.words[places])), first) + 1
            places = places[:enough]
        bits = np.unpackbits(self.words[places].view(np.uint8), bitorder="little").reshape(-1, _WORD)
        rows, columns = np.nonzero(bits)
        found = places[rows] * _WORD + columns
        return found if first is None else found[:first]

    def to_bits(self) -> bytes:
        """As DuckDB's BIT has it once it is cast from this BLOB: bit 0 is the first byte's highest, and customer 0."""
        bits = np.unpackbits(self.words.view(np.uint8), bitorder="little")
        return np.packbits(bits).tobytes()

    def at_most(self, keys: int) -> "Bitmap":
        """Over this many keys: more of them than before, or fewer."""
        words = np.zeros(words_for(keys), np.uint64)
        common = min(len(words), len(self.words))
        words[:common] = self.words[:common]
        if keys % _WORD:
            words[-1] &= np.uint64((1 << keys % _WORD) - 1)
        return Bitmap(words)

    def holds(self, keys: Keys) -> npt.NDArray[np.bool_]:
        """Which of these customers are in it, in their order."""
        word, bit = np.divmod(keys.astype(np.int64), _WORD)
        inside = word < len(self.words)
        found = np.zeros(len(keys), bool)
        found[inside] = (self.words[word[inside]] >> bit[inside].astype(np.uint64)) & np.uint64(1) != 0
        return found


def words_for(keys: int) -> int:
    """How many words hold so many keys."""
    return -(-keys // _WORD)


def nobody(keys: int) -> Bitmap:
    """The empty set over so many keys."""
    return Bitmap(np.zeros(words_for(keys), np.uint64))


def of_keys(found: Keys, keys: int) -> Bitmap:
    """These customers, in any order and as often as they come."""
    flags = np.zeros(words_for(keys) * _WORD, bool)
    flags[found] = True
    return _packed(flags)


def of_flags(flags: npt.NDArray[np.bool_]) -> Bitmap:
    """The customers whose flag is set; one flag per key from 0 on."""
    padded = np.zeros(words_for(len(flags)) * _WORD, bool)
    padded[: len(flags)] = flags
    return _packed(padded)


def evaluated(formula: Formula, leaf: Callable[[Thing], Bitmap], everyone: Bitmap) -> Bitmap:
    """The customers of a formula; a negation is among `everyone`."""
    match formula:
        case Always(value):
            return everyone if value else everyone - everyone
        case No(part):
            return everyone - leaf(part)
        case All(parts):
            found = everyone
            for part in parts:
                # Without what a negation takes away there is no need to make its set.
                found = found - leaf(part.part) if isinstance(part, No) else found & evaluated(part, leaf, everyone)
            return found
        case Some(parts):
            found = everyone - everyone
            for part in parts:
                found = found | evaluated(part, leaf, everyone)
            return found
    return leaf(formula) & everyone


def changes(before: Bitmap, after: Bitmap) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Who entered and who left, each in order of the keys; both over as many keys."""
    return (after - before).keys(), (before - after).keys()


def _packed(flags: npt.NDArray[np.bool_]) -> Bitmap:
    return Bitmap(np.packbits(flags, bitorder="little").view(np.uint64))
