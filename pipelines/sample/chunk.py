"""All rows of one chunk of customers, in the order in which one thing follows from another.

Chunks know nothing of each other; joining them into files belongs to `shard`.
"""

from collections.abc import Iterator

import polars as pl

from pipelines.sample import (
    accounts,
    assets,
    care,
    checkins,
    encounter_rows,
    encounters,
    file_rows,
    leads,
    mini_program,
    money,
    official_account,
    online,
    rewards,
    wecom,
)
from pipelines.sample.batches import Rows
from pipelines.sample.executions import execution_rows
from pipelines.sample.files import files_of
from pipelines.sample.people import people_of
from pipelines.sample.reviews import reviews_of
from pipelines.sample.truth import truth_of
from pipelines.sample.world import World


def chunk_tables(world: World, chunk: int) -> Iterator[tuple[str, Rows | pl.DataFrame]]:
    """Yield `(table, rows)` for every table that grows with customers, one at a time, and `("truth", frame)`."""
    people = people_of(world, chunk)
    files = files_of(world, chunk, people)
    met = encounters.encounters_of(world, chunk, people, files)
    created = encounters.file_created(world, chunk, files, met)
    yield "saas/patients", file_rows.patient_rows(world, chunk, people, files, created)
    yield "saas/patient_phones", file_rows.phone_rows(world, chunk, people, files, created)
    yield "saas/appointments", encounter_rows.appointment_rows(world, chunk, files, met)
    yield "saas/visits", encounter_rows.visit_rows(world, chunk, files, met)
    yield "saas/medical_records", encounter_rows.record_rows(world, chunk, files, met)

    bills = money.bills_of(world, chunk, files, met)
    items = money.item_rows(world, chunk, files, bills)
    payments, refunds = money.payment_rows(world, chunk, files, bills)
    yield "saas/bills", money.bill_rows(world, files, bills, met)
    yield "saas/bill_items", items
    yield "saas/payments", payments
    yield "saas/refunds", refunds
    yield "saas/executions", execution_rows(world, chunk, files, bills, items.frame["bill_item_id"])
    yield "saas/card_assets", assets.card_rows(world, chunk, files, bills)
    yield "saas/stored_value_accounts", assets.stored_value_rows(world, chunk, files, bills)

    yield from care.examination_rows(world, chunk, files, met).items()
    yield "saas/images", care.image_rows(world, chunk, files, met)
    yield "saas/follow_ups", care.follow_up_rows(world, chunk, files, created, met)

    reviews = reviews_of(world, chunk, files, met)
    rounds = checkins.checkins_of(world, chunk, files, met)
    coupons, transfers = rewards.coupon_rows(world, chunk, files, reviews, rounds)
    yield "operational/reviews", reviews.rows
    yield "operational/checkin_rounds", rounds.rounds
    yield "operational/checkin_slots", rounds.slots
    yield "operational/points_entries", rewards.points_rows(world, chunk, files, bills, reviews, rounds)
    yield "operational/coupons", coupons
    yield "operational/coupon_transfers", transfers

    wechat = accounts.wechat_of(world, chunk, people, files)
    yield "official_account/fans", official_account.fan_rows(world, chunk, wechat.fans)
    yield "official_account/fan_bindings", official_account.fan_binding_rows(world, chunk, people, files, wechat.fans)
    yield "official_account/follow_events", online.follow_event_rows(world, chunk, people, wechat.fans)
    yield "mini_program/users", mini_program.user_rows(world, chunk, people, wechat.users)
    yield "mini_program/bindings", mini_program.user_binding_rows(world, chunk, people, files, wechat.users)
    yield "mini_program/events", online.mini_event_rows(world, chunk, people, wechat.users)
    yield from wecom.wecom_rows(world, chunk, people, wechat.contacts).items()

    asked = leads.leads_of(world, chunk, people, files, created, wechat)
    yield "leads/leads", leads.lead_rows(world, chunk, people, files, asked)
    yield "leads/assignment_events", leads.lead_event_rows(world, chunk, asked)
    yield "leads/follow_ups", leads.lead_follow_up_rows(world, chunk, asked)
    yield "truth", truth_of(people, files, wechat, asked)
