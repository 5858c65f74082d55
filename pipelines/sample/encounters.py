"""Encounters: each time a patient was to come, or came; appointments, visits and records are three sights of them.

What was charged belongs to `money`, what was found to `care`.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.sample.batches import Rows
from pipelines.sample.dental_words import THEME, THEMES
from pipelines.sample.draw import (
    DAY,
    Bools,
    Dice,
    Ints,
    Rng,
    below,
    between,
    chance,
    choose,
    moment,
    never,
    only,
    option,
    own_ids,
    repeat_each,
    texts,
)
from pipelines.sample.files import Files, created_seconds
from pipelines.sample.people import People
from pipelines.sample.season import clinic_seconds
from pipelines.sample.world import World

VISIT_TYPES = ("初诊", "复诊", "治疗", "复查", "洁牙")
APPOINTMENT_STATES = ("已预约", "已确认", "已到店", "治疗中", "已离开", "已取消", "爽约")
BOOKED, CONFIRMED, ARRIVED, TREATED, LEFT, CANCELLED, MISSED = range(7)
CHANNELS = ("电话", "前台", "小程序", "服务号", "企微", "美团", "其他")
RECORD_TYPES = ("初诊病历", "复诊病历", "正畸初诊病历", "正畸复诊病历", "种植病历", "儿牙病历")
_PAST = Dice((0.012, 0.003, 0.004, 0.003, 0.79, 0.115, 0.073))
_CHANNEL = Dice((0.3, 0.3, 0.16, 0.08, 0.1, 0.04, 0.02))
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


def visit_type(met: Encounters, at: Ints) -> pl.Series:
    """The visit type of encounters: the first of a new patient is 初诊, the rest follow the theme."""
    of_theme = np.array([VISIT_TYPES.index(t.visit_type or "复诊") for t in THEMES], dtype=np.int64)
    return option(VISIT_TYPES, np.where(met.is_first[at], 0, of_theme[met.theme[at]]))


def appointment_rows(world: World, chunk: int, files: Files, met: Encounters) -> Rows:
    """Rows of saas/appointments."""
    rng = world.rng(chunk, "saas/appointments")
    at = met.pick(met.booked)
    size, state, close = len(at), met.state[at], world.season.close
    came, done = met.came[at], met.state[at] == LEFT
    cancelled = state == CANCELLED
    gap = np.maximum(np.minimum(met.scheduled_at[at], close) - met.booked_at[at] - 60, 1)
    cancelled_at = met.booked_at[at] + 60 + below(rng, gap)
    missed_at = met.scheduled_at[at] // DAY * DAY + 75_600
    changed = np.select(
        [done, came, cancelled, state == MISSED, state == CONFIRMED],
        [met.left_at[at], met.arrived_at[at], cancelled_at, missed_at, np.minimum(cancelled_at, close - 1)],
        met.booked_at[at],
    )
    channel = _CHANNEL.throw(rng, size)
    maker = choose(
        channel == 1, _staff(world, rng, "前台", met.clinic[at]), _staff(world, rng, "网电咨询师", met.clinic[at])
    )
    frame = pl.DataFrame(
        {
            "appointment_id": met.appointment_ids.gather(at),
            "patient_id": files.ids.gather(met.file[at]),
            "clinic_id": texts(world.chain.clinic_ids, met.clinic[at]),
            "doctor_id": texts(world.chain.staff_ids, met.doctor[at]),
            "created_by_staff_id": only(maker, (channel != 2) & (channel != 3)),
            "visit_type": visit_type(met, at),
            "item_name": texts([t.name for t in THEMES], met.theme[at]),
            "channel": option(CHANNELS, channel),
            "status": option(APPOINTMENT_STATES, state),
            "scheduled_at": moment(met.scheduled_at[at]),
            "arrived_at": moment(met.arrived_at[at], came),
            "left_at": moment(met.left_at[at], done),
            "cancelled_at": moment(cancelled_at, cancelled),
            "is_deleted": pl.Series(cancelled & chance(rng, size, 0.02)),
            "created_at": moment(met.booked_at[at]),
            "updated_at": moment(changed),
        }
    )
    before = {
        "status": pl.lit("已预约"),
        "arrived_at": pl.lit(None),
        "left_at": pl.lit(None),
        "cancelled_at": pl.lit(None),
        "is_deleted": pl.lit(False),
        "updated_at": pl.col("created_at"),
    }
    return Rows(frame=frame, born=met.booked_at[at], changed=changed, before=before)


def _staff(world: World, rng: Rng, role: str, clinics: Ints) -> pl.Series:
    return texts(world.chain.staff_ids, world.chain.draw_staff(rng, role, clinics))


def visit_rows(world: World, chunk: int, files: Files, met: Encounters) -> Rows:
    """Rows of saas/visits: those who came, appointment or not."""
    rng = world.rng(chunk, "saas/visits")
    at = met.pick(met.came)
    left = met.visit_state[at] == 2
    changed = np.where(left, met.left_at[at], met.arrived_at[at])
    frame = pl.DataFrame(
        {
            "visit_id": met.visit_ids.gather(at),
            "appointment_id": only(met.appointment_ids.gather(at), met.booked[at]),
            "patient_id": files.ids.gather(met.file[at]),
            "clinic_id": texts(world.chain.clinic_ids, met.clinic[at]),
            "doctor_id": texts(world.chain.staff_ids, met.doctor[at]),
            "nurse_id": only(_staff(world, rng, "护士", met.clinic[at]), chance(rng, len(at), 0.8)),
            "visit_type": visit_type(met, at),
            "department": texts([t.department for t in THEMES], met.theme[at]),
            "status": option(("已挂号", "治疗中", "已离开", "已取消"), met.visit_state[at]),
            "visited_at": moment(met.arrived_at[at]),
            "left_at": moment(met.left_at[at], left),
            "is_deleted": never(len(at)),
            "updated_at": moment(changed),
        }
    )
    return Rows(frame=frame, born=met.arrived_at[at], changed=changed)


def record_rows(world: World, chunk: int, files: Files, met: Encounters) -> Rows:
    """Rows of saas/medical_records: nine visits of ten are written down.

    The first orthodontic record of an orthodontic patient is 正畸初诊病历, later ones are 正畸复诊病历.
    """
    rng = world.rng(chunk, "saas/medical_records")
    at = met.pick(met.came & chance(rng, len(met.file), 0.9))
    size, theme = len(at), met.theme[at]
    changed = np.minimum(met.left_at[at] + 60 * between(rng, 1, 40, size), met.arrived_at[at] // DAY * DAY + DAY - 60)
    frame = pl.DataFrame(
        {
            "medical_record_id": own_ids("MR", chunk, size),
            "visit_id": met.visit_ids.gather(at),
            "patient_id": files.ids.gather(met.file[at]),
            "clinic_id": texts(world.chain.clinic_ids, met.clinic[at]),
            "doctor_id": texts(world.chain.staff_ids, met.doctor[at]),
            "record_type": option(RECORD_TYPES, _record_types(met, at)),
            "chief_complaint": _phrase(rng, _COMPLAINTS, theme),
            "diagnosis": _phrase(rng, _DIAGNOSES, theme),
            "treatment": _phrase(rng, _TREATMENTS, theme),
            "recorded_at": moment(met.arrived_at[at] + 900),
            "is_deleted": pl.Series(chance(rng, size, 0.002)),
            "updated_at": moment(np.maximum(changed, met.arrived_at[at] + 900)),
        }
    )
    return Rows(frame=frame, born=met.arrived_at[at], changed=np.maximum(changed, met.arrived_at[at] + 900))


def _record_types(met: Encounters, at: Ints) -> Ints:
    of_theme = np.array([RECORD_TYPES.index(t.record_type or "复诊病历") for t in THEMES], dtype=np.int64)
    kinds = np.where(met.is_first[at], 0, of_theme[met.theme[at]])
    braces = met.theme[at] == THEME["正畸"]
    _, first = np.unique(np.where(braces, met.file[at], -1 - np.arange(len(at))), return_index=True)
    is_start = np.zeros(len(at), dtype=np.bool_)
    is_start[first] = True
    return np.where(braces, np.where(is_start, 2, 3), kinds)


def _flat(parts: list[tuple[str, ...]]) -> tuple[tuple[str, ...], Ints, Ints]:
    counts = np.array([max(len(p), 1) for p in parts], dtype=np.int64)
    return tuple(word for part in parts for word in (part or ("",))), np.cumsum(counts) - counts, counts


_COMPLAINTS = _flat([t.complaints for t in THEMES])
_DIAGNOSES = _flat([t.diagnoses for t in THEMES])
_TREATMENTS = _flat([t.treatments for t in THEMES])


def _phrase(rng: Rng, flat: tuple[tuple[str, ...], Ints, Ints], theme: Ints) -> pl.Series:
    words, first, count = flat
    return texts(words, first[theme] + below(rng, count[theme]))
