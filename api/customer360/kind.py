"""The words that `api.customer360.kinds` is written in: a kind of activity, whose it is, and what is told of it. Pure.

Tables, columns and expressions stand in code only; nothing a caller sends becomes one.
"""

from dataclasses import dataclass
from enum import StrEnum


class Side(StrEnum):
    """Whose action it is (客户主动行为, 员工跟进); of neither when a rule of the platform or the calendar did it."""

    CUSTOMER = "customer"
    STAFF = "staff"
    NEITHER = "neither"


class FactType(StrEnum):
    """How a fact's value is to be read; money is integer fen."""

    TEXT = "text"
    TEXTS = "texts"
    INTEGER = "integer"
    DECIMAL = "decimal"
    MONEY = "money"
    TRUTH = "truth"
    DAY = "day"
    MOMENT = "moment"


@dataclass(frozen=True, slots=True)
class FactColumn:
    """One thing told of an activity: its column, labels, type; free text needs the permissions of its class."""

    column: str
    label_zh: str
    label_en: str
    type: FactType = FactType.TEXT
    is_free_text: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of activity: the rows of a mart that `when` keeps, each at its `moment`.

    `title` and the columns of `key`, which tell rows of the kind apart, are columns; `clinic` and `staff` hold ids,
    `staff` a WeCom account where `is_wecom_staff`. `customer` is the column of whose activity it is. `is_personal_key`:
    the key is somebody's id in a channel.
    """

    name: str
    label_zh: str
    label_en: str
    side: Side
    table: str
    moment: str
    key: tuple[str, ...]
    when: str = "true"
    title: str | None = None
    clinic: str | None = None
    staff: str | None = None
    is_wecom_staff: bool = False
    customer: str = "customer_key"
    is_personal_key: bool = False
    facts: tuple[FactColumn, ...] = ()


def text(column: str, label_zh: str, label_en: str) -> FactColumn:
    """A short text out of a list, a name of a thing."""
    return FactColumn(column, label_zh, label_en)


def texts(column: str, label_zh: str, label_en: str) -> FactColumn:
    """Several short texts."""
    return FactColumn(column, label_zh, label_en, FactType.TEXTS)


def words(column: str, label_zh: str, label_en: str) -> FactColumn:
    """What somebody wrote: it may hold names, phones, anything."""
    return FactColumn(column, label_zh, label_en, is_free_text=True)


def integer(column: str, label_zh: str, label_en: str) -> FactColumn:
    """A count."""
    return FactColumn(column, label_zh, label_en, FactType.INTEGER)


def decimal(column: str, label_zh: str, label_en: str) -> FactColumn:
    """A number with a fraction."""
    return FactColumn(column, label_zh, label_en, FactType.DECIMAL)


def money(column: str, label_zh: str, label_en: str) -> FactColumn:
    """An amount in fen."""
    return FactColumn(column, label_zh, label_en, FactType.MONEY)


def truth(column: str, label_zh: str, label_en: str) -> FactColumn:
    """Yes or no."""
    return FactColumn(column, label_zh, label_en, FactType.TRUTH)


def day(column: str, label_zh: str, label_en: str) -> FactColumn:
    """A calendar day."""
    return FactColumn(column, label_zh, label_en, FactType.DAY)


def moment(column: str, label_zh: str, label_en: str) -> FactColumn:
    """A moment."""
    return FactColumn(column, label_zh, label_en, FactType.MOMENT)
