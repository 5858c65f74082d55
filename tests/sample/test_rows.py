"""What the rows say: they keep the contracts, refer to each other, add up, and happen in order."""

from datetime import datetime, time, timedelta

import polars as pl
import pytest

from pipelines.sample.contracts import Contract, contracts

from .conftest import CUSTOMERS, END_ON, SHANGHAI, Landed

Tables = dict[str, pl.DataFrame]
CLOSE = datetime.combine(END_ON + timedelta(days=1), time(), SHANGHAI)
MAY_BE_AHEAD = {"scheduled_at", "planned_at"}

REFERENCES = [
    ("saas/patients", "referrer_patient_id", "saas/patients", "patient_id"),
    ("saas/visits", "appointment_id", "saas/appointments", "appointment_id"),
    ("saas/medical_records", "visit_id", "saas/visits", "visit_id"),
    ("saas/bills", "visit_id", "saas/visits", "visit_id"),
    ("saas/bill_items", "bill_id", "saas/bills", "bill_id"),
    ("saas/payments", "bill_id", "saas/bills", "bill_id"),
    ("saas/refunds", "bill_id", "saas/bills", "bill_id"),
    ("saas/refunds", "payment_id", "saas/payments", "payment_id"),
    ("saas/executions", "bill_item_id", "saas/bill_items", "bill_item_id"),
    ("saas/oral_examinations", "visit_id", "saas/visits", "visit_id"),
    ("saas/oral_findings", "examination_id", "saas/oral_examinations", "examination_id"),
    ("saas/images", "visit_id", "saas/visits", "visit_id"),
    ("operational/reviews", "visit_id", "saas/visits", "visit_id"),
    ("operational/checkin_rounds", "activity_id", "operational/checkin_activities", "activity_id"),
    ("operational/checkin_slots", "round_id", "operational/checkin_rounds", "round_id"),
    ("operational/coupons", "coupon_template_id", "operational/coupon_templates", "coupon_template_id"),
    ("operational/coupon_transfers", "coupon_id", "operational/coupons", "coupon_id"),
    ("operational/coupon_transfers", "from_patient_id", "saas/patients", "patient_id"),
    ("operational/coupon_transfers", "to_patient_id", "saas/patients", "patient_id"),
    ("official_account/fan_bindings", "openid", "official_account/fans", "openid"),
    ("official_account/follow_events", "openid", "official_account/fans", "openid"),
    ("mini_program/bindings", "openid", "mini_program/users", "openid"),
    ("mini_program/events", "openid", "mini_program/users", "openid"),
    ("wecom/followers", "external_user_id", "wecom/external_contacts", "external_user_id"),
    ("wecom/remark_phones", "external_user_id", "wecom/followers", "external_user_id"),
    ("wecom/contact_tags", "external_user_id", "wecom/followers", "external_user_id"),
    ("leads/leads", "converted_patient_id", "saas/patients", "patient_id"),
    ("leads/assignment_events", "lead_id", "leads/leads", "lead_id"),
    ("leads/follow_ups", "lead_id", "leads/leads", "lead_id"),
]


@pytest.mark.parametrize("contract", contracts().values(), ids=lambda c: c.name)
def test_rows_keep_their_contract(contract: Contract, tables: Tables):
    rows = tables[contract.name]

    assert rows.select(contract.key).is_unique().all()
    for column in contract.columns:
        values = rows[column.name]
        assert not (column.required and values.null_count()), column.name
        assert not column.allowed or set(values.drop_nulls()) <= set(column.allowed), column.name
        if column.type == "datetime" and column.name not in MAY_BE_AHEAD:
            assert (values.drop_nulls() < CLOSE).all(), column.name


@pytest.mark.parametrize("contract", contracts().values(), ids=lambda c: c.name)
def test_every_column_is_filled_somewhere(contract: Contract, tables: Tables):
    empty = [
        c.name for c in contract.columns if tables[contract.name][c.name].null_count() == len(tables[contract.name])
    ]

    assert empty == []


@pytest.mark.parametrize(("table", "column", "other", "key"), REFERENCES)
def test_references_are_kept(table: str, column: str, other: str, key: str, tables: Tables):
    named = set(tables[table][column].drop_nulls())

    assert named
    assert named <= set(tables[other][key])


def test_every_patient_and_clinic_and_employee_that_is_named_exists(tables: Tables):
    known = {
        "patient_id": set(tables["saas/patients"]["patient_id"]),
        "clinic_id": set(tables["saas/clinics"]["clinic_id"]),
        "staff_id": set(tables["saas/staff"]["staff_id"]),
    }
    staff = ("doctor_id", "nurse_id", "cashier_id", "biller_id", "consultant_id", "assistant_id", "customer_service_id")

    for name, rows in tables.items():
        for column in rows.columns:
            kind = "staff_id" if column.endswith((*staff, "staff_id")) else column
            if kind in known:
                assert set(rows[column].drop_nulls()) <= known[kind], (name, column)


