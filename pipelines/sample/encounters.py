"""Encounters: each time a patient was to come, or came.

Appointments, visits and records are three sights of them, in `encounter_rows`. What was charged belongs to `money`,
what was found to `care`.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.sample.draw import (
    DAY,
    Bools,
    Dice,
    Ints,
    Rng,
    between,
    chance,
    own_ids,
    repeat_each,
)
from pipelines.sample.files import Files, created_seconds
from pipelines.sample.people import People
from pipelines.sample.season import clinic_seconds
from pipelines.sample.world import World

BOOKED, CONFIRMED, ARRIVED, TREATED, LEFT, CANCELLED, MISSED = range(7)
_PAST = Dice((0.012, 0.003, 0.004, 0.003, 0.79, 0.115, 0.073))
_THEMES_OF = (
    Dice((0.14, 0.3, 0.2, 0.1, 0.08, 0.03, 0.1, 0.02, 0.0, 0.03)),  # general
    Dice((0.03, 0.06, 0.02, 0.01, 0.0, 0.0, 0.02, 0.86, 0.0, 0.0)),  # orthodontic
    Dice((0.1, 0.14, 0.06, 0.05, 0.1, 0.5, 0.05, 0.0, 0.0, 0.0)),  # implant
    Dice((0.12, 0.03, 0.05, 0.02, 0.0, 0.0, 0.04, 0.04, 0.7, 0.0)),  # child
)
_MEAN_ENCOUNTERS = (2.1, 7.5, 5.0, 2.6)
_FUTURE_DAYS = 30
_NEVER = np.iinfo(np.int64).max // 4


@dataclass(frozen=True, slots=True)
class Encounters:
    """The encounters of one chunk, sorted by file and day."""

    file: Ints
    clinic: Ints
    doctor: Ints
    theme: Ints
    is_first: Bools  # of a new patient
    booked: Bools
    came: Bools
    state: Ints  # of the appointment
    visit_state: Ints
    booked_at: Ints
    scheduled_at: Ints
    arrived_at: Ints
    left_at: Ints
    appointment_ids: pl.Series
    visit_ids: pl.Series

    def pick(self, where: Bools) -> Ints:
        """Places where the condition holds."""
        return np.flatnonzero(where)


def encounters_of(world: World, chunk: int, people: People, files: Files) -> Encounters:
    """The encounters of one chunk."""
    rng = world.rng(chunk, "encounters")
    file, days, is_first = _days(world, rng, people, files)
    size = len(file)
    stays = chance(rng, size, 0.93)
    clinic = np.where(stays, files.clinic[file], world.chain.draw_clinics(rng, size))
    same_doctor = stays & chance(rng, size, 0.7)
    doctor = np.where(same_doctor, files.doctor[file], world.chain.draw_staff(rng, "医生", clinic))
    theme = np.select([files.kind[file] == k for k in range(4)], [d.throw(rng, size) for d in _THEMES_OF])
    booked = chance(rng, size, 0.87) | (days > world.season.last)
    scheduled = days * DAY + clinic_seconds(rng, size)
    close = world.season.close
    is_past = scheduled < close
    state = np.where(is_past, _PAST.throw(rng, size), (rng.random(size) < 0.4).astype(np.int64))
    came = is_past & (~booked | np.isin(state, (ARRIVED, TREATED, LEFT)))
    booked_at = _booked_at(rng, scheduled, close, files.since[file])
    arrived = scheduled + np.where(booked, np.clip(rng.normal(-300, 720, size), -1800, 3000), 0).astype(np.int64)
    left = arrived + between(rng, 18, 100, size) * 60
    return Encounters(
        file=file,
        clinic=clinic,
        doctor=doctor,
        theme=theme,
        is_first=is_first,
        booked=booked,
        came=came,
        state=state,
        visit_state=np.where(booked & (state == ARRIVED), 0, np.where(booked & (state == TREATED), 1, 2)),
        booked_at=booked_at,
        scheduled_at=scheduled,
        arrived_at=arrived,
        left_at=left,
        appointment_ids=own_ids("AP", chunk, size),
        visit_ids=own_ids("VI", chunk, size),
    )


def _days(world: World, rng: Rng, people: People, files: Files) -> tuple[Ints, Ints, Bools]:
    """Which file, on which day (one encounter a day), and whether it is a new patient's first."""
    season = world.season
    mean = np.array(_MEAN_ENCOUNTERS)[files.kind] * people.vigour[files.person] * world.scale
    mean = mean * (season.last - season.first + 1) / 400
    stay = np.clip((files.until - season.first) / max(season.last - season.first, 1), 0.0, 1.0)
    counts = rng.poisson(np.where(files.is_old, mean * (0.25 + 0.75 * stay), mean)) + ~files.is_old
    counts = np.where(files.until < season.first, 0, counts)
    file, place = repeat_each(counts)
    low = np.maximum(files.since[file], season.first)
    drawn = season.clinic_days(rng, low, np.maximum(files.until[file], low))
    delay = np.where(chance(rng, len(file), 0.6), 0, between(rng, 1, 12, len(file)))
    is_first = (place == 0) & ~files.is_old[file]
    drawn = np.where(is_first, files.since[file] + delay, drawn)
    again = np.flatnonzero((files.until == season.last) & chance(rng, files.size, 0.16))
    coming = season.last + between(rng, 1, _FUTURE_DAYS, len(again))
    key = np.unique(np.concatenate([file * 2**20 + drawn, again * 2**20 + coming]))
    file, days = key >> 20, key & (2**20 - 1)
    starts = np.r_[True, file[1:] != file[:-1]] if len(file) else np.zeros(0, dtype=np.bool_)
    return file, days, starts & ~files.is_old[file]


def _booked_at(rng: Rng, scheduled: Ints, close: int, since: Ints) -> Ints:
    lead = (1800 + rng.exponential(4.5 * DAY, len(scheduled))).astype(np.int64)
    at = np.where(scheduled < close, scheduled - lead, close - 3600 - lead)
    at = np.where(at % DAY < 28_800, at - 36_000, at)  # nobody books at night
    booked: Ints = np.minimum(np.maximum(at, since * DAY + 29_000), np.minimum(scheduled, close) - 1800)
    return booked


def first_known(files: Files, met: Encounters) -> Ints:
    """The earliest booking or visit per file, a very large second without one."""
    earliest = np.full(files.size, _NEVER, dtype=np.int64)
    known = np.where(met.booked, met.booked_at, met.arrived_at)
    np.minimum.at(earliest, met.file, known)
    return earliest


def file_created(world: World, chunk: int, files: Files, met: Encounters) -> Ints:
    """When each file was created, never after the first booking or visit."""
    return created_seconds(world, chunk, files, first_known(files, met))
