"""What clinics found and did besides treating: examinations, findings, suggestions, images, follow-ups of patients."""

import numpy as np
import polars as pl

from pipelines.sample.batches import Rows
from pipelines.sample.dental_words import FOLLOW_UP_CONTENT, SUGGESTIONS, SYMPTOMS, THEME
from pipelines.sample.draw import (
    DAY,
    Dice,
    Ints,
    Rng,
    between,
    chance,
    choose,
    day,
    join,
    moment,
    never,
    only,
    option,
    own_ids,
    repeat_each,
    texts,
)
from pipelines.sample.encounters import Encounters
from pipelines.sample.files import CHILD, Files
from pipelines.sample.money import teeth
from pipelines.sample.season import clinic_seconds
from pipelines.sample.world import World

GRADES = ("健康", "良好", "一般", "不佳")
SEVERITIES = ("较轻", "中等", "严重")
WHEN = ("立即", "一个月内", "三个月内", "半年内", "定期观察")
MODALITIES = ("全景片", "CBCT", "小牙片", "头颅侧位片", "口内照", "面相照")
FOLLOW_UP_KINDS = ("随访", "回访", "咨询")
FOLLOW_UP_CHANNELS = ("电话", "企微", "短信", "面谈", "外呼")
RESULTS = ("满意", "一般", "不满意", "未接通", "已预约", "无意向")
_GRADE = Dice((0.08, 0.3, 0.42, 0.2))
_FINDINGS = Dice((0.06, 0.3, 0.3, 0.2, 0.14))
_SYMPTOM = Dice((0.28, 0.2, 0.14, 0.06, 0.08, 0.07, 0.05, 0.02, 0.03, 0.02, 0.02, 0.01, 0.01, 0.01))
_MODALITY = Dice((0.28, 0.16, 0.3, 0.05, 0.15, 0.06))
_IMAGES = Dice((0.66, 0.22, 0.09, 0.03))
_RESULT = Dice((0.5, 0.1, 0.04, 0.2, 0.1, 0.06))


