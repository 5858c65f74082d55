"""Points (积分流水), coupons (优惠券) and their transfers: what patients earned and what became of it.

They are earned with the bills of `money`, the `reviews` and the `checkins`. A balance of points never falls below 0.
"""

import numpy as np
import polars as pl

from pipelines.sample.batches import Rows
from pipelines.sample.campaigns import TEMPLATE_IDS, TRANSFERABLE
from pipelines.sample.checkins import Checkins
from pipelines.sample.draw import (
    DAY,
    Dice,
    Ints,
    between,
    chance,
    day,
    moment,
    never,
    nothing,
    only,
    option,
    own_ids,
    sums,
    texts,
)
from pipelines.sample.files import Files
from pipelines.sample.money import PAID, Bills
from pipelines.sample.reviews import Reviews
from pipelines.sample.season import phone_seconds
from pipelines.sample.world import World

POINT_KINDS = ("发放", "消费", "过期", "退回", "调整")
POINT_REASONS = ("打卡奖励", "评价奖励", "消费赠送", "活动赠送", "商城兑换", "订单抵扣", "订单退款", "到期", "人工调整")
COUPON_STATES = ("可使用", "转赠中", "锁定", "已使用", "已过期", "已作废", "已注销")
USABLE, IN_TRANSFER, LOCKED, USED, EXPIRED, VOID, ERASED = range(7)
COUPON_REASONS = ("打卡奖励", "评价奖励", "活动领取", "人工发放", "转赠获得", "商城购买")
TRANSFER_STATES = ("转赠中", "已领取", "已撤回", "已退回")


