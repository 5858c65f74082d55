"""Customers from a table that somebody sends: by their ids, medical record numbers or phones.

Phones lead only to customers whose own phone the caller sees: else a table would tell whose they are. A value that
means several customers leads to none of them. Reading the table belongs to `api.uploads`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from api.access.actors import Actor
from api.access.erased import erased_customers
from api.access.permissions import Permission
from api.audiences.static_people import in_reach
from api.customers.phones import MAINLAND, phone_forms, plain_phone_sql
from api.customers.repository import Conditions
from api.jobs.context import Services
from api.uploads.columns import MAX_VALUE, Column

# The first of them that a table has is used; its headings are those of our own exports, and usual others.
HEADINGS: Mapping[str, Sequence[str]] = {
    "one_id": ("客户编号", "one_id"),
    "medical_record_no": ("病历号", "medical_record_no"),
    "phone": ("手机号码", "手机号", "电话", "phone"),
}
MAX_LISTED = 1_000
PATH = "/body"

REASONS: Mapping[str, tuple[str, str]] = {
    "unknown": ("没有对应的客户,或不在您的数据权限内", "There is no such customer, or none that you see."),
    "ambiguous": ("对应多位客户", "It means several customers."),
    "not_a_phone": ("不是有效的电话号码", "This is no phone number."),
    "too_long": (f"超过 {MAX_VALUE} 个字符", f"Longer than {MAX_VALUE} characters."),
}
_MOBILE = re.compile(r"1[3-9][0-9]{9}")


@dataclass(frozen=True, slots=True)
class Matched:
    """The customers of a table, each once, and the lines that lead to none, with the code of the reason."""

    column: str
    rows: int
    one_ids: tuple[str, ...]
    unmatched: tuple[tuple[int, str], ...]

    @property
    def told(self) -> dict[str, Any]:
        """What is told of the file: never what stood in it."""
        listed = [
            {"line": line, "code": code, "message_zh": REASONS[code][0], "message_en": REASONS[code][1]}
            for line, code in self.unmatched[:MAX_LISTED]
        ]
        return {
            "column": self.column,
            "rows": self.rows,
            "matched": len(self.one_ids),
            "unmatched_count": len(self.unmatched),
            "unmatched": listed,
        }


def matched(services: Services, actor: Actor, permission: Permission, column: Column) -> Matched:
    """Whom the values mean among the customers in reach; raises NotPermittedError for phones that are seen masked."""
    with services.database.read() as connection:
        erased = erased_customers(connection)
    showing = [Permission.CUSTOMER_PHONE_VIEW] if column.name == "phone" else []
    conditions = in_reach(actor, erased, permission, showing=showing, path=PATH)
    forms, refused = _forms(column)
    with services.reader.cursor() as (cursor, _):
        found = _found(cursor, conditions, column.name, forms)
    codes = dict(refused) | {
        line: "unknown" if line not in found else "ambiguous"
        for line, _ in column.values
        if line not in refused and len(found.get(line, ())) != 1
    }
    one_ids = dict.fromkeys(people[0] for people in found.values() if len(people) == 1)
    return Matched(column.name, len(column.values), tuple(one_ids), tuple(sorted(codes.items())))


def _forms(column: Column) -> tuple[list[tuple[int, str]], dict[int, str]]:
    """(line, how the published data may spell the value), and why other lines can have none."""
    forms: list[tuple[int, str]] = []
    refused: dict[int, str] = {}
    for line, value in column.values:
        spelt = _spelt(column.name, value)
        if isinstance(spelt, str):
            refused[line] = spelt
        else:
            forms += ((line, one) for one in spelt)
    return forms, refused


def _spelt(column: str, value: str) -> list[str] | str:
    """The spellings of a value, or the code of why it has none."""
    if len(value) > MAX_VALUE:
        return "too_long"
    if column != "phone":
        return [value]
    # Most lines are this: reading a number for what it may be takes a hundred times as long.
    if _MOBILE.fullmatch(value):
        return [f"{MAINLAND}{value}", value]
    forms = None if "*" in value else phone_forms(value)  # a masked one reads like a short number
    return "not_a_phone" if forms is None else forms


def _found(
    cursor: duckdb.DuckDBPyConnection, conditions: Conditions, column: str, forms: list[tuple[int, str]]
) -> dict[int, list[str]]:
    """Line → the customers whom it means, sorted; lines that mean nobody are left out."""
    value = "coalesce(alias.one_id, told.form)" if column == "one_id" else "told.form"
    published = plain_phone_sql(column) if column == "phone" else column
    query = f"""
        with
        told as (select unnest($lines::bigint[]) as line, unnest($forms::varchar[]) as form),
        seen as (select one_id, {published} as value from marts.dim_customer where {conditions.text})
        select told.line, list(distinct seen.one_id order by seen.one_id)
        from told
        left join marts.one_id_alias as alias on told.form = alias.old_one_id
        join seen on seen.value = {value}
        group by told.line
    """
    lines, spelt = [line for line, _ in forms], [form for _, form in forms]
    return dict(cursor.execute(query, {**conditions.values, "lines": lines, "forms": spelt}).fetchall())
