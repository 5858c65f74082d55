"""Rows to plant: good ones of identities of their own, and the same with one thing changed.

Which things are changed is said in `dirt`, in which files they stand in `dirt_files`.
"""

from collections.abc import Mapping
from datetime import timedelta

from pipelines.sample.contracts import contracts
from pipelines.sample.shard import Order
from pipelines.sample.world import World


class DirtRows:
    """Makes rows with ids no good row has, and keeps the truth about those that load."""

    def __init__(self, order: Order, world: World) -> None:
        self.order, self.truth = order, list[dict[str, object]]()
        self._world, self._number = world, 0

    def next_number(self) -> int:
        """A number no planted row has had."""
        self._number += 1
        return self._number

    def moment(self, days_later: int = 0) -> str:
        """The evening of the last day, or of a day so much later, as CSV spells it."""
        return f"{self.order.end_on + timedelta(days=days_later)} 21:30:00"

    def patient(self, name: str, changes: Mapping[str, str]) -> dict[str, str]:
        """A new patient that loads; the truth learns of it."""
        row = self.faulty_patient({"name": name, **changes})
        self._know("patient", f"patient:saas:{row['patient_id']}")
        return row

    def faulty_patient(self, changes: Mapping[str, str]) -> dict[str, str]:
        """A patient row, good but for the changes."""
        number = self.next_number()
        row = dict.fromkeys((column.name for column in contracts()["saas/patients"].columns), "")
        known = {
            "patient_id": f"P{9_900_000_000 + number}",
            "clinic_id": str(self._world.chain.clinic_ids[1]),
            "name": "赵一诺",
            "gender": "女",
            "birth_date": "1990-05-01",
            "is_deleted": "false",
            "created_at": self.moment(),
            "updated_at": self.moment(),
        }
        return row | known | dict(changes)

    def phone(self, number: int, phone: str) -> dict[str, str]:
        """A phone row of the first planted patient."""
        return {
            "patient_phone_id": f"PP{99_000_000_000 + number}",
            "patient_id": f"P{9_900_000_001}",
            "phone": phone,
            "relation": "其他",
            "is_primary": "否",
            "is_deleted": "0",
            "updated_at": self.moment(),
        }

    def bill_item(self, changes: Mapping[str, str]) -> dict[str, str]:
        """A bill item, good but for the changes."""
        row = {
            "bill_item_id": f"BI{9_900_000_000 + self.next_number()}",
            "bill_id": "BL1000000000",
            "patient_id": f"P{9_900_000_001}",
            "item_code": "X1005",
            "item_name": "超声洁治",
            "item_category": "牙周",
            "tooth_positions": '["16", "26"]',
            "quantity": "1",
            "unit_price": "198.00",
            "receivable_amount": "198.00",
            "paid_amount": "198.00",
            "doctor_id": "",
            "billed_at": self.moment(),
            "is_deleted": "否",
            "updated_at": self.moment(),
        }
        return row | dict(changes)

    def lead(self, name: str, changes: Mapping[str, str]) -> dict[str, str]:
        """A lead, good but for the changes; the truth learns of the good ones."""
        row = dict.fromkeys((column.name for column in contracts()["leads/leads"].columns), "")
        known = {
            "lead_id": f"LD{9_900_000_000 + self.next_number()}",
            "name": name,
            "gender": "未知",
            "channel_level_1": "市场活动",
            "status": "待分配",
            "is_deleted": "否",
            "created_at": self.moment(),
            "updated_at": self.moment(),
        }
        if not changes:
            self._know("lead", f"lead:leads:{known['lead_id']}")
        return row | known | dict(changes)

    def account(self, number: int, changes: Mapping[str, str]) -> dict[str, str]:
        """A stored-value account of the first planted patient, all values as text."""
        row = {
            "account_id": f"SV{9_900_000_000 + number}",
            "patient_id": f"P{9_900_000_001}",
            "card_name": "悦享储值卡",
            "principal_amount": "100000",
            "bonus_amount": "10000",
            "status": "正常",
            "opened_at": self.moment(),
            "is_deleted": "否",
            "updated_at": self.moment(),
        }
        return row | dict(changes)

    def _know(self, kind: str, key: str) -> None:
        person = self.order.customers + len(self.truth)
        guardian = {"is_guardian_contact": False}
        self.truth.append({"key": key, "kind": kind, "person_id": person, "household_id": person, **guardian})
