"""Where each value of a customer's profile is from (属性来源): the record of which source gave it, and when."""

from datetime import date, datetime
from typing import Any

import duckdb
from pydantic import BaseModel, Field

from api.access.masking import masked
from api.access.permissions import Permission
from api.customers.repository import one_customer
from api.customers.schemas import Channel
from api.customers.service import NO_CUSTOMER, permissions_on
from api.customers.sight import Sight
from api.errors import NotFoundError, NotReadyError
from segment_engine.problems import Problem
from segment_engine.runtime.published import PublishedReader

NOT_PUBLISHED = Problem(
    "origins_not_published",
    "",
    "当前数据版本还没有属性来源,请在下一次发布后再试",
    "The published version does not tell origins yet; they come with the next one.",
)
# The three levels travel together.
LEVELS = ("source_level_1", "source_level_2", "source_level_3")
# Of colleagues people know the names.
STAFF = ("online_consultant_id", "consultant_id", "responsible_doctor_id", "customer_service_id")
# A source's own number leads to the person there, as a phone does.
KEY_PERMISSION = Permission.CUSTOMER_PHONE_VIEW


class Origin(BaseModel):
    """One attribute: its value, and the record it survived from."""

    attribute: str = Field(description="Attribute; `source_levels` is the three levels of 来源 / 属性")
    value: str | None = Field(description="Masked by role; null where no part of it may be shown / 值(按角色脱敏)")
    source: Channel = Field(description="Kind of the record / 来源类型")
    identity_key: str | None = Field(
        description="Record; only with `customer.phone.view` / 来源记录(需查看完整手机号权限)"
    )
    known_at: datetime = Field(description="When the source last said so / 来源最近给出的时间")


class Origins(BaseModel):
    """The values of one customer that have an origin, by attribute."""

    version: str = Field(description="Published version they were read from / 数据版本")
    as_of: date
    one_id: str = Field(description="The customer's id now / 客户现在的编号")
    origins: list[Origin]


def customer_origins(reader: PublishedReader, sight: Sight, one_id: str) -> Origins:
    """The origins of one customer; raises NotFoundError for one that the caller does not see."""
    granted = sight.granted()
    with reader.cursor() as (cursor, pointer):
        row = one_customer(cursor, sight.conditions(), granted, one_id=one_id)
        if row is None:
            raise NotFoundError(NO_CUSTOMER)
        found = _origins_of(cursor, row["customer_key"])
    permissions = permissions_on(row, granted)
    shown = masked(row, permissions)
    return Origins(
        version=pointer.version,
        as_of=pointer.as_of,
        one_id=row["one_id"],
        origins=[
            Origin(
                attribute=attribute,
                value=_value(shown, attribute),
                source=source,
                identity_key=key if KEY_PERMISSION in permissions else None,
                known_at=known_at,
            )
            for attribute, source, key, known_at in found
        ],
    )


def _origins_of(cursor: duckdb.DuckDBPyConnection, customer_key: int) -> list[tuple[str, str, str, datetime]]:
    statement = """
        select attribute, source, identity_key, known_at
        from marts.customer_attribute_origin
        where customer_key = $customer_key
        order by attribute
    """
    try:
        return cursor.execute(statement, {"customer_key": customer_key}).fetchall()
    except duckdb.CatalogException:  # a version of an earlier release, until the first night of this one
        raise NotReadyError(NOT_PUBLISHED) from None


def _value(shown: dict[str, Any], attribute: str) -> str | None:
    """The value as the customer's own answer shows it; a colleague by name."""
    if attribute == "source_levels":
        return "/".join(shown[level] for level in LEVELS if shown[level])
    value = shown.get(f"{attribute.removesuffix('_id')}_name" if attribute in STAFF else attribute)
    return None if value is None else str(value)
