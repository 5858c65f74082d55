"""Patient files: which persons have one, or two by mistake, in which clinic, from when, and what kind of patient.

The rows of saas/patients and saas/patient_phones are written down in `file_rows`.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.sample.draw import DAY, Bools, Dice, Ints, between, chance, join, repeat_each
from pipelines.sample.people import People
from pipelines.sample.season import clinic_seconds
from pipelines.sample.world import World

GENERAL, ORTHODONTIC, IMPLANT, CHILD = range(4)
_GROWN_KIND = Dice((0.9, 0.06, 0.04))
_YOUNG_KIND = Dice((0.0, 0.2, 0.0, 0.8))


@dataclass(frozen=True, slots=True)
class Files:
    """The patient files of one chunk, as columns."""

    person: Ints  # place in People
    copy: Ints  # 0 for the first file of a person, 1 for a duplicate in another clinic
    ids: pl.Series
    clinic: Ints
    doctor: Ints  # staff place
    kind: Ints
    since: Ints  # day number of the file's first day
    until: Ints  # day number after which the patient sleeps
    is_old: Bools  # the file is older than the window
    first_of: Ints  # person place → place of the first file, -1 without

    @property
    def size(self) -> int:
        """How many files."""
        return len(self.person)


def files_of(world: World, chunk: int, people: People) -> Files:
    """The patient files of one chunk: four in a hundred patients have two."""
    rng = world.rng(chunk, "files")
    season, chain = world.season, world.chain
    twice = chance(rng, people.size, 0.04)
    person, copy = repeat_each(people.has_file * (1 + twice.astype(np.int64)))
    size = len(person)
    other = chain.draw_clinics(rng, size)
    home = people.clinic[person]
    clinic = np.where((copy == 1) | chance(rng, size, 0.03), other, home)
    of_first = np.roll(clinic, 1)  # a person's second file comes right after the first
    clinic = np.where((copy == 1) & (clinic == of_first), of_first % (chain.clinics - 1) + 1, clinic)
    is_old = chance(rng, size, 0.5) & (copy == 0)
    since_old = season.first - 1 - (rng.random(size) ** 2 * 1400).astype(np.int64)
    low = np.full(size, season.first, dtype=np.int64)
    since = np.where(is_old, since_old, season.clinic_days(rng, low, np.full(size, season.last, dtype=np.int64)))
    sleeps = chance(rng, size, 0.3)
    until = np.where(sleeps, np.maximum(since, between(rng, season.first - 200, season.last - 60, size)), season.last)
    young = people.is_child[person]
    kind = np.where(young, _YOUNG_KIND.throw(rng, size), _GROWN_KIND.throw(rng, size))
    kind = np.where((kind == IMPLANT) & (people.age(season.last)[person] < 35), GENERAL, kind)
    first_of = np.full(people.size, -1, dtype=np.int64)
    first_of[person[copy == 0]] = np.flatnonzero(copy == 0)
    return Files(
        person=person,
        copy=copy,
        ids=join("P", 10**9 + people.numbers[person] * 2 + copy),
        clinic=clinic,
        doctor=chain.draw_staff(rng, "医生", clinic),
        kind=kind,
        since=since,
        until=until,
        is_old=is_old,
        first_of=first_of,
    )


def created_seconds(world: World, chunk: int, files: Files, first_known: Ints) -> Ints:
    """When each file was created: some minutes before the first thing that is known of the patient.

    in: `first_known`, the earliest second of an appointment or visit per file, or a very large number without one
    """
    rng = world.rng(chunk, "file_rows")
    alone = files.since * DAY + clinic_seconds(rng, files.size)
    led = np.minimum(alone, first_known - 60 * between(rng, 1, 9, files.size))
    return np.minimum(np.where(files.is_old, alone, np.maximum(led, files.since * DAY + 28_800)), first_known)
