"""`/v1/customers`."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from api.access.guard import requires
from api.access.permissions import Permission
from api.customers.schemas import CustomerPage, CustomerQuery
from api.customers.service import customer_page
from api.dependencies import Reader
from api.errors import PROBLEM_MEDIA_TYPE

router = APIRouter(prefix="/v1/customers", tags=["customers"])

PROBLEMS: dict[int | str, dict[str, Any]] = {
    422: {"description": "Every problem of the request", "content": {PROBLEM_MEDIA_TYPE: {}}},
    503: {"description": "Nothing is published yet", "content": {PROBLEM_MEDIA_TYPE: {}}},
}


@router.get("", responses=PROBLEMS)
@requires(Permission.CUSTOMER_VIEW)
def list_customers(query: Annotated[CustomerQuery, Query()], reader: Reader) -> CustomerPage:
    """Customers of the published version, newest first, names and phones masked / 客户列表."""
    return customer_page(reader, query)