def test_bills_are_the_sum_of_their_items(tables: Tables):
    items = (
        tables["saas/bill_items"]
        .group_by("bill_id")
        .agg(receivable=pl.col("receivable_amount").sum(), original=(pl.col("unit_price") * pl.col("quantity")).sum())
    )
    bills = tables["saas/bills"].join(items, on="bill_id", how="left")

    assert (bills["receivable_amount"] == bills["receivable"]).all()
    assert (bills["original_amount"] == bills["original"]).all()
    assert (bills["original_amount"] - bills["discount_amount"] == bills["receivable_amount"]).all()


def test_payments_stay_within_bills_and_refunds_within_payments_and_items_show_the_difference(tables: Tables):
    sums = {
        name: tables[f"saas/{name}"].group_by("bill_id").agg(pl.col(column).sum().alias(name))
        for name, column in (("payments", "amount"), ("refunds", "amount"), ("bill_items", "paid_amount"))
    }
    bills = tables["saas/bills"]
    for frame in sums.values():
        bills = bills.join(frame, on="bill_id", how="left")
    bills = bills.with_columns(pl.col("payments", "refunds").fill_null(0))

    assert (bills["payments"] <= bills["receivable_amount"]).all()
    assert (bills["refunds"] <= bills["payments"]).all()
    assert (bills["bill_items"] == bills["payments"] - bills["refunds"]).all()
    assert bills["refunds"].sum() > 0
    paid = bills.filter(pl.col("status") == "已收费")
    assert (paid["payments"] == paid["receivable_amount"]).all()
    assert bills.filter(pl.col("status").is_in(["未收费", "已作废"]))["payments"].sum() == 0
    back = bills.filter(pl.col("status") == "已退费")
    assert (back["refunds"] == back["receivable_amount"]).all()


def test_nobody_spends_more_points_than_came_in_before(tables: Tables):
    entries = tables["operational/points_entries"].sort("booked_at", "points", descending=[False, True])

    balance = entries.with_columns(pl.col("points").cum_sum().over("patient_id"))["points"]

    assert balance.min() >= 0
    assert (entries["points"] < 0).any()


def test_visits_follow_appointments_and_files(tables: Tables):
    patients = tables["saas/patients"].select("patient_id", file_at="created_at")
    appointments = tables["saas/appointments"].join(patients, on="patient_id")
    visits = tables["saas/visits"].join(patients, on="patient_id")

    assert (appointments["created_at"] >= appointments["file_at"]).all()
    assert (appointments["created_at"] < appointments["scheduled_at"]).all()
    assert (visits["visited_at"] >= visits["file_at"]).all()
    assert (appointments["cancelled_at"] > appointments["created_at"]).drop_nulls().all()
    ahead = appointments.filter(pl.col("scheduled_at") >= CLOSE)
    assert len(ahead) > 0
    assert set(ahead["status"]) <= {"已预约", "已确认"}


def test_visits_lie_in_opening_hours_and_weekends_are_busy(tables: Tables):
    local = tables["saas/visits"]["visited_at"].dt.convert_time_zone("Asia/Shanghai")

    by_day = local.dt.weekday().value_counts().sort(local.name)["count"].to_list()

    assert set(local.dt.hour()) <= set(range(8, 21))
    assert min(by_day[5], by_day[6]) > max(by_day[:5])
    assert by_day[0] == min(by_day)


def test_the_mini_program_is_busiest_in_the_evening(tables: Tables):
    local = tables["mini_program/events"]["occurred_at"].dt.convert_time_zone("Asia/Shanghai")

    hours = local.dt.hour().value_counts(sort=True)[local.name].to_list()

    assert set(hours[:3]) <= {19, 20, 21, 22}


def test_the_first_orthodontic_record_of_a_patient_is_the_initial_one(tables: Tables):
    records = tables["saas/medical_records"].filter(pl.col("record_type").str.starts_with("正畸"))

    first = records.sort("recorded_at").group_by("patient_id", maintain_order=True).agg(pl.col("record_type"))

    kinds = first["record_type"].to_list()
    assert all(k[0] == "正畸初诊病历" and set(k[1:]) <= {"正畸复诊病历"} for k in kinds)
    assert any(len(k) > 3 for k in kinds)


