"""Rows of saas/appointments, saas/visits and saas/medical_records: three sights of the encounters of `encounters`."""

import numpy as np
import polars as pl

from pipelines.sample.batches import Rows
from pipelines.sample.dental_words import THEME, THEMES
from pipelines.sample.draw import (
    DAY,
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
    texts,
)
from pipelines.sample.encounters import CANCELLED, CONFIRMED, LEFT, MISSED, Encounters
from pipelines.sample.files import Files
from pipelines.sample.world import World

VISIT_TYPES = ("初诊", "复诊", "治疗", "复查", "洁牙")
APPOINTMENT_STATES = ("已预约", "已确认", "已到店", "治疗中", "已离开", "已取消", "爽约")
CHANNELS = ("电话", "前台", "小程序", "服务号", "企微", "美团", "其他")
RECORD_TYPES = ("初诊病历", "复诊病历", "正畸初诊病历", "正畸复诊病历", "种植病历", "儿牙病历")
_CHANNEL = Dice((0.3, 0.3, 0.16, 0.08, 0.1, 0.04, 0.02))


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
