"""Shapes of the search: what comes in, what goes out."""

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field
from pydantic_core import PydanticCustomError

from api.customer_list.columns import ColumnName, SortName
from api.customers.schemas import MAX_PAGE, CustomerSelection
from api.shapes import Choice
from segment_engine.tree import AudienceKind


def each_once(names: list[str]) -> list[str]:
    """The names, none of which comes twice."""
    if len(set(names)) < len(names):
        raise PydanticCustomError("repeated_item", "A column may be named only once")
    return names


Columns = Annotated[list[Choice[ColumnName]], AfterValidator(each_once)]


class SearchRequest(CustomerSelection):
    """A page of the customer list."""

    sort: Annotated[Choice[SortName], Field(description="Customers without a value come last / 排序列")] = SortName(
        "created_at"
    )
    direction: Annotated[Literal["asc", "desc"], Field(description="排序方向")] = "desc"
    columns: Annotated[
        Annotated[Columns, Field(min_length=1)] | None,
        Field(description="What to show of each; the caller's own columns without / 显示列"),
    ] = None
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE, description="Customers per page / 每页条数")] = 50
    cursor: Annotated[
        str | None, Field(max_length=4000, description="`next_cursor` of the page before / 上一页返回的游标")
    ] = None


class ListedCustomer(BaseModel):
    """One customer with the fields of the columns that were asked for; masked as everywhere."""

    one_id: str
    avatar_url: str | None = None
    nickname: str | None = None
    name: str | None = None
    phone: str | None = None
    gender: str | None = None
    birth_date: date | None = None
    id_number: str | None = None
    city: str | None = None
    clinic_id: str | None = None
    clinic_name: str | None = None
    medical_record_no: str | None = None
    patient_type: str | None = None
    source_level_1: str | None = None
    source_level_2: str | None = None
    source_level_3: str | None = None
    first_visit_at: datetime | None = None
    last_visit_at: datetime | None = None
    online_consultant_name: str | None = None
    consultant_name: str | None = None
    last_visit_doctor_name: str | None = None
    responsible_doctor_name: str | None = None
    customer_service_name: str | None = None
    patient_remark: str | None = None
    channels: list[str] | None = None
    created_at: datetime | None = None


class AudienceRun(BaseModel):
    """A tag or segment that was asked for; `computed_at` of a smart one's last run."""

    kind: AudienceKind
    id: int
    name: str | None
    computed_at: datetime | None


class SearchPage(BaseModel):
    """One page, in the order that was asked for; `next_cursor` is null on the last page."""

    version: str = Field(description="Published version the page was read from / 数据版本")
    as_of: date
    total: int = Field(description="How many there are on all pages / 总数")
    customers: list[ListedCustomer]
    audiences: list[AudienceRun] = Field(description="Tags and segments asked for, with their last run / 标签与分群")
    next_cursor: str | None
