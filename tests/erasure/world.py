"""A small chain whose rows are made from the contracts, so that a column added later is covered by itself."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Connection, insert

from api.storage.database import Database
from api.storage.schema import upgrade
from api.storage.tables.access import patient_account, patient_link
from api.storage.tables.audiences import audience, audience_member
from api.storage.tables.identity import identity_override
from api.storage.tables.outbox import outbox
from pipelines.ingest.contracts import Column, Contract, load_contracts
from pipelines.ingest.manifest import Encoding, FileFormat, Manifest, Window
from pipelines.settings import PipelineSettings
from pipelines.warehouse.landing import describe_file, write_manifest

ZONE = ZoneInfo("Asia/Shanghai")
# Of the text columns these are the platform's or the clinic's, not a person's.
SHARED = {
    "app_id": "wx-app", "corp_id": "corp-1", "clinic_id": "CL1", "used_clinic_id": "CL1", "activity_id": "ACT1",
    "coupon_template_id": "TPL1", "wecom_user_id": "staff-account", "channel_level_1": "线上", "source_level_1": "线上",
}  # fmt: skip
STAFF_ENDINGS = ("staff_id", "doctor_id", "nurse_id", "assistant_id", "consultant_id", "cashier_id", "biller_id")
STAFF = {"customer_service_id"}
# A static segment that the canary is in, and was in before.
SEGMENT = 1
# Ids that several tables share: the same of one person everywhere.
LINKS = {
    "patient_id", "from_patient_id", "to_patient_id", "converted_patient_id", "openid", "external_user_id", "lead_id",
    "visit_id", "appointment_id", "bill_id", "bill_item_id", "payment_id", "examination_id", "coupon_id", "round_id",
    "unionid",
}  # fmt: skip
FORMATS: Sequence[tuple[FileFormat, Encoding | None]] = (
    ("csv", None), ("csv", "gb18030"), ("jsonl", None), ("parquet", None), ("xlsx", None), ("csv", "utf-16"),
)  # fmt: skip


def tells(column: Column) -> bool:
    """Whether the column's text tells a person from all others."""
    return column.type == "text" and (column.identifies or column.pii in {"phone", "id_number"})


def is_refused_of(contract: Contract) -> bool:
    """Whether the chain holds refused rows of this table."""
    return bool(contract.persons) and list(load_contracts().values()).index(contract) % 5 in (0, 2)


class Someone:
    """A person of the world: what every text column of theirs says; `same_as` lends the texts that identify."""

    def __init__(self, tag: str, phone: str, *, referrer: str | None = None, same_as: str | None = None) -> None:
        self.tag, self.phone, self.referrer, self.identity = tag, phone, referrer, same_as or tag

    def text(self, contract: Contract, column: Column) -> str | None:
        name = column.name
        if name in SHARED:
            return SHARED[name]
        if name.endswith(STAFF_ENDINGS) or name in STAFF:
            return "S1"
        if name == "referrer_patient_id":
            return self.referrer
        if column.pii == "phone":
            return self.phone
        if name in LINKS:
            return f"{self.identity}-{'patient' if name.endswith('patient_id') else name}"
        tag = self.identity if tells(column) else self.tag
        return f"{tag}-{contract.source}-{contract.table}-{name}"

    def row(self, contract: Contract, at: datetime) -> dict[str, Any]:
        """A row of theirs with every column filled."""
        return {column.name: self._value(contract, column, at) for column in contract.columns}

    def _value(self, contract: Contract, column: Column, at: datetime) -> Any:
        if column.name in {"is_deleted", "unbound_at", "removed_at", "cancelled_at"}:
            return None
        if column.type == "text":
            return self.text(contract, column)
        if column.type == "options" and not column.allowed:
            return [self.text(contract, column)]
        values = {"option": (column.allowed or ("",))[0], "options": list(column.allowed or ())[:1], "boolean": True}
        moments = {"date": at.date().isoformat(), "datetime": at.isoformat()}
        return (values | moments).get(column.type, 1)


def land(
    settings: PipelineSettings, contract: Contract, batch_id: str, rows: Sequence[dict[str, Any]], *, day: date,
    form: FileFormat = "csv", encoding: Encoding | None = None, broken: str = "",
) -> Path:  # fmt: skip
    """Write a batch of one file; `broken` is one more line of a text file."""
    folder = settings.folders.landing / contract.source / contract.table / batch_id
    folder.mkdir(parents=True)
    file = folder / f"part-1.{form}"
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(list(rows)), file)
    elif form == "xlsx":
        book = openpyxl.Workbook()
        for line in [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]:
            book.active.append(line)
        book.save(file)
    else:
        text = _csv(rows) if form == "csv" else "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows)
        file.write_bytes((text + (f"{broken}\n" if broken else "")).encode(encoding or "utf-8"))
    count = len(rows) + bool(broken)
    entry = describe_file(file, form=form, row_count=count, encoding=encoding)
    start = datetime.combine(day, datetime.min.time(), ZONE)
    window = Window(start, start + timedelta(days=1))
    write_manifest(folder, Manifest(contract.source, contract.table, batch_id, 1, window, count, (entry,)))
    return folder


