"""What patients hold: cards (卡项资产) and stored-value accounts (储值账户), bought with the bills of `money`."""

import numpy as np
import polars as pl

from pipelines.sample.batches import Rows
from pipelines.sample.dental_words import THEME
from pipelines.sample.draw import DAY, Dice, between, chance, day, join, moment, never, only, option, own_ids, texts
from pipelines.sample.files import Files
from pipelines.sample.money import Bills
from pipelines.sample.world import World

# name, kind, items it pays for, times
CARDS = (
    ("洁牙年卡", "次卡", "超声洁治|喷砂抛光", 4),
    ("儿牙防龋套餐", "套餐卡", "窝沟封闭|全口涂氟", 6),
    ("家庭口腔护理卡", "套餐卡", "超声洁治|口腔检查|全口涂氟", 8),
    ("会员折扣卡", "折扣卡", None, 0),
    ("涂氟次卡", "次卡", "全口涂氟", 4),
    ("新客体验卡", "体验卡", "口腔检查", 1),
)
CARD_TYPES = ("次卡", "套餐卡", "折扣卡", "会员卡", "体验卡")
_TIMES = np.array([c[3] for c in CARDS], dtype=np.int64)


def card_rows(world: World, chunk: int, files: Files, bills: Bills) -> Rows:
    """Rows of saas/card_assets: the cards that were bought, and a trial card of some new patients."""
    rng = world.rng(chunk, "saas/card_assets")
    sold = np.flatnonzero(bills.theme == THEME["卡项"])
    given = np.flatnonzero((bills.encounter >= 0) & chance(rng, len(bills.file), 0.03))
    bill = np.concatenate([sold, given])
    size = len(bill)
    kind = np.where(np.arange(size) < len(sold), between(rng, 0, 4, size), 5)
    acquired = bills.paid_at[bill]
    used = np.minimum(between(rng, 0, 5, size), _TIMES[kind])
    gap = np.maximum(world.season.close - acquired - 1, 1)
    used_at = acquired + (rng.random(size) * gap).astype(np.int64)
    changed = np.where(used > 0, used_at, acquired)
    names = texts([c[0] for c in CARDS], kind)
    frame = pl.DataFrame(
        {
            "card_asset_id": own_ids("CA", chunk, size),
            "patient_id": files.ids.gather(bills.file[bill]),
            "card_name": names,
            "display_name": join("【悦享】", names),
            "card_type": option(CARD_TYPES, np.array([CARD_TYPES.index(c[1]) for c in CARDS])[kind]),
            "publish_status": option(("已发布", "未发布", "已下架"), Dice((0.85, 0.05, 0.1)).throw(rng, size)),
            "publish_channel": option(
                ("门诊", "小程序", "服务号", "全部"), Dice((0.4, 0.3, 0.1, 0.2)).throw(rng, size)
            ),
            "deductible_items": texts(pl.Series([c[2] for c in CARDS], dtype=pl.String), kind),
            "total_times": pl.Series(_TIMES[kind]),
            "used_times": pl.Series(used),
            "acquired_at": moment(acquired),
            "valid_to": day(acquired // DAY + np.where(kind == 5, 90, 365)),
            "is_deleted": never(size),
            "updated_at": moment(changed),
        }
    )
    before = {"used_times": pl.max_horizontal(pl.col("used_times") - 1, 0), "updated_at": pl.col("_born")}
    return Rows(frame=frame, born=acquired, changed=changed, before=before)


def stored_value_rows(world: World, chunk: int, files: Files, bills: Bills) -> Rows:
    """Rows of saas/stored_value_accounts: one per patient who topped up, what is left of it in fen."""
    rng = world.rng(chunk, "saas/stored_value_accounts")
    top_ups = np.flatnonzero(bills.theme == THEME["充值"])
    size = len(top_ups)
    paid = bills.per_bill(bills.paid)[top_ups]
    spent = paid * between(rng, 0, 10, size) // 10
    opened = bills.paid_at[top_ups]
    gap = np.maximum(world.season.close - opened - 1, 1)
    changed = np.where(spent > 0, opened + (rng.random(size) * gap).astype(np.int64), opened)
    status = Dice((0.96, 0.02, 0.02)).throw(rng, size)
    frame = pl.DataFrame(
        {
            "account_id": own_ids("SV", chunk, size),
            "patient_id": files.ids.gather(bills.file[top_ups]),
            "card_name": only(texts(("悦享储值卡", "家庭储值卡"), between(rng, 0, 1, size)), chance(rng, size, 0.95)),
            "principal_amount": pl.Series(paid - spent),
            "bonus_amount": pl.Series(paid // 10),
            "status": option(("正常", "冻结", "已注销"), status),
            "opened_at": moment(opened),
            "is_deleted": never(size),
            "updated_at": moment(changed),
        }
    )
    before = {"status": pl.lit("正常"), "updated_at": pl.col("_born")}
    return Rows(frame=frame, born=opened, changed=changed, before=before)
