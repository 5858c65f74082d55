"""Executed steps of charged items (执行划扣): which step, when, by whom.

What was charged belongs to `money`.
"""

import numpy as np
import polars as pl

from pipelines.sample.batches import Rows
from pipelines.sample.dental_words import THEMES
from pipelines.sample.draw import (
    DAY,
    Ints,
    Rng,
    between,
    chance,
    moment,
    never,
    only,
    option,
    own_ids,
    repeat_each,
    texts,
)
from pipelines.sample.files import Files
from pipelines.sample.money import ITEMS, PAID, PART_PAID, Bills
from pipelines.sample.world import World

STAGES = ("待执行", "执行中", "已完成", "已终止")
STEP_STATES = ("未开始", "进行中", "已完成", "已跳过")
_STEP_COUNT = np.array([len(t.steps) for t in THEMES], dtype=np.int64)
_STEP_FIRST = np.cumsum(_STEP_COUNT) - _STEP_COUNT
_STEPS = tuple(step for theme in THEMES for step in theme.steps)
_BIG_PRICE = 90_000  # fen; cheaper items are done in one step


def execution_rows(world: World, chunk: int, files: Files, bills: Bills, item_ids: pl.Series) -> Rows:
    """Rows of saas/executions: each step of an item that was paid, fully or in part.

    A step planned after the last day has not begun; its item is then 执行中, or 待执行 before its first step.
    Steps of one item are in order.
    """
    rng = world.rng(chunk, "saas/executions")
    chain, close = world.chain, world.season.close
    theme = bills.theme[bills.bill]
    paid = np.isin(bills.state[bills.bill], (PAID, PART_PAID)) & (bills.returned == 0)
    price = bills.receivable // bills.quantity
    steps = np.where(price > _BIG_PRICE, _STEP_COUNT[theme], 1)
    done = paid & chance(rng, len(theme), 0.88)
    item, place = repeat_each(np.where(done, steps, 0))
    bill = bills.bill[item]
    size = len(item)
    billed_at, clinic = bills.billed_at[bill], bills.clinic[bill]
    wait = between(rng, 9, 35, len(theme))[item] * (place + chance(rng, len(theme), 0.06)[item])
    planned = billed_at + 300 + wait * DAY + np.where(wait > 0, _noise(rng, size), 0)
    is_done = planned < close
    skipped = is_done & (place > 0) & chance(rng, size, 0.02)
    all_done = np.zeros(len(theme), dtype=np.int64)
    np.add.at(all_done, item, is_done.astype(np.int64))
    stage = np.where(all_done[item] == steps[item], 2, np.minimum(all_done[item], 1))
    executed_at = np.where(is_done, planned, billed_at)
    frame = pl.DataFrame(
        {
            "execution_id": own_ids("EX", chunk, size),
            "patient_id": files.ids.gather(bills.file[bill]),
            "clinic_id": texts(chain.clinic_ids, clinic),
            "bill_item_id": item_ids.gather(item),
            "item_names": texts([i.name for i in ITEMS], bills.item[item]),
            "created_at": moment(billed_at),
            "stage": option(STAGES, stage),
            "is_strict_flow": option(("是", "否"), (steps[item] == 1).astype(np.int64)),
            "step_name": texts(_STEPS, _STEP_FIRST[bills.theme[bill]] + place),
            "step_status": option(STEP_STATES, np.where(skipped, 3, np.where(is_done, 2, 0))),
            "step_executed_at": moment(executed_at, is_done & ~skipped),
            "step_doctor_id": only(texts(chain.staff_ids, bills.doctor[bill]), is_done),
            "step_nurse_id": _helper(world, rng, "护士", clinic, is_done, 0.7),
            "step_assistant_id": _helper(world, rng, "牙医助理", clinic, is_done, 0.35),
            "step_auxiliary_nurse_id": _helper(world, rng, "护士", clinic, is_done, 0.1),
            "step_other_staff_id": _helper(world, rng, "咨询师", clinic, is_done, 0.04),
            "is_deleted": never(size),
            "updated_at": moment(np.maximum(executed_at, billed_at)),
        }
    )
    before = {
        "stage": pl.lit("执行中"),
        "step_status": pl.lit("未开始"),
        "updated_at": pl.col("created_at"),
        **{name: pl.lit(None) for name in frame.columns if name.startswith("step_") and name not in _STEP_FACTS},
    }
    return Rows(frame=frame, born=billed_at, changed=np.maximum(executed_at, billed_at), before=before)


_STEP_FACTS = ("step_name", "step_status")


def _noise(rng: Rng, size: int) -> Ints:
    return between(rng, -3, 3, size) * 1800


def _helper(world: World, rng: Rng, role: str, clinic: Ints, is_done: np.ndarray, share: float) -> pl.Series:
    staff = texts(world.chain.staff_ids, world.chain.draw_staff(rng, role, clinic))
    return only(staff, is_done & chance(rng, len(clinic), share))