def test_due_dates_move_only_after_a_postponed_checkin(tables: Tables):
    every = tables["operational/checkin_activities"].select("activity_id", "every_n_days", "allows_postponing")
    slots = tables["operational/checkin_slots"].join(every, on="activity_id").sort("round_id", "slot_no")
    slots = slots.with_columns(next_due=pl.col("due_on").shift(-1).over("round_id"))
    made = pl.when(pl.col("status") == "延期打卡").then(pl.col("checked_in_on")).otherwise(pl.col("due_on"))

    settled = slots.filter(pl.col("next_due").is_not_null() & (pl.col("status") != "未打卡"))
    late = slots.filter(pl.col("status") == "延期打卡")

    assert settled.select(((pl.col("next_due") - made).dt.total_days() == pl.col("every_n_days")).all()).item()
    assert len(late) > 0
    assert late["allows_postponing"].all()
    assert late.select((pl.col("checked_in_on") > pl.col("due_on")).all()).item()


def test_a_slot_of_the_last_day_is_not_missed_yet(tables: Tables):
    slots = tables["operational/checkin_slots"]

    assert set(slots.filter(pl.col("due_on") == END_ON)["status"]) <= {"未打卡", "已打卡"}
    assert (slots.filter(pl.col("status") == "漏打卡")["due_on"] < END_ON).all()


def test_some_patients_sleep_and_some_are_heavy(tables: Tables):
    visits = tables["saas/visits"].group_by("patient_id").len()

    assert len(visits) < 0.9 * len(tables["saas/patients"])
    assert visits["len"].max() > 8 * visits["len"].median()


def test_who_comes_often_is_asked_more_often_and_complains_more(tables: Tables):
    visits = tables["saas/visits"].group_by("patient_id").agg(visits=pl.len())
    reviews = (
        tables["operational/reviews"]
        .group_by("patient_id")
        .agg(reviews=pl.len(), complaints=(pl.col("score10") < 8).sum())
    )
    totals = visits.join(reviews, on="patient_id", how="left").fill_null(0)

    rare, often = (totals.filter(where).sum() for where in (pl.col("visits") < 4, pl.col("visits") >= 4))

    assert often["reviews"][0] / often["visits"][0] > 1.5 * rare["reviews"][0] / rare["visits"][0]
    assert often["complaints"][0] / often["reviews"][0] > rare["complaints"][0] / rare["reviews"][0] > 0


def test_daily_batches_change_rows_that_were_there_and_bring_late_ones(clean: Landed):
    initial, *daily = [m["batch_id"] for m in clean.manifests("saas/appointments")]
    known = clean.batch("saas/appointments", initial).select("appointment_id", old="updated_at", was="status")
    again = clean.batch("saas/appointments", daily[0]).join(known, on="appointment_id")

    assert len(again) > 0
    assert (again["updated_at"] > again["old"]).all()
    assert set(again["was"]) == {"已预约"}
    late = total = 0
    for number, batch in enumerate(daily):
        occurred = clean.batch("mini_program/events", batch)["occurred_at"]
        began = datetime.combine(END_ON - timedelta(days=len(daily) - 1 - number), time(), SHANGHAI)
        late, total = late + (occurred < began).sum(), total + len(occurred)
    assert 0 < late < 0.1 * total


@pytest.mark.parametrize("contract", contracts().values(), ids=lambda c: c.name)
def test_no_batch_knows_the_future(contract: Contract, clean: Landed):
    column = contract.time or "updated_at"

    for manifest in clean.manifests(contract.name):
        rows = clean.batch(contract.name, manifest["batch_id"])
        assert rows.is_empty() or rows[column].max() < datetime.fromisoformat(manifest["window"]["to"])


def test_a_key_comes_back_only_with_a_larger_version(clean: Landed):
    for contract in contracts().values():
        if contract.time is not None:
            continue
        batches = [clean.batch(contract.name, m["batch_id"]) for m in clean.manifests(contract.name)]
        every = pl.concat([rows.with_columns(_batch=pl.lit(n)) for n, rows in enumerate(batches)])
        steps = every.sort("_batch").with_columns(_step=pl.col("updated_at").diff().over(contract.key))
        assert (steps["_step"].drop_nulls() > timedelta(0)).all(), contract.name


def test_some_patients_were_edited_in_the_last_days(clean: Landed):
    initial, *daily = [m["batch_id"] for m in clean.manifests("saas/patients")]
    known = set(clean.batch("saas/patients", initial)["patient_id"])

    edited = [p for b in daily for p in clean.batch("saas/patients", b)["patient_id"] if p in known]

    assert 0 < len(edited) < 0.03 * CUSTOMERS
