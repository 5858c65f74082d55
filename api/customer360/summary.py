"""Who a customer is (客户基础信息): attributes, channels, whose WeCom contact they are, what they came as."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import duckdb

from api.access.masking import masked
from api.customer360.leads import lead_rows, shown_lead
from api.customer360.names import Names, names_of
from api.customer360.person import Person, find_person
from api.customer360.schemas import ChannelIdentity, ChannelUse, Summary, WecomFriend
from api.customers.rows import Row, rows_where
from api.customers.schemas import Channel, Customer
from api.customers.sight import Sight
from segment_engine.runtime.published import PublishedReader

OF_CUSTOMER = "customer_key = $customer_key"
PROFILE = (
    "avatar_url", "age", "member_level", "patient_remark", "is_subscribed", "visit_count", "appointment_count",
    "no_show_count", "next_appointment_at", "bill_count", "paid_fen", "last_active_at",
)  # fmt: skip
IDENTITY = ("kind", "scope", "first_seen_at", "is_present")
WECOM = ("corp_id", "external_user_id", "wecom_user_id", "event", "add_way", "removed_by", "occurred_at")
LABELS = {
    Channel.PATIENT: ("患者档案", "Patient file"),
    Channel.OFFICIAL_ACCOUNT_FAN: ("服务号粉丝", "Official-account fan"),
    Channel.WECOM_CONTACT: ("企微外部联系人", "WeCom contact"),
    Channel.MINI_PROGRAM_USER: ("小程序用户", "Mini-program user"),
    Channel.LEAD: ("线索", "Lead"),
}


def customer_summary(reader: PublishedReader, sight: Sight, one_id: str) -> Summary:
    """Who the customer is; raises NotFoundError."""
    with reader.cursor() as (cursor, pointer):
        person = find_person(cursor, sight, one_id)
        values = {"customer_key": person.key}
        (profile,) = rows_where(cursor, "dim_customer", PROFILE, OF_CUSTOMER, values)
        identities = rows_where(cursor, "dim_identity", IDENTITY, OF_CUSTOMER, values)
        wecom = rows_where(cursor, "fct_wecom_event", WECOM, OF_CUSTOMER, values)
        leads = lead_rows(cursor, person)
        names = _names(cursor, person, wecom, leads)
    return Summary(
        version=pointer.version,
        as_of=pointer.as_of,
        one_id=person.one_id,
        customer=Customer.model_validate(masked(person.row, person.granted)),
        **_profile(profile, person),
        channels=_channels(identities),
        wecom_friends=_friends(wecom, names),
        leads=[shown_lead(lead, person, names) for lead in leads],
    )


def _profile(row: Row, person: Person) -> dict[str, Any]:
    """A picture tells who somebody is as their name does, and a remark may hold anything."""
    told = dict(row)
    return told | {
        "net_paid_fen": told.pop("paid_fen"),
        "avatar_url": row["avatar_url"] if person.sees_names else None,
        "patient_remark": row["patient_remark"] if person.sees_free_text else None,
    }


def _channels(rows: Iterable[Row]) -> list[ChannelUse]:
    known: dict[str, list[ChannelIdentity]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (row["first_seen_at"] is None, row["first_seen_at"], row["scope"])):
        told = {name: row[name] for name in ("scope", "first_seen_at", "is_present")}
        known[row["kind"]].append(ChannelIdentity(**told))
    return [
        ChannelUse(
            channel=channel, label_zh=zh, label_en=en, is_known=bool(known[channel]), identities=known[channel]
        )
        for channel, (zh, en) in LABELS.items()
    ]  # fmt: skip


def _friends(events: Iterable[Row], names: Names) -> list[WecomFriend]:
    of_pair: dict[tuple[Any, ...], dict[str, Row]] = defaultdict(dict)
    for row in sorted(events, key=lambda row: row["occurred_at"]):
        of_pair[row["corp_id"], row["external_user_id"], row["wecom_user_id"]][row["event"]] = row
    friends = [_friend(account, pair, names) for (_, _, account), pair in of_pair.items()]
    return sorted(friends, key=lambda one: (one.is_current, one.added_at is not None, one.added_at), reverse=True)


def _friend(account: str, pair: dict[str, Row], names: Names) -> WecomFriend:
    added, removed = pair.get("添加"), pair.get("删除")
    is_current = added is not None and (removed is None or removed["occurred_at"] < added["occurred_at"])
    return WecomFriend(
        staff_name=names.wecom_employee(account),
        add_way=None if added is None else added["add_way"],
        added_at=None if added is None else added["occurred_at"],
        removed_at=None if removed is None else removed["occurred_at"],
        removed_by=None if removed is None else removed["removed_by"],
        is_current=is_current,
    )


def _names(cursor: duckdb.DuckDBPyConnection, person: Person, wecom: Sequence[Row], leads: Sequence[Row]) -> Names:
    accounts = {row["wecom_user_id"] for row in wecom}
    return names_of(cursor, person, clinics={lead["clinic_id"] for lead in leads}, wecom=accounts)
