"""Check-in rounds (打卡轮次) of orthodontic and young patients and their due dates (应打卡日).

Follows `domain-rules.md` C1 to C3: slots are stored, a postponed check-in moves the later due dates, a slot is missed
only when its day has ended, and a round closes when its last slot is settled. Activities live in `campaigns`.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.sample.batches import Rows
from pipelines.sample.campaigns import ACTIVITIES, ACTIVITY_IDS, CAPS, EVERY, POSTPONES
from pipelines.sample.draw import (
    DAY,
    Dice,
    Ints,
    between,
    chance,
    day,
    moment,
    never,
    only,
    option,
    own_ids,
    repeat_each,
    texts,
)
from pipelines.sample.encounters import Encounters
from pipelines.sample.files import CHILD, ORTHODONTIC, Files
from pipelines.sample.season import phone_seconds
from pipelines.sample.world import World

SLOT_STATES = ("未打卡", "已打卡", "延期打卡", "漏打卡", "豁免")
OPEN, DONE, LATE, SKIPPED, EXCUSED = range(5)
EVALUATIONS = ("无需评价", "待评价", "已评价")
_FATE = Dice((0.0, 0.74, 0.06, 0.19, 0.01))


@dataclass(frozen=True, slots=True)
class Checkins:
    """Rounds and slots of one chunk, and who checked in when (for the rewards)."""

    rounds: Rows
    slots: Rows
    file: Ints  # of each check-in made
    made_at: Ints
    round_ids: pl.Series


def checkins_of(world: World, chunk: int, files: Files, met: Encounters) -> Checkins:
    """Rounds of patients with braces (six in ten) and of some children, starting on the day of a visit."""
    rng = world.rng(chunk, "operational/checkin_rounds")
    season, chain = world.season, world.chain
    file, first = np.unique(met.file[met.came], return_index=True)
    visit = met.pick(met.came)[first]
    kind = files.kind[file]
    joins = chance(rng, len(file), np.where(kind == ORTHODONTIC, 0.75, np.where(kind == CHILD, 0.12, 0.0)))
    file, visit = file[joins], visit[joins]
    size = len(file)
    activity = between(rng, 0, len(ACTIVITIES) - 1, size)
    started = met.left_at[visit] + 600
    anchor = started // DAY
    every, cap = EVERY[activity], CAPS[activity]
    of_round, place = repeat_each(cap)
    fate = _FATE.throw(rng, len(of_round))
    may_wait = POSTPONES[activity][of_round] & (every[of_round] > 1)
    fate = np.where((fate == LATE) & ~may_wait, DONE, fate)
    wait = np.where(fate == LATE, 1 + (rng.random(len(of_round)) * (every[of_round] - 1)).astype(np.int64), 0)
    waited = np.cumsum(wait) - wait
    firsts = np.cumsum(cap) - cap
    due = anchor[of_round] + place * every[of_round] + waited - waited[firsts][of_round]
    made = due + wait
    settled = np.where(fate == LATE, made, due) <= season.last
    # Today's slot is not missed before its day has ended.
    settled &= ~(np.isin(fate, (SKIPPED, EXCUSED)) & (due == season.last))
    state = np.where(settled, fate, OPEN)
    seen = due <= season.last
    is_last = place == cap[of_round] - 1
    closed = np.zeros(size, dtype=np.bool_)
    closed[of_round[is_last & settled]] = True
    made_at = np.maximum(made * DAY + phone_seconds(rng, len(due)), started[of_round] + 60)
    made_at = np.minimum(made_at, made * DAY + DAY - 60)
    checked = np.isin(state, (DONE, LATE))
    settled_at = np.where(checked, made_at, (due + 1) * DAY + 300)
    end_of = np.zeros(size, dtype=np.int64)
    end_of[of_round[is_last]] = settled_at[is_last]
    round_ids = own_ids("RD", chunk, size)
    rounds = pl.DataFrame(
        {
            "round_id": round_ids,
            "activity_id": ACTIVITY_IDS.gather(activity),
            "patient_id": files.ids.gather(file),
            "clinic_id": texts(chain.clinic_ids, met.clinic[visit]),
            "round_no": pl.repeat(1, size, dtype=pl.Int64, eager=True),
            "origin": option(("医生邀请", "自主参与"), (rng.random(size) < 0.25).astype(np.int64)),
            "inviter_staff_id": texts(chain.staff_ids, met.doctor[visit]),
            "follow_staff_id": texts(chain.staff_ids, chain.draw_staff(rng, "客服", met.clinic[visit])),
            "status": option(("进行中", "已结束"), closed.astype(np.int64)),
            "close_reason": only(pl.repeat("达到上限", size, eager=True), closed),
            "anchor_date": day(anchor),
            "started_at": moment(started),
            "closed_at": moment(end_of, closed),
            "is_deleted": never(size),
            "updated_at": moment(np.where(closed, end_of, started)),
        }
    )
    open_again = {"status": pl.lit("进行中"), "close_reason": pl.lit(None), "closed_at": pl.lit(None)}
    at = np.flatnonzero(seen)
    slots = _slot_rows(world, chunk, rounds, of_round[at], place[at], due[at], state[at], made_at[at], settled_at[at])
    done = at[checked[at]]
    return Checkins(
        rounds=Rows(
            frame=rounds,
            born=started,
            changed=np.where(closed, end_of, started),
            before={**open_again, "updated_at": pl.col("_born")},
        ),
        slots=slots,
        file=file[of_round[done]],
        made_at=made_at[done],
        round_ids=round_ids.gather(of_round[done]),
    )


def _slot_rows(
    world: World,
    chunk: int,
    rounds: pl.DataFrame,
    of_round: Ints,
    place: Ints,
    due: Ints,
    state: Ints,
    made_at: Ints,
    settled_at: Ints,
) -> Rows:
    """A slot is exported when its day begins and again when it is settled or evaluated."""
    rng = world.rng(chunk, "operational/checkin_slots")
    size, close = len(due), world.season.close
    checked = np.isin(state, (DONE, LATE))
    evaluated_at = made_at + between(rng, 1800, 2 * DAY, size)
    wants = checked & chance(rng, size, 0.6)
    evaluated = wants & (evaluated_at < close) & chance(rng, size, 0.8)
    born = np.minimum(due * DAY + 60, settled_at)
    changed = np.where(evaluated, evaluated_at, np.where(state == OPEN, born, settled_at))
    helped = checked & chance(rng, size, 0.03)
    staff = rounds["follow_staff_id"].gather(of_round)
    frame = pl.DataFrame(
        {
            "round_id": rounds["round_id"].gather(of_round),
            "slot_no": pl.Series(place + 1),
            "activity_id": rounds["activity_id"].gather(of_round),
            "patient_id": rounds["patient_id"].gather(of_round),
            "clinic_id": rounds["clinic_id"].gather(of_round),
            "due_on": day(due),
            "status": option(SLOT_STATES, state),
            "checked_in_on": day(made_at // DAY, checked),
            "checked_in_at": moment(made_at, checked),
            "recorded_by_staff_id": only(staff, helped),
            "photo_count": only(pl.Series(between(rng, 0, 9, size)), checked),
            "evaluation_status": option(EVALUATIONS, np.where(evaluated, 2, np.where(wants, 1, 0))),
            "evaluator_staff_id": only(rounds["inviter_staff_id"].gather(of_round), evaluated),
            "evaluated_at": moment(evaluated_at, evaluated),
            "is_deleted": never(size),
            "updated_at": moment(changed),
        }
    )
    cleared = (
        "checked_in_on",
        "checked_in_at",
        "recorded_by_staff_id",
        "photo_count",
        "evaluator_staff_id",
        "evaluated_at",
    )
    before = {
        "status": pl.lit("未打卡"),
        "evaluation_status": pl.lit("无需评价"),
        "updated_at": pl.col("_born"),
        **{name: pl.lit(None) for name in cleared},
    }
    return Rows(frame=frame, born=born, changed=changed, before=before)