def points_rows(world: World, chunk: int, files: Files, bills: Bills, reviews: Reviews, checkins: Checkins) -> Rows:
    """Rows of operational/points_entries."""
    rng = world.rng(chunk, "operational/points_entries")
    close = world.season.close
    buys = np.flatnonzero((bills.state == PAID) & (bills.refund_kind == 0) & chance(rng, len(bills.file), 0.6))
    writes = np.flatnonzero(chance(rng, len(reviews.file), 0.8))
    checks = np.flatnonzero(chance(rng, len(checkins.file), 0.5))
    gifts = np.flatnonzero(chance(rng, files.size, 0.12) & (files.until == world.season.last))
    file = np.concatenate([bills.file[buys], reviews.file[writes], checkins.file[checks], gifts])
    gift_day = world.season.online_days(rng, np.maximum(files.since[gifts], world.season.first))
    gift_at = gift_day * DAY + phone_seconds(rng, len(gifts))
    parts = [bills.paid_at[buys] + 30, reviews.submitted_at[writes] + 5, checkins.made_at[checks] + 5, gift_at]
    at = np.minimum(np.concatenate(parts), close - 1)
    spent = np.maximum(bills.per_bill(bills.paid)[buys] // 1000, 1)
    fixed = [np.full(len(writes), 50), np.full(len(checks), 10), between(rng, 1, 20, len(gifts)) * 10]
    points = np.concatenate([spent, *fixed]).astype(np.int64)
    reason = np.repeat(np.array((2, 1, 0, 3)), [len(buys), len(writes), len(checks), len(gifts)])
    source = pl.concat(
        [bills.ids.gather(buys), reviews.ids.gather(writes), checkins.round_ids.gather(checks), nothing(len(gifts))]
    )
    total = sums(points, file, files.size)
    last = np.zeros(files.size, dtype=np.int64)
    np.maximum.at(last, file, at)
    # Points are spent, run out or are corrected after the last ones came in: no balance can fall below 0.
    out = np.flatnonzero((total >= 20) & chance(rng, files.size, 0.3))
    out_at = last[out] + 600 + rng.exponential(40 * DAY, len(out)).astype(np.int64)
    out, out_at = out[out_at < close], out_at[out_at < close]
    kind = Dice((0.0, 0.78, 0.14, 0.0, 0.08)).throw(rng, len(out))
    out_reason = np.where(kind == 1, between(rng, 4, 5, len(out)), np.where(kind == 2, 7, 8))
    out_points = -np.maximum(total[out] * between(rng, 1, 9, len(out)) // 10, 1)
    size = len(file) + len(out)
    booked = np.concatenate([at, out_at])
    frame = pl.DataFrame(
        {
            "entry_id": own_ids("PE", chunk, size),
            "patient_id": files.ids.gather(np.concatenate([file, out])),
            "entry_kind": option(POINT_KINDS, np.concatenate([np.zeros(len(file), dtype=np.int64), kind])),
            "points": pl.Series(np.concatenate([points, out_points])),
            "reason": option(POINT_REASONS, np.concatenate([reason, out_reason])),
            "source_id": pl.concat([source, nothing(len(out))]),
            "expires_on": day(booked // DAY + 365, np.arange(size) < len(file)),
            "booked_at": moment(booked),
        }
    )
    return Rows(frame=frame, born=booked, changed=booked)


def coupon_rows(world: World, chunk: int, files: Files, reviews: Reviews, checkins: Checkins) -> tuple[Rows, Rows]:
    """Rows of operational/coupons and operational/coupon_transfers.

    A claimed coupon belongs to the patient who claimed it; one under way still belongs to the giver.
    """
    rng = world.rng(chunk, "operational/coupons")
    season = world.season
    writes = np.flatnonzero(chance(rng, len(reviews.file), 0.45))
    checks = np.flatnonzero(chance(rng, len(checkins.file), 0.08))
    claims = np.flatnonzero(chance(rng, files.size, 0.5) & (files.until >= season.first))
    claims = np.concatenate([claims, claims[chance(rng, len(claims), 0.35)]])
    file = np.concatenate([reviews.file[writes], checkins.file[checks], claims])
    claim_day = season.online_days(rng, np.maximum(files.since[claims], season.first))
    claimed = claim_day * DAY + phone_seconds(rng, len(claims))
    issued = np.minimum(
        np.concatenate([reviews.submitted_at[writes] + 8, checkins.made_at[checks] + 8, claimed]), season.close - 1
    )
    size = len(file)
    how = np.repeat(np.array((1, 0)), [len(writes), len(checks)])
    reason = np.concatenate([how, Dice((0, 0, 0.72, 0.18, 0, 0.1)).throw(rng, len(claims))])
    template = between(rng, 0, len(TEMPLATE_IDS) - 1, size)
    valid_to = issued // DAY + np.array((30, 60, 90, 180))[between(rng, 0, 3, size)]
    used_at = issued + 3600 + (rng.random(size) * (valid_to * DAY - issued)).astype(np.int64)
    used_at = used_at // DAY * DAY + np.clip(used_at % DAY, 34_000, 70_000)
    used = chance(rng, size, 0.38) & (used_at > issued) & (used_at < season.close)
    expired = ~used & (valid_to < season.last)
    gone = chance(rng, size, 0.01)
    ends = (valid_to + 1) * DAY + 60
    sent = TRANSFERABLE[template] & ~expired & ~gone & chance(rng, size, 0.12)
    transfer = Dice((0.2, 0.6, 0.1, 0.1)).throw(rng, size)
    transfer = np.where(used & (transfer == 0), 1, transfer)
    sent_at = issued + 60
    settled_at = np.minimum(sent_at + 60 * between(rng, 1, 400, size), season.close - 1)
    settled_at = np.where(used, np.minimum(settled_at, used_at), settled_at)
    sent &= settled_at > sent_at
    state = np.where(used, USED, np.where(expired, EXPIRED, np.where(gone, VOID, USABLE)))
    state = np.where(sent & (transfer == 0), IN_TRANSFER, state)
    other = between(rng, 0, max(files.size - 1, 0), size)
    claimed_by = sent & (transfer == 1) & (other != file)
    transfer = np.where(sent & (transfer == 1) & ~claimed_by, 2, transfer)
    owner = np.where(claimed_by, other, file)
    moved = np.where(sent, np.where(transfer == 0, sent_at, settled_at), issued)
    changed = np.select([used, state == EXPIRED], [used_at, ends], moved)
    ids = own_ids("CP", chunk, size)
    frame = pl.DataFrame(
        {
            "coupon_id": ids,
            "coupon_template_id": TEMPLATE_IDS.gather(template),
            "patient_id": files.ids.gather(owner),
            "state": option(COUPON_STATES, state),
            "issued_reason": option(COUPON_REASONS, reason),
            "issued_at": moment(issued),
            "valid_from": day(issued // DAY),
            "valid_to": day(valid_to),
            "used_at": moment(used_at, used),
            "used_clinic_id": only(texts(world.chain.clinic_ids, files.clinic[owner]), used),
            "is_deleted": never(size),
            "updated_at": moment(changed),
        }
    )
    empty = {"used_at": pl.lit(None), "used_clinic_id": pl.lit(None)}
    before = {"state": pl.lit("可使用"), "updated_at": pl.col("issued_at"), **empty}
    coupons = Rows(frame=frame, born=issued, changed=changed, before=before)
    at = np.flatnonzero(sent)
    return coupons, _transfers(
        world, chunk, files, ids, at, file[at], owner[at], transfer[at], sent_at[at], settled_at[at]
    )


def _transfers(
    world: World,
    chunk: int,
    files: Files,
    ids: pl.Series,
    at: Ints,
    giver: Ints,
    owner: Ints,
    state: Ints,
    sent_at: Ints,
    settled_at: Ints,
) -> Rows:
    rng = world.rng(chunk, "operational/coupon_transfers")
    size = len(at)
    by_doctor = chance(rng, size, 0.1)
    doctors = texts(world.chain.staff_ids, files.doctor[giver])
    changed = np.where(state == 0, sent_at, settled_at)
    frame = pl.DataFrame(
        {
            "transfer_id": own_ids("TR", chunk, size),
            "coupon_id": ids.gather(at),
            "from_patient_id": files.ids.gather(giver),
            "to_patient_id": only(files.ids.gather(owner), state == 1),
            "transfer_kind": option(("医生转赠", "患者转赠", "合并"), (~by_doctor).astype(np.int64)),
            "state": option(TRANSFER_STATES, state),
            "operator_staff_id": only(doctors, by_doctor),
            "created_at": moment(sent_at),
            "claimed_at": moment(settled_at, state == 1),
            "updated_at": moment(changed),
        }
    )
    before = {
        "state": pl.lit("转赠中"),
        "to_patient_id": pl.lit(None),
        "claimed_at": pl.lit(None),
        "updated_at": pl.col("created_at"),
    }
    return Rows(frame=frame, born=sent_at, changed=changed, before=before)
