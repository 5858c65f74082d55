"""Bills, their items, payments and refunds: amounts in fen that add up exactly.

For every bill: receivable = sum of its items' receivable; payments <= receivable; refunds <= payments; an item's
paid amount is what was paid for it less what was paid back, so items' paid = payments - refunds.
Cards and stored value bought with some of these bills are written down in `assets`, executed items in `executions`.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.sample.batches import Rows
from pipelines.sample.dental_words import REFUND_REASONS, THEME, THEMES, TOOTH_MILK, TOOTH_PERMANENT
from pipelines.sample.draw import (
    DAY,
    Bools,
    Dice,
    Ints,
    Rng,
    below,
    between,
    chance,
    join,
    lookup,
    moment,
    never,
    only,
    option,
    own_ids,
    repeat_each,
    sums,
    texts,
)
from pipelines.sample.encounters import Encounters
from pipelines.sample.files import CHILD, Files
from pipelines.sample.world import World

METHODS = ("微信", "支付宝", "银行卡", "现金", "储值", "医保", "积分抵扣", "优惠券", "其他")
BILL_STATES = ("未收费", "部分收费", "已收费", "已退费", "已作废")
UNPAID, PART_PAID, PAID, REFUNDED, VOID = range(5)
BILL_TYPES = ("项目", "商品", "卡项", "充值")
_METHOD = Dice((0.46, 0.16, 0.1, 0.05, 0.08, 0.09, 0.02, 0.02, 0.02))
_STATE = Dice((0.03, 0.06, 0.885, 0.005, 0.02))
_ITEMS_PER_BILL = Dice((0.0, 0.5, 0.32, 0.18))
_QUANTITY = Dice((0.0, 0.82, 0.12, 0.06))
_PERCENT = Dice((0.6, 0.15, 0.12, 0.08, 0.05))
_PERCENTS = np.array((100, 95, 90, 85, 80), dtype=np.int64)
_GOODS, _CARD, _TOP_UP = THEME["商品"], THEME["卡项"], THEME["充值"]
_ITEM_COUNT = np.array([len(t.items) for t in THEMES], dtype=np.int64)
_ITEM_FIRST = np.cumsum(_ITEM_COUNT) - _ITEM_COUNT
ITEMS = tuple(item for theme in THEMES for item in theme.items)
_PRICES = np.array([item.price * 100 for item in ITEMS], dtype=np.int64)
_CHARGED = np.array([theme.charged for theme in THEMES])
_TEETH = TOOTH_PERMANENT + TOOTH_MILK


@dataclass(frozen=True, slots=True)
class Bills:
    """Bills and items of one chunk, as columns; items know the place of their bill. Amounts in fen."""

    file: Ints
    encounter: Ints  # -1 for a bill without a visit
    clinic: Ints
    doctor: Ints
    theme: Ints
    billed_at: Ints
    state: Ints
    paid_at: Ints
    refunded_at: Ints
    refund_kind: Ints  # 0 none, 1 all, 2 the first item
    ids: pl.Series
    bill: Ints  # of each item
    item: Ints
    quantity: Ints
    receivable: Ints
    paid: Ints  # before refunds
    returned: Ints

    def per_bill(self, amounts: Ints) -> Ints:
        """Amounts of items added up per bill."""
        return sums(amounts, self.bill, len(self.file))


def bills_of(world: World, chunk: int, files: Files, met: Encounters) -> Bills:
    """The bills of one chunk: of visits, and some without a visit (goods, cards, stored value)."""
    rng = world.rng(chunk, "bills")
    at = met.pick(met.came & (rng.random(len(met.file)) < _CHARGED[met.theme] * 0.8))
    extra_file, extra_theme, extra_at = _without_visit(world, rng, files, met)
    file = np.concatenate([met.file[at], extra_file])
    clinic = np.concatenate([met.clinic[at], files.clinic[extra_file]])
    theme = np.concatenate([met.theme[at], extra_theme])
    billed_at = np.concatenate([met.left_at[at] - 300, extra_at])
    size = len(file)
    is_project = theme < _GOODS
    state = np.where(is_project, _STATE.throw(rng, size), PAID)
    paid_at = billed_at + 60 * between(rng, 1, 20, size)
    refunded_at = paid_at + between(rng, 600, 20 * DAY, size)
    refunded_at = np.where(refunded_at % DAY < 32_400, refunded_at + 36_000, refunded_at)
    in_time = refunded_at < world.season.close
    state = np.where((state == REFUNDED) & ~in_time, PAID, state)
    partly = (state == PAID) & is_project & in_time & chance(rng, size, 0.012)
    kind = np.where(state == REFUNDED, 1, np.where(partly, 2, 0))
    counts = np.where(is_project, _ITEMS_PER_BILL.throw(rng, size), 1)
    bill, place = repeat_each(counts)
    item = _ITEM_FIRST[theme[bill]] + (below(rng, _ITEM_COUNT[theme[bill]]) + place) % _ITEM_COUNT[theme[bill]]
    quantity = np.where((_PRICES[item] > 300_000) | ~is_project[bill], 1, _QUANTITY.throw(rng, len(bill)))
    percent = np.where(is_project, _PERCENTS[_PERCENT.throw(rng, size)], 100)
    receivable = _PRICES[item] * quantity * percent[bill] // 100
    share = np.array((0, 0, 100, 100, 0), dtype=np.int64)[state]
    share = np.where(state == PART_PAID, 10 * between(rng, 2, 8, size), share)
    paid = receivable * share[bill] // 100
    return Bills(
        file=file,
        encounter=np.concatenate([at, np.full(len(extra_file), -1, dtype=np.int64)]),
        clinic=clinic,
        doctor=np.concatenate([met.doctor[at], files.doctor[extra_file]]),
        theme=theme,
        billed_at=billed_at,
        state=state,
        paid_at=paid_at,
        refunded_at=refunded_at,
        refund_kind=kind,
        ids=own_ids("BL", chunk, size),
        bill=bill,
        item=item,
        quantity=quantity,
        receivable=receivable,
        paid=paid,
        returned=np.where((kind[bill] == 1) | ((kind[bill] == 2) & (place == 0)), paid, 0),
    )


def _without_visit(world: World, rng: Rng, files: Files, met: Encounters) -> tuple[Ints, Ints, Ints]:
    """Files that buy goods (4 %), a card (7 %) or stored value (3 %) on the day of a visit, and when."""
    file, first = np.unique(met.file[met.came], return_index=True)
    at = met.pick(met.came)[first]
    kinds = (_GOODS, _CARD, _TOP_UP)
    chosen = [chance(rng, len(file), share * world.scale) for share in (0.04, 0.07, 0.03)]
    places = np.concatenate([np.flatnonzero(c) for c in chosen])
    themes = np.repeat(np.array(kinds, dtype=np.int64), [int(c.sum()) for c in chosen])
    return file[places], themes, met.left_at[at[places]] + 120


def bill_rows(world: World, files: Files, bills: Bills, met: Encounters) -> Rows:
    """Rows of saas/bills."""
    chain = world.chain
    size = len(bills.file)
    original = bills.per_bill(_PRICES[bills.item] * bills.quantity)
    receivable = bills.per_bill(bills.receivable)
    touched = np.isin(bills.state, (PART_PAID, PAID, REFUNDED))
    changed = np.where(bills.refund_kind > 0, bills.refunded_at, np.where(touched, bills.paid_at, bills.billed_at))
    frame = pl.DataFrame(
        {
            "bill_id": bills.ids,
            "patient_id": files.ids.gather(bills.file),
            "clinic_id": texts(chain.clinic_ids, bills.clinic),
            "visit_id": lookup(met.visit_ids, bills.encounter, bills.encounter >= 0),
            "doctor_id": texts(chain.staff_ids, bills.doctor),
            "biller_id": texts(chain.staff_ids, bills.doctor),
            "bill_type": option(BILL_TYPES, np.maximum(bills.theme - _GOODS + 1, 0)),
            "status": option(BILL_STATES, bills.state),
            "original_amount": pl.Series(original),
            "discount_amount": pl.Series(original - receivable),
            "receivable_amount": pl.Series(receivable),
            "billed_at": moment(bills.billed_at),
            "is_deleted": never(size),
            "updated_at": moment(changed),
        }
    )
    born = np.where(touched, bills.paid_at, bills.billed_at)
    before = {
        "status": pl.when(pl.col("status") == "已退费")
        .then(pl.lit("已收费"))
        .otherwise(pl.col("status").cast(pl.String)),
        "updated_at": pl.col("_born"),
    }
    return Rows(frame=frame, born=born, changed=changed, before=before)


def item_rows(world: World, chunk: int, files: Files, bills: Bills) -> Rows:
    """Rows of saas/bill_items; `paid_amount` is net of refunds."""
    rng = world.rng(chunk, "saas/bill_items")
    bill, size = bills.bill, len(bills.bill)
    touched = np.isin(bills.state, (PART_PAID, PAID, REFUNDED))
    born = np.where(touched, bills.paid_at, bills.billed_at)[bill]
    changed = np.where(bills.returned > 0, bills.refunded_at[bill], born)
    frame = pl.DataFrame(
        {
            "bill_item_id": own_ids("BI", chunk, size),
            "bill_id": bills.ids.gather(bill),
            "patient_id": files.ids.gather(bills.file[bill]),
            "item_code": join("X", 1000 + bills.item),
            "item_name": texts([i.name for i in ITEMS], bills.item),
            "item_category": texts([i.category for i in ITEMS], bills.item),
            "tooth_positions": teeth(rng, files.kind[bills.file[bill]] == CHILD, bills.theme[bill] < _GOODS),
            "quantity": pl.Series(bills.quantity),
            "unit_price": pl.Series(_PRICES[bills.item]),
            "receivable_amount": pl.Series(bills.receivable),
            "paid_amount": pl.Series(bills.paid - bills.returned),
            "doctor_id": texts(world.chain.staff_ids, bills.doctor[bill]),
            "billed_at": moment(bills.billed_at[bill]),
            "is_deleted": never(size),
            "updated_at": moment(changed),
        }
    )
    # Only items that were paid back change later, and all of what was paid for them goes back.
    before = {"paid_amount": pl.col("receivable_amount"), "updated_at": pl.col("_born")}
    return Rows(frame=frame, born=born, changed=changed, before=before)


def teeth(rng: Rng, is_milk: Bools, where: Bools) -> pl.Series:
    """One or two tooth positions (FDI) as `|`-separated text, milk teeth for children; null outside `where`."""
    size = len(where)
    places = np.where(is_milk, len(TOOTH_PERMANENT) + between(rng, 0, 19, size), between(rng, 0, 31, size))
    two = chance(rng, size, 0.25)
    pairs = [f"{_TEETH[p]}|{_TEETH[p + 1 if p + 1 < len(_TEETH) else p - 1]}" for p in range(len(_TEETH))]
    return only(texts(_TEETH + tuple(pairs), places + two * len(_TEETH)), where & chance(rng, size, 0.7))


def payment_rows(world: World, chunk: int, files: Files, bills: Bills) -> tuple[Rows, Rows]:
    """Rows of saas/payments and saas/refunds: one in nine bills is paid in two parts."""
    rng = world.rng(chunk, "saas/payments")
    paid = bills.per_bill(bills.paid)
    payers = np.flatnonzero(paid > 0)
    two = chance(rng, len(payers), 0.11) & (bills.refund_kind[payers] == 0) & (paid[payers] > 20_000)
    split = np.where(two, paid[payers] * 6 // 10, 0)
    bill = np.concatenate([payers, payers[two]])
    amount = np.concatenate([paid[payers] - split, split[two]])
    method = np.where(bills.theme[bill] < _GOODS, _METHOD.throw(rng, len(bill)), 0)
    ids = own_ids("PM", chunk, len(bill))
    cashiers = world.chain.draw_staff(rng, "前台", bills.clinic[bill])
    payments = pl.DataFrame(
        {
            "payment_id": ids,
            "bill_id": bills.ids.gather(bill),
            "patient_id": files.ids.gather(bills.file[bill]),
            "clinic_id": texts(world.chain.clinic_ids, bills.clinic[bill]),
            "method": option(METHODS, method),
            "amount": pl.Series(amount),
            "cashier_id": texts(world.chain.staff_ids, cashiers),
            "paid_at": moment(bills.paid_at[bill]),
            "is_deleted": never(len(bill)),
            "updated_at": moment(bills.paid_at[bill]),
        }
    )
    at = np.flatnonzero(bills.refund_kind[payers] > 0)
    back = payers[at]
    refunds = pl.DataFrame(
        {
            "refund_id": own_ids("RF", chunk, len(back)),
            "bill_id": bills.ids.gather(back),
            "payment_id": ids.gather(at),
            "patient_id": files.ids.gather(bills.file[back]),
            "clinic_id": texts(world.chain.clinic_ids, bills.clinic[back]),
            "method": option(METHODS, method[at]),
            "amount": pl.Series(bills.per_bill(bills.returned)[back]),
            "reason": texts(REFUND_REASONS, between(rng, 0, len(REFUND_REASONS) - 1, len(back))),
            "refunded_at": moment(bills.refunded_at[back]),
            "is_deleted": never(len(back)),
            "updated_at": moment(bills.refunded_at[back]),
        }
    )
    paid_at, refunded_at = bills.paid_at[bill], bills.refunded_at[back]
    return (
        Rows(frame=payments, born=paid_at, changed=paid_at),
        Rows(frame=refunds, born=refunded_at, changed=refunded_at),
    )
