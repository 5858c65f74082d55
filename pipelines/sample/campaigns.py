"""What headquarters sets up for all clinics: check-in activities and coupon templates.

Who joins and who gets coupons belongs to `checkins` and `rewards`.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.sample.batches import Rows
from pipelines.sample.chain import Chain
from pipelines.sample.draw import DAY, Ints, day, moment, never, option
from pipelines.sample.season import Season


@dataclass(frozen=True, slots=True)
class Activity:
    """A check-in activity (打卡活动)."""

    name: str
    every_n_days: int
    cap: int
    allows_postponing: bool


ACTIVITIES = (
    Activity("早矫肌训打卡", 1, 21, False),
    Activity("牙套更换打卡", 10, 6, True),
    Activity("悦见视频跟练", 2, 10, True),
    Activity("保持器佩戴打卡", 7, 8, True),
    Activity("暑期早矫打卡", 3, 10, False),
)
ACTIVITY_STATES = ("草稿", "未开始", "进行中", "已暂停", "已结束")
EVERY = np.array([a.every_n_days for a in ACTIVITIES], dtype=np.int64)
CAPS = np.array([a.cap for a in ACTIVITIES], dtype=np.int64)
POSTPONES = np.array([a.allows_postponing for a in ACTIVITIES])
ACTIVITY_IDS = pl.Series([f"ACT{101 + place}" for place in range(len(ACTIVITIES))])

# name, kind, face in yuan, minimum spend in yuan, may be passed on
TEMPLATES = (
    ("洁牙立减券", "代金券", 100, 198, True),
    ("补牙满减券", "代金券", 200, 580, True),
    ("种植抵用券", "代金券", 1000, 6000, False),
    ("矫正抵用券", "代金券", 2000, 12000, False),
    ("全场9折券", "折扣券", None, 500, False),
    ("免费涂氟兑换券", "兑换券", None, None, True),
    ("口腔检查兑换券", "兑换券", None, None, True),
    ("流量大使洁牙券", "流量大使券", 198, None, True),
)
COUPON_KINDS = ("代金券", "折扣券", "兑换券", "流量大使券")
TEMPLATE_IDS = pl.Series([f"CT{201 + place}" for place in range(len(TEMPLATES))])
TRANSFERABLE = np.array([t[4] for t in TEMPLATES])


def campaign_tables(chain: Chain, season: Season) -> dict[str, Rows]:
    """Rows of operational/checkin_activities and operational/coupon_templates; one of each changed last night."""
    return {
        "operational/checkin_activities": _activities(season),
        "operational/coupon_templates": _templates(chain, season),
    }


def _activities(season: Season) -> Rows:
    size = len(ACTIVITIES) + 2
    names = [a.name for a in ACTIVITIES] + ["寒假矫正打卡", "护牙习惯养成"]
    ends = np.full(size, season.last + 120, dtype=np.int64)
    ends[4] = season.last - 20
    states = np.array([2, 2, 2, 2, 4, 1, 0], dtype=np.int64)
    starts = np.full(size, season.first - 30, dtype=np.int64)
    starts[5:] = season.last + 10
    born = np.full(size, (season.first - 45) * DAY + 36_000, dtype=np.int64)
    changed = _last_changed(born, season, place=3)
    frame = pl.DataFrame(
        {
            "activity_id": [f"ACT{101 + place}" for place in range(size)],
            "activity_name": names,
            "status": option(ACTIVITY_STATES, states),
            "every_n_days": [*EVERY.tolist(), 1, 1],
            "cap": [*CAPS.tolist(), 30, 7],
            "allows_postponing": [*POSTPONES.tolist(), False, False],
            "starts_on": day(starts),
            "ends_on": day(ends),
            "is_deleted": never(size),
            "updated_at": moment(changed),
        }
    )
    before = {"ends_on": pl.col("ends_on").dt.offset_by("-30d"), "updated_at": pl.col("_born")}
    return Rows(frame=frame, born=born, changed=changed, before=before)


def _templates(chain: Chain, season: Season) -> Rows:
    size = len(TEMPLATES)
    born = np.full(size, (season.first - 45) * DAY + 36_000, dtype=np.int64)
    changed = _last_changed(born, season, place=1)
    some = "|".join(chain.clinic_ids[1:4].to_list())
    frame = pl.DataFrame(
        {
            "coupon_template_id": TEMPLATE_IDS,
            "coupon_name": [t[0] for t in TEMPLATES],
            "coupon_kind": option(COUPON_KINDS, np.array([COUPON_KINDS.index(t[1]) for t in TEMPLATES])),
            "face_amount": pl.Series([None if t[2] is None else t[2] * 100 for t in TEMPLATES], dtype=pl.Int64),
            "min_spend_amount": pl.Series([None if t[3] is None else t[3] * 100 for t in TEMPLATES], dtype=pl.Int64),
            "clinic_ids": pl.Series([some if place in {2, 3} else None for place in range(size)], dtype=pl.String),
            "is_transferable": TRANSFERABLE.tolist(),
            "is_deleted": never(size),
            "updated_at": moment(changed),
        }
    )
    before = {"min_spend_amount": pl.col("min_spend_amount") * 2, "updated_at": pl.col("_born")}
    return Rows(frame=frame, born=born, changed=changed, before=before)


def _last_changed(born: Ints, season: Season, *, place: int) -> Ints:
    changed = born.copy()
    changed[place] = season.close - 40_000
    return changed
