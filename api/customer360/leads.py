"""The leads of a customer: what their channels told, and what became of them (线索资料, 线索跟进)."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import duckdb

from api.access.masking import masked
from api.customer360.kinds import ALL
from api.customer360.names import Names, names_of
from api.customer360.person import Person, find_person
from api.customer360.schemas import Lead, LeadFollowUp, LeadStep, LeadTrack, LeadTracks
from api.customers.rows import Row, rows_where
from api.customers.sight import Sight
from api.identity.names import shown_id
from segment_engine.runtime.published import PublishedReader

LEAD_COLUMNS = (
    "lead_id", "name", "phone", "gender", "clinic_id", "channel_level_1", "channel_level_2", "channel_level_3",
    "intention_item", "status", "owner_staff_name", "is_converted", "converted_at", "created_at",
)  # fmt: skip
EVENT_COLUMNS = (
    "lead_event_id", "lead_id", "event_source", "event", "staff_id", "from_staff_id", "channel", "result", "content",
    "occurred_at",
)  # fmt: skip
OF_CUSTOMER = "customer_key = $customer_key"
# The source's word for a step → its labels, which are those of the timeline.
STEPS = {
    "创建": "lead_created", "分配": "lead_assigned", "领取": "lead_claimed", "回收": "lead_recalled",
    "转化": "lead_converted",
}  # fmt: skip
_LABELS = {kind.name: (kind.label_zh, kind.label_en) for kind in ALL}


def customer_leads(reader: PublishedReader, sight: Sight, one_id: str) -> LeadTracks:
    """Every lead of the customer with its track; raises NotFoundError."""
    with reader.cursor() as (cursor, pointer):
        person = find_person(cursor, sight, one_id)
        leads = lead_rows(cursor, person)
        events = _events(cursor, person) if leads else []
        staff = {row[column] for row in events for column in ("staff_id", "from_staff_id")}
        names = names_of(cursor, person, clinics={lead["clinic_id"] for lead in leads}, staff=staff)
    of_lead: dict[str, list[Row]] = defaultdict(list)
    for event in events:
        of_lead[event["lead_id"]].append(event)
    return LeadTracks(
        version=pointer.version,
        as_of=pointer.as_of,
        one_id=person.one_id,
        leads=[_track(lead, of_lead[lead["lead_id"]], person, names) for lead in leads],
    )


def lead_rows(cursor: duckdb.DuckDBPyConnection, person: Person) -> list[Row]:
    """The customer's leads as they are stored, the newest first."""
    rows = rows_where(cursor, "fct_lead", LEAD_COLUMNS, OF_CUSTOMER, {"customer_key": person.key})
    return sorted(rows, key=lambda row: (row["created_at"], row["lead_id"]), reverse=True)


def shown_lead(row: Row, person: Person, names: Names) -> Lead:
    """A lead as the caller may see it; a channel may have numbered it by its phone."""
    shown = masked(row, person.granted) | {
        "lead_id": shown_id(row["lead_id"], sees_phones=person.sees_phones),
        "owner_staff_name": person.shown_name(row["owner_staff_name"]),
        "clinic_name": names.clinic(row["clinic_id"]),
    }
    return Lead.model_validate(shown)


def _events(cursor: duckdb.DuckDBPyConnection, person: Person) -> list[Row]:
    rows = rows_where(cursor, "fct_lead_event", EVENT_COLUMNS, OF_CUSTOMER, {"customer_key": person.key})
    return sorted(rows, key=lambda row: (row["occurred_at"], row["lead_event_id"]), reverse=True)


def _track(lead: Row, events: Sequence[Row], person: Person, names: Names) -> LeadTrack:
    return LeadTrack(
        lead=shown_lead(lead, person, names),
        track=[_step(row, names) for row in _from(events, "track")],
        follow_ups=[_follow_up(row, person, names) for row in _from(events, "follow_up")],
    )


def _from(events: Iterable[Row], source: str) -> list[Row]:
    return [row for row in events if row["event_source"] == source]


def _step(row: Row, names: Names) -> LeadStep:
    label_zh, label_en = _LABELS[STEPS[row["event"]]]
    return LeadStep(
        at=row["occurred_at"],
        event=row["event"],
        label_zh=label_zh,
        label_en=label_en,
        staff_name=names.employee(row["staff_id"]),
        from_staff_name=names.employee(row["from_staff_id"]),
    )


def _follow_up(row: Row, person: Person, names: Names) -> LeadFollowUp:
    return LeadFollowUp(
        at=row["occurred_at"],
        staff_name=names.employee(row["staff_id"]),
        channel=row["channel"],
        result=row["result"],
        content=row["content"] if person.sees_free_text else None,
    )
