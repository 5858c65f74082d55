"""What real exports get wrong, planted in batches of its own so that every good row stays as it is.

Each fault has one place and one expected reason; `dirt.json` lists them. How files are put together is in `dirt_files`;
what is done about the faults is ingest's business.
"""

from collections.abc import Mapping
from typing import Any

from pipelines.sample.accounts import MINI_APP
from pipelines.sample.dirt_files import Dirt
from pipelines.sample.shard import Order
from pipelines.sample.world import World

_FAR_PAST, _LATE, _FAR_FUTURE = 90, 30, 400  # days; the contracts accept events that are up to 60 days late


def write_dirt(order: Order, world: World) -> None:
    """Plant every fault once, in batches of the last day; write `dirt.json` and the truth of the rows that load."""
    dirt = Dirt(order, world)
    _patients(dirt)
    _patient_phones(dirt)
    _bill_items(dirt)
    _mini_events(dirt)
    _leads_in_gb18030(dirt)
    _stored_value_in_a_workbook(dirt)
    _repeated_rows(dirt)
    _refused_batches(dirt)
    dirt.write()


def _patients(dirt: Dirt) -> None:
    """A CSV of odd but good rows; a CSV with one faulty row per fault and an unclosed quote on the last line."""
    good = dirt.patient("孙晓梅", {})
    odd = [
        dirt.patient("=王丽", {"remark": "名字像公式"}),
        dirt.patient("陈🦷心怡", {"remark": '怕疼😖,说:"轻一点",\n第二行备注'}),
        dirt.patient("  欧阳　若汐 ", {"city": "深圳市 "}),
    ]
    file = dirt.csv("saas/patients", "odd")
    for row in (good, *odd):
        file.good(row, what="formula-like names, emoji, quotes, line breaks and full-width spaces are ordinary text")
    file.seal()
    file = dirt.csv("saas/patients", "faulty")
    faults: list[tuple[Mapping[str, str], str, str]] = [
        ({"name": ""}, "name", "missing_required"),
        ({"clinic_id": ""}, "clinic_id", "missing_required"),
        ({"gender": "男性"}, "gender", "not_in_allowed"),
        ({"patient_type": "未知类型"}, "patient_type", "not_in_allowed"),
        ({"birth_date": "1990-13-45"}, "birth_date", "bad_date"),
        ({"birth_date": "生日不详"}, "birth_date", "bad_date"),
        ({"birth_date": "1822-05-01"}, "birth_date", "out_of_range"),
        ({"created_at": "2026-02-30 10:00:00"}, "created_at", "bad_datetime"),
        ({"updated_at": "昨天下午"}, "updated_at", "bad_datetime"),
        ({"is_deleted": "也许"}, "is_deleted", "bad_boolean"),
        ({"updated_at": dirt.moment(_FAR_FUTURE)}, "updated_at", "from_the_future"),
    ]
    for changes, column, reason in faults:
        file.bad(dirt.faulty_patient(changes), column, reason)
    cells = list(dirt.faulty_patient({}).values())
    file.broken(",".join(cells[:9]), "malformed_row")
    file.broken(",".join([*cells, "多", "出", "来"]), "malformed_row")
    file.broken(",".join([*cells[:3], '"没有关上的引号', *cells[4:]]), "malformed_row")
    file.seal()


def _patient_phones(dirt: Dirt) -> None:
    """Full-width digits, spaces and a country code in phones load; an unknown relation does not."""
    file = dirt.csv("saas/patient_phones", "faulty")
    phones = ("１３８２５５５０１９８", " 138 2555 0199 ", "+86 138-2555-0200", "0755-8655 0011")
    for number, phone in enumerate(phones):
        row = dirt.phone(number, phone)
        file.good(row, what="full-width digits, spaces, hyphens and a country code in phones")
    file.bad({**dirt.phone(8, "13825550208"), "relation": "邻居"}, "relation", "not_in_allowed")
    file.bad({**dirt.phone(9, ""), "relation": "本人"}, "phone", "missing_required")
    file.seal()