def chain(settings: PipelineSettings, day: date, persons: Sequence[Someone], *, quarantined: Someone) -> None:
    """Land two batches of every table: everybody's rows, some refused; then newer rows of the first person."""
    at = datetime.combine(day, datetime.min.time(), ZONE) + timedelta(hours=9)
    for place, contract in enumerate(load_contracts().values()):
        if not contract.persons:
            land(settings, contract, "b1", [_of_the_house(contract, at)], day=day)
            continue
        form, encoding = FORMATS[place % len(FORMATS)]
        rows = [person.row(contract, at) for person in persons]
        broken = ""
        if is_refused_of(contract):
            bad = quarantined.row(contract, at) | {contract.columns[-1].name: "不是时间"}
            rows.append(bad)
            if any(tells(column) for column in contract.columns):
                rows.append(bad | dict.fromkeys(contract.subjects[0].columns, "damaged"))
            broken = (
                f'"{persons[0].tag}-patient,{persons[0].tag}-lead_id",{quarantined.tag}-broken' if form == "csv" else ""
            )
        land(settings, contract, "b1", rows, day=day, form=form, encoding=encoding, broken=broken)
        if place % 4 == 1:
            land(settings, contract, "b2", [persons[0].row(contract, at + timedelta(hours=1))], day=day)


def texts_of(person: Someone, contracts: Iterable[Contract]) -> tuple[set[str], set[str]]:
    """Every text of the person in these tables: those that must be gone, and those that restricted raw rows keep."""
    at = datetime(2026, 11, 20, tzinfo=ZONE)
    gone, kept = set(), set()
    for contract in contracts:
        keys = {name for someone in contract.persons for name in someone.columns}
        for column in contract.columns if contract.persons else ():
            values = person.row(contract, at)[column.name]
            texts = {t for t in (values if isinstance(values, list) else [values]) if isinstance(t, str)}
            texts = {text for text in texts if text.startswith((f"{person.tag}-", f"{person.identity}-", person.phone))}
            stays = contract.erasure == "restrict" and not column.is_personal and column.name not in keys
            (kept if stays else gone).update(texts)
    return gone - kept, kept


# Decisions about the canary: by a key, by an account of theirs, by a number that is nobody else's, and a revoked one.
OVERRIDES = (
    ("ov-key", "split", "lead:leads:zoe-lead_id", "patient:saas:canary-patient", None, None),
    ("ov-account", "detach", "official_account_fan:wx-app:zoe-openid", "canary-unionid", "unionid", None),
    ("ov-number", "block", "+8613712340987", "", "phone", None),
    ("ov-revoked", "owner", "+8613712340987", "patient:saas:zoe-patient", "phone", datetime(2026, 11, 20, tzinfo=ZONE)),
    ("ov-other", "split", "lead:leads:zoe-lead_id", "patient:saas:walter-patient", None, None),
)


def open_store(settings: PipelineSettings, one_id: str) -> None:
    """The operational store as the API makes it, holding what it may know of the canary, who is this customer."""
    store = Database(settings)
    upgrade(store)
    at = datetime(2026, 11, 20, tzinfo=ZONE)
    account = {"id": "a1", "app_id": "wx-app", "openid": "canary-openid", "unionid": "canary-unionid"}

    def work(con: Connection) -> None:
        con.execute(insert(patient_account).values(**account, created_at=at, last_login_at=at))
        con.execute(
            insert(patient_link).values(
                id="l1", account_id="a1", patient_id="canary-patient", relation="本人", origin="source", linked_at=at
            )
        )
        for override_id, kind, a, b, value_type, revoked_at in OVERRIDES:
            by = {"revoked_at": revoked_at, "revoked_by": revoked_at and "staff:1", "revoke_reason": revoked_at and "x"}
            con.execute(
                insert(identity_override).values(
                    id=override_id, kind=kind, a=a, b=b, value_type=value_type, reason="test", operator="staff:1",
                    valid_from=at + timedelta(days=1), created_at=at, version=1, **by,
                )
            )  # fmt: skip
        con.execute(
            insert(outbox).values(
                id="o1", kind="review.invitation", delivery="at_most_once", dedupe_key="v1", subject=one_id, attempts=0,
                payload={"name": "canary-saas-patients-name"}, status="waiting", created_at=at,
                due_at=at + timedelta(days=3650),
            )
        )  # fmt: skip

        stamps = {"created_at": at, "created_by": "staff:1", "updated_at": at, "version": 1}
        segment = {"kind": "segment", "is_smart": False, "name": "活动名单", "description": "", "position": 0}
        states = {"is_enabled": True, "is_preset": False, "revision": 1, "updated_by": "staff:1"}
        con.execute(insert(audience).values(id=SEGMENT, **segment, **states, **stamps))
        for removed in (at + timedelta(hours=1), None):
            ended = {"removed_at": removed, "removed_by": removed and "staff:1", "removed_how": removed and "staff"}
            put_in = {"audience_id": SEGMENT, "one_id": one_id, "added_at": at, "added_by": "staff:1"}
            con.execute(insert(audience_member).values(**put_in, added_how="staff", **ended))

    store.write(work)
    store.close()


def _of_the_house(contract: Contract, at: datetime) -> dict[str, Any]:
    ids = {"staff_id": "S1", "staff_name": "员工", "phone": "075526543210"}
    return {n: ids.get(n, v) for n, v in Someone("house", "075526543210").row(contract, at).items()}


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    sink = io.StringIO(newline="")
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(rows[0])
    writer.writerows([_cell(value) for value in row.values()] for row in rows)
    return sink.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        return "|".join(value)
    return str(value).lower() if isinstance(value, bool) else value