def examination_rows(world: World, chunk: int, files: Files, met: Encounters) -> dict[str, Rows]:
    """Rows of saas/oral_examinations, saas/oral_findings and saas/treatment_suggestions: three visits in ten."""
    rng = world.rng(chunk, "saas/oral_examinations")
    chain = world.chain
    wanted = np.where(met.is_first | (met.theme == THEME["检查"]), 0.55, 0.14)
    at = met.pick(met.came & (rng.random(len(met.file)) < wanted))
    size, examined = len(at), met.arrived_at[at] + 1200
    patient, clinic = files.ids.gather(met.file[at]), texts(chain.clinic_ids, met.clinic[at])
    ids = own_ids("OE", chunk, size)
    follow = Dice((0.35, 0.25, 0.28, 0.12)).throw(rng, size)
    frame = pl.DataFrame(
        {
            "examination_id": ids,
            "patient_id": patient,
            "clinic_id": clinic,
            "visit_id": met.visit_ids.gather(at),
            "doctor_id": texts(chain.staff_ids, met.doctor[at]),
            "health_grade": option(GRADES, _GRADE.throw(rng, size)),
            "follow_up_staff_id": texts(chain.staff_ids, chain.draw_staff(rng, "咨询师", met.clinic[at])),
            "follow_up_status": option(("待跟进", "跟进中", "已成交", "已流失"), follow),
            "next_follow_up_on": day(examined // DAY + between(rng, 3, 60, size), follow < 2),
            "examined_at": moment(examined),
            "is_deleted": never(size),
            "updated_at": moment(examined),
        }
    )
    counts = _FINDINGS.throw(rng, size)
    exam, _ = repeat_each(counts)
    symptom = _SYMPTOM.throw(rng, len(exam))
    tooth = teeth(rng, files.kind[met.file[at]][exam] == CHILD, np.ones(len(exam), dtype=np.bool_))
    found = pl.DataFrame(
        {
            "finding_id": own_ids("OF", chunk, len(exam)),
            "examination_id": ids.gather(exam),
            "patient_id": patient.gather(exam),
            "symptom": texts(SYMPTOMS, symptom),
            "tooth_positions": tooth,
            "severity": option(SEVERITIES, Dice((0.5, 0.35, 0.15)).throw(rng, len(exam))),
            "suggested_treatment_time": option(WHEN, Dice((0.2, 0.3, 0.2, 0.1, 0.2)).throw(rng, len(exam))),
            "found_at": moment(examined[exam]),
            "is_deleted": never(len(exam)),
            "updated_at": moment(examined[exam]),
        }
    )
    named = np.flatnonzero(chance(rng, len(exam), 0.62))
    told = examined[exam[named]] + 300
    suggested = pl.DataFrame(
        {
            "suggestion_id": own_ids("TS", chunk, len(named)),
            "patient_id": patient.gather(exam[named]),
            "clinic_id": clinic.gather(exam[named]),
            "doctor_id": texts(chain.staff_ids, met.doctor[at][exam[named]]),
            "suggestion_name": texts(SUGGESTIONS, symptom[named]),
            "symptoms": texts(SYMPTOMS, symptom[named]),
            "tooth_positions": tooth.gather(named),
            "priority": option(("高", "中", "低"), Dice((0.25, 0.5, 0.25)).throw(rng, len(named))),
            "review_status": option(("未审核", "部分审核", "已审核"), Dice((0.25, 0.1, 0.65)).throw(rng, len(named))),
            "charge_status": option(("未收费", "部分收费", "已收费"), Dice((0.6, 0.08, 0.32)).throw(rng, len(named))),
            "suggested_at": moment(told),
            "is_deleted": never(len(named)),
            "updated_at": moment(told),
        }
    )
    return {
        "saas/oral_examinations": Rows(frame=frame, born=examined, changed=examined),
        "saas/oral_findings": Rows(frame=found, born=examined[exam], changed=examined[exam]),
        "saas/treatment_suggestions": Rows(frame=suggested, born=told, changed=told),
    }


def image_rows(world: World, chunk: int, files: Files, met: Encounters) -> Rows:
    """Rows of saas/images: none to three per visit."""
    rng = world.rng(chunk, "saas/images")
    at = met.pick(met.came)
    visit, place = repeat_each(_IMAGES.throw(rng, len(at)))
    at = at[visit]
    taken = met.arrived_at[at] + 600 + place * 240
    frame = pl.DataFrame(
        {
            "image_id": own_ids("IM", chunk, len(at)),
            "patient_id": files.ids.gather(met.file[at]),
            "clinic_id": texts(world.chain.clinic_ids, met.clinic[at]),
            "visit_id": met.visit_ids.gather(at),
            "modality": option(MODALITIES, _MODALITY.throw(rng, len(at))),
            "taken_at": moment(taken),
            "is_deleted": never(len(at)),
            "updated_at": moment(taken),
        }
    )
    return Rows(frame=frame, born=taken, changed=taken)


def follow_up_rows(world: World, chunk: int, files: Files, created: Ints, met: Encounters) -> Rows:
    """Rows of saas/follow_ups: calls after visits, and consultations of a third of the other files."""
    rng = world.rng(chunk, "saas/follow_ups")
    season = world.season
    at = met.pick(met.came & chance(rng, len(met.file), 0.5))
    alone = np.flatnonzero((created // DAY >= season.first) & chance(rng, files.size, 0.45))
    file = np.concatenate([met.file[at], alone])
    clinic = np.concatenate([met.clinic[at], files.clinic[alone]])
    made = np.concatenate([met.left_at[at], created[alone]])
    size = len(file)
    kind = np.where(np.arange(size) < len(at), chance(rng, size, 0.6).astype(np.int64), 2)
    wait = np.where(kind == 1, between(rng, 1, 3, size), between(rng, 1, 45, size))
    planned = (made // DAY + wait) * DAY + clinic_seconds(rng, size)
    due = planned < season.close
    state = np.where(due, np.where(chance(rng, size, 0.86), 1, np.where(chance(rng, size, 0.5), 2, 0)), 0)
    done_at = np.minimum(planned + 60 * between(rng, 0, 200, size), season.close - 60)
    changed = np.where(state > 0, done_at, made)
    result = only(option(RESULTS, _RESULT.throw(rng, size)).cast(pl.String), state == 1)
    frame = pl.DataFrame(
        {
            "follow_up_id": own_ids("FU", chunk, size),
            "patient_id": files.ids.gather(file),
            "clinic_id": texts(world.chain.clinic_ids, clinic),
            "staff_id": _staff(world, rng, clinic, kind),
            "follow_up_kind": option(FOLLOW_UP_KINDS, kind),
            "channel": option(FOLLOW_UP_CHANNELS, Dice((0.5, 0.3, 0.08, 0.05, 0.07)).throw(rng, size)),
            "status": option(("待执行", "已完成", "已取消"), state),
            "result": result,
            "content": only(_content(rng, size), state == 1),
            "planned_at": moment(planned),
            "done_at": moment(done_at, state == 1),
            "is_deleted": never(size),
            "updated_at": moment(changed),
        }
    )
    empty = {name: pl.lit(None) for name in ("result", "content", "done_at")}
    before = {"status": pl.lit("待执行"), "updated_at": pl.col("_born"), **empty}
    return Rows(frame=frame, born=made, changed=changed, before=before)


def _staff(world: World, rng: Rng, clinic: Ints, kind: Ints) -> pl.Series:
    chain = world.chain
    service = texts(chain.staff_ids, chain.draw_staff(rng, "客服", clinic))
    return choose(kind == 2, texts(chain.staff_ids, chain.draw_staff(rng, "咨询师", clinic)), service)


def _content(rng: Rng, size: int) -> pl.Series:
    plain = texts(FOLLOW_UP_CONTENT, between(rng, 0, len(FOLLOW_UP_CONTENT) - 1, size))
    quoted = join(plain, ',患者说:"', texts(("下周再来", "再考虑考虑", "挺好的"), between(rng, 0, 2, size)), '"')
    return choose(chance(rng, size, 0.05), quoted, plain)
