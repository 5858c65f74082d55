"""Persons in families: who exists, how they are called, which numbers are theirs, where they live.

Their patient files are made in `files`, their WeChat accounts in `accounts`; nobody here is a row of a source yet.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.sample import names
from pipelines.sample.draw import Bools, Dice, Ints, Rng, below, between, chance, choose, join, only, texts, tokens
from pipelines.sample.phones import FORMER, NOW, phone_numbers, slots_of
from pipelines.sample.world import World

MAN, WOMAN = 0, 1
ADULT_AGE = 18
_FAMILY_SIZES = Dice((0.0, 0.52, 0.22, 0.18, 0.08))
_SURNAME = Dice([weight for _, weight in names.SURNAMES])
_SURNAMES = tuple(surname for surname, _ in names.SURNAMES)
_ID_WEIGHTS = np.array((7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2), dtype=np.int64)
_ID_CHECK = tuple("10X98765432")


@dataclass(frozen=True, slots=True)
class People:
    """The persons of one chunk, as columns; places are indexes within the chunk."""

    numbers: Ints  # customer number, distinct in the sample
    head: Ints  # place of the family's first adult
    mate: Ints  # place of the other adult of the family, -1 without
    is_child: Bools
    gender: Ints
    born: Ints  # day number
    names: pl.Series
    phone: pl.Series  # the number now; null for children
    former_phone: pl.Series  # the number before it; only meant where `changed_phone`
    changed_phone: Bools
    clinic: Ints  # clinic place near home
    has_file: Bools  # is a patient
    keeps_child: Bools  # a parent with a child in the chain
    id_numbers: pl.Series
    vigour: np.ndarray  # mean 1: how much the person comes and clicks

    @property
    def size(self) -> int:
        """How many persons."""
        return len(self.numbers)

    def age(self, on: int) -> Ints:
        """Full years at a day number, roughly."""
        return (on - self.born) * 4 // 1461


def people_of(world: World, chunk: int) -> People:
    """The persons of one chunk; families do not cross chunks."""
    rng = world.rng(chunk, "people")
    numbers = np.array(world.persons_of(chunk), dtype=np.int64)
    size = len(numbers)
    head, mate, is_child = _families(rng, size)
    places = np.arange(size, dtype=np.int64)
    gender = _genders(rng, places, head, mate)
    born = _births(rng, world.season.last, head, is_child)
    changed = ~is_child & chance(rng, size, 0.07)
    has_file = is_child | chance(rng, size, 0.66)  # a child is known by its file, if at all
    keeps_child = np.zeros(size, dtype=np.bool_)
    parents = np.concatenate([head[is_child & has_file], mate[is_child & has_file]])
    keeps_child[parents[parents >= 0]] = True
    clinic = world.chain.draw_clinics(rng, size)[head]
    region = texts([c[3] for c in names.CITIES], world.chain.cities[clinic])
    return People(
        numbers=numbers,
        head=head,
        mate=mate,
        is_child=is_child,
        gender=gender,
        born=born,
        names=_names(rng, places, head, mate, gender, is_child),
        phone=only(phone_numbers(0, _now_slots(rng, numbers, changed, is_child)), ~is_child),
        former_phone=phone_numbers(0, slots_of(numbers, FORMER)),
        changed_phone=changed,
        clinic=clinic,
        has_file=has_file,
        keeps_child=keeps_child,
        id_numbers=_id_numbers(rng, region, born, gender),
        vigour=rng.gamma(0.9, 1 / 0.9, size),
    )


def _families(rng: Rng, size: int) -> tuple[Ints, Ints, Bools]:
    sizes = _FAMILY_SIZES.throw(rng, size)
    starts = np.cumsum(sizes) - sizes
    starts = starts[starts < size]
    head = np.zeros(size, dtype=np.int64)
    head[starts] = starts
    head = np.maximum.accumulate(head)
    place = np.arange(size) - head
    counts = np.diff(np.append(starts, size))
    # Two persons are mostly a couple, three mostly two parents and a child; the rest are single parents.
    has_mate = (counts > 1) & chance(rng, len(starts), np.where(counts == 2, 0.55, 0.8))
    of_family = np.searchsorted(starts, head)
    mate = np.where(has_mate[of_family], head + 1, -1)
    is_child = (place > 1) | ((place == 1) & ~has_mate[of_family])
    # A mate's mate is the head; children see the head's mate.
    mate = np.where((place == 1) & has_mate[of_family], head, mate)
    return head, mate, is_child


def _genders(rng: Rng, places: Ints, head: Ints, mate: Ints) -> Ints:
    gender = chance(rng, len(places), 0.56).astype(np.int64)
    is_mate = (mate >= 0) & (mate == head)
    return np.where(is_mate, 1 - gender[head], gender)


def _births(rng: Rng, last: int, head: Ints, is_child: Bools) -> Ints:
    size = len(head)
    parent_age = between(rng, 27, 47, size)
    any_age = np.clip(19 + rng.gamma(2.2, 10.0, size), 19, 88).astype(np.int64)
    is_parent = np.zeros(size, dtype=np.bool_)
    is_parent[head[is_child]] = True
    in_family = is_parent[head]
    adult_age = np.where(in_family, parent_age[head] + between(rng, -3, 3, size), any_age)
    child_age = np.clip(between(rng, 2, 17, size), 2, np.maximum(parent_age[head] - 20, 2))
    return last - np.where(is_child, child_age, adult_age) * 1461 // 4 - between(rng, 1, 364, size)


def _now_slots(rng: Rng, numbers: Ints, changed: Bools, is_child: Bools) -> Ints:
    """Slots of the present numbers; some were handed on: B's number now is the one A had before."""
    slots = slots_of(numbers, NOW)
    givers = np.flatnonzero(changed & chance(rng, len(numbers), 0.2))
    takers = np.flatnonzero(~is_child & ~changed)
    takers = rng.permutation(takers)[: len(givers)]
    givers = givers[: len(takers)]
    slots[takers] = slots_of(numbers[givers], FORMER)
    return slots