def _bill_items(dirt: Dirt) -> None:
    """Amounts and counts that are no money and no counts."""
    file = dirt.csv("saas/bill_items", "faulty")
    faults: list[tuple[Mapping[str, str], str, str]] = [
        ({"unit_price": "198.005"}, "unit_price", "too_many_decimals"),
        ({"receivable_amount": "一百九十八元"}, "receivable_amount", "not_a_number"),
        ({"quantity": "1.5"}, "quantity", "not_an_integer"),
        ({"quantity": "两颗"}, "quantity", "not_an_integer"),
        ({"quantity": "0"}, "quantity", "out_of_range"),
        ({"unit_price": "-5.00"}, "unit_price", "out_of_range"),
        ({"billed_at": "20261140"}, "billed_at", "bad_datetime"),
    ]
    for changes, column, reason in faults:
        file.bad(dirt.bill_item(changes), column, reason)
    file.seal()


def _mini_events(dirt: Dirt) -> None:
    """JSON lines: late but in time, too late, from the future, a line cut off, and numbers that are none."""
    file = dirt.jsonl("mini_program/events", "faulty")
    openid = dirt.known_openid()

    def event(changes: Mapping[str, Any], *, days_ago: int = 0) -> dict[str, Any]:
        number = dirt.next_number()
        base = {
            "event_id": f"ME{9_800_000_000 + number}",
            "app_id": MINI_APP,
            "openid": openid,
            "event": "浏览首页",
            "page": "pages/index/index",
            "channel": "扫码",
            "duration_seconds": 12,
            "occurred_at": dirt.moment(-days_ago).replace(" ", "T"),
        }
        return base | dict(changes)

    file.good(event({}, days_ago=_LATE), what="an event that comes thirty days late is accepted")
    file.bad(event({}, days_ago=_FAR_PAST), "occurred_at", "too_late")
    file.bad(event({}, days_ago=-_FAR_FUTURE), "occurred_at", "from_the_future")
    file.broken('{"event_id": "ME9899999999", "app_id": "wx51e8', "malformed_row")
    file.bad(event({"duration_seconds": 12.5}), "duration_seconds", "not_an_integer")
    file.bad(event({"amount": -100}), "amount", "out_of_range")
    file.bad(event({"event": "摇一摇"}), "event", "not_in_allowed")
    file.bad(event({"openid": None}), "openid", "missing_required")
    file.bad(event({"amount": "很多"}), "amount", "not_a_number")
    file.seal()


def _leads_in_gb18030(dirt: Dirt) -> None:
    """A CSV as Excel saves it in China, with a row whose status nobody knows."""
    file = dirt.csv("leads/leads", "excel", encoding="gb18030")
    for name in ("龔小姐", "陈先生", "王丽"):
        file.good(dirt.lead(name, {}), what="a CSV in GB18030")
    file.bad(dirt.lead("李四", {"status": "已流失"}), "status", "not_in_allowed")
    file.seal()


def _stored_value_in_a_workbook(dirt: Dirt) -> None:
    """An XLSX in which numbers are stored as text, and one number is none."""
    file = dirt.xlsx("saas/stored_value_accounts", "workbook")
    for number in range(2):
        file.good(dirt.account(number, {}), what="an XLSX with numbers stored as text")
    file.bad(dirt.account(2, {"principal_amount": "约五百"}), "principal_amount", "not_a_number")
    file.seal()


def _repeated_rows(dirt: Dirt) -> None:
    """Rows that were there before: in a BOM file, twice in one file, and with a column nobody knows."""
    file = dirt.copy("saas/follow_ups", "bom", rows=5, encoding="utf-8-sig")
    file.seal(what="rows of an earlier batch again, in UTF-8 with a byte order mark")
    file = dirt.copy("saas/appointments", "twice", rows=5, times=2)
    file.seal(what="rows of an earlier batch again, each twice in one file")
    file = dirt.copy("saas/visits", "extra-column", rows=5, extra={"queue_no": "A12"})
    file.seal(what="an unknown column is reported and left out")


def _refused_batches(dirt: Dirt) -> None:
    """Batches that must not load at all, and a folder that is no batch yet."""
    dirt.copy("saas/medical_records", "truncated", rows=6).refuse("row_count_mismatch", claimed_rows=10)
    dirt.copy("saas/patient_phones", "checksum", rows=6).refuse("checksum_mismatch", wrong_checksum=True)
    dirt.copy("saas/payments", "missing-column", rows=6, without="amount").refuse("missing_column")
    dirt.copy("saas/bills", "unsealed", rows=6).leave_unsealed()
    dirt.copy("saas/patients", "unknown-table", rows=6, landed_as="saas/loyalty_cards").refuse("unknown_table")
