"""What an export of customers holds: whom, which columns, and what the audit log says of it.

`export_query` and `audited` are all that the route and the job know of it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal

import duckdb
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from api.access.masking import HIDDEN, MASKS, permissions_for
from api.access.permissions import Permission
from api.customers.asking import Asker
from api.customers.repository import FLAGS
from api.customers.schemas import Channel, CustomerSelection
from api.customers.selection import selected
from api.errors import InvalidError
from api.exports.sheet import Column, Kind
from api.filters.evaluator import Session
from api.shapes import Choice
from api.storage.types import canonical_json
from segment_engine.problems import Problem

MAX_ROWS = 100_000
TOO_LARGE = Problem(
    "export_too_large",
    "/filter",
    f"导出行数超过 {MAX_ROWS} 行,请缩小筛选范围",
    f"More than {MAX_ROWS} rows; narrow the filter.",
)

# Column of the masked view → heading, kind.
HEADINGS: dict[str, tuple[str, Kind]] = {
    "one_id": ("客户编号", "text"),
    "nickname": ("昵称", "text"),
    "name": ("姓名", "text"),
    "phone": ("手机号码", "text"),
    "gender": ("性别", "text"),
    "birth_date": ("生日", "day"),
    "id_number": ("证件号码", "text"),
    "city": ("城市", "text"),
    "clinic_id": ("所属机构编号", "text"),
    "clinic_name": ("所属机构", "text"),
    "medical_record_no": ("病历号", "text"),
    "patient_type": ("患者类型", "text"),
    "source_level_1": ("来源一级", "text"),
    "source_level_2": ("来源二级", "text"),
    "source_level_3": ("来源三级", "text"),
    "first_visit_at": ("初诊时间", "moment"),
    "last_visit_at": ("上次就诊时间", "moment"),
    "online_consultant_name": ("网电咨询师", "text"),
    "consultant_name": ("咨询师", "text"),
    "last_visit_doctor_name": ("上次就诊医生", "text"),
    "responsible_doctor_name": ("责任医生", "text"),
    "customer_service_name": ("专属客服", "text"),
    "patient_remark": ("患者备注", "text"),
    "channels": ("客户身份", "text"),
    "created_at": ("创建时间", "moment"),
}
# mypy cannot read members off a table.
ExportColumn = StrEnum("ExportColumn", {name.upper(): name for name in HEADINGS})  # type: ignore[misc]

CHANNEL_NAMES = {
    Channel.PATIENT: "患者",
    Channel.OFFICIAL_ACCOUNT_FAN: "服务号粉丝",
    Channel.WECOM_CONTACT: "企微好友",
    Channel.MINI_PROGRAM_USER: "小程序用户",
    Channel.LEAD: "线索",
}


def _each_once(columns: list[Any]) -> list[Any]:
    if len(set(columns)) < len(columns):
        raise PydanticCustomError("repeated_item", "A column may be named only once")
    return columns


class ExportRequest(CustomerSelection):
    """What is to be exported, and how; nothing said of whom is everybody whom the caller sees."""

    kind: Literal["customers"]
    format: Literal["xlsx", "csv"]
    columns: Annotated[
        Annotated[list[Choice[ExportColumn]], Field(min_length=1), AfterValidator(_each_once)] | None,
        Field(description="In this order; all of them without / 导出列"),
    ] = None


@dataclass(frozen=True, slots=True)
class ExportQuery:
    """Rows for `api.exports`: SQL over one published version, its values, the columns in order."""

    sql: str
    values: Mapping[str, Any]
    columns: tuple[Column, ...]


def export_query(session: Session, asker: Asker, request: ExportRequest) -> ExportQuery:
    """The customers that the actor may export now, newest first, masked as in the list.

    Raises NotPermittedError for a filter on a field that the actor sees masked, InvalidError for a senseless one.
    """
    conditions, granted = selected(session, asker, request).conditions, asker.sight.granted()
    values = dict(conditions.values)
    for one in granted:
        values |= one.values
    flags = "".join(f", {one.predicate} as {one.column}" for one in granted)
    flag_of = {one.permission: one.column for one in granted}
    names = [column.value for column in request.columns or ExportColumn]
    sql = f"""
        with
        seen as (select *{flags} from marts.dim_customer where {conditions.text})
        select {", ".join(_expression(name, flag_of) for name in names)}
        from seen
        join analyst.dim_customer as masked using (customer_key)
        order by seen.created_at desc, customer_key desc
        """
    return ExportQuery(sql, values, tuple(Column(name, *HEADINGS[name]) for name in names))


def _expression(name: str, flag_of: Mapping[Permission, str]) -> str:
    """A column as the caller sees it: a personal field is masked, or left out, where a permission does not reach."""
    if name == "channels":
        return _CHANNELS
    permissions = permissions_for(name)
    if not permissions:
        return f"seen.{name}"
    shown = " and ".join(flag_of[permission] for permission in sorted(permissions))
    otherwise = "null" if name in HIDDEN else f"masked.{name}"
    return f"case when {shown} then seen.{name} else {otherwise} end as {name}"


def row_count(cursor: duckdb.DuckDBPyConnection, query: ExportQuery) -> int:
    """How many rows the query has; raises InvalidError for more than MAX_ROWS."""
    (rows,) = cursor.execute(f"select count(*) from ({query.sql})", query.values).fetchall()[0]
    if rows > MAX_ROWS:
        raise InvalidError(TOO_LARGE)
    return int(rows)


def audited(request: ExportRequest) -> dict[str, Any]:
    """What the audit log says of the request; what was looked for in personal fields is masked.

    Of an advanced filter it keeps a digest: whoever has the filter can tell that it was this one.
    """
    told = request.model_dump(mode="json", exclude_none=True, exclude={"advanced"})
    told["filter"] = {name: MASKS[name][1](value) if name in MASKS else value for name, value in told["filter"].items()}
    if request.advanced is not None:
        told["advanced_sha256"] = hashlib.sha256(canonical_json(request.advanced).encode()).hexdigest()
    return {name: value for name, value in told.items() if value != [] or name == "filter"}


_CHANNELS = "concat_ws('、', {}) as channels".format(
    ", ".join(f"case when seen.{FLAGS[channel]} then '{name}' end" for channel, name in CHANNEL_NAMES.items())
)