def _names(rng: Rng, places: Ints, head: Ints, mate: Ints, gender: Ints, is_child: Bools) -> pl.Series:
    size = len(places)
    surname = _SURNAME.throw(rng, size)
    mate_of_head = np.where(mate[head] >= 0, mate[head], head)
    father = np.where(gender[head] == MAN, head, mate_of_head)
    surname = np.where(is_child, surname[father], surname)
    grown = choose(gender == MAN, _given(rng, names.MEN, size), _given(rng, names.WOMEN, size))
    young = choose(gender == MAN, _given(rng, names.BOYS, size), _given(rng, names.GIRLS, size))
    return texts(_SURNAMES, surname) + choose(is_child, young, grown)


def _given(rng: Rng, words: tuple[str, ...], size: int) -> pl.Series:
    return texts(words, below(rng, np.full(size, len(words), dtype=np.int64)))


def _id_numbers(rng: Rng, region: pl.Series, born: Ints, gender: Ints) -> pl.Series:
    """Eighteen-character identity numbers with a true check character; GB 11643-1999."""
    order = between(rng, 0, 499, len(born)) * 2 + (gender == MAN)
    days = pl.Series(born.astype(np.int32)).cast(pl.Date)
    ymd = (days.dt.to_string("%Y%m%d").cast(pl.Int64)).to_numpy()
    body = region.cast(pl.Int64).to_numpy() * 10**11 + ymd * 1000 + order
    digits = body[:, None] // 10 ** np.arange(16, -1, -1, dtype=np.int64) % 10
    return join(body, texts(_ID_CHECK, (digits * _ID_WEIGHTS).sum(axis=1) % 11))


def wechat_unions(rng: Rng, people: People) -> pl.Series:
    """One unionid per person, as the group's open-platform account sees them."""
    return tokens(rng, people.size, "o6_bm", 28)
