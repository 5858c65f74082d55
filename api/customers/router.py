"""`/v1/customers`."""

from typing import Annotated

from fastapi import Path, Query

from api.access.guard import requires
from api.access.permissions import Permission
from api.contract import answers
from api.customers.current import CurrentSight
from api.customers.origins import Origins, customer_origins
from api.customers.schemas import CustomerAnswer, CustomerPage, CustomerQuery
from api.customers.service import customer_answer, customer_page
from api.dependencies import Reader
from api.edge.prefix_router import PrefixRouter
from api.shapes import Text

router = PrefixRouter(prefix="/v1/customers", tags=["customers"])


OneId = Annotated[str, Path(), Text(1, 64)]


@router.get("")
@requires(Permission.CUSTOMER_VIEW)
def list_customers(query: Annotated[CustomerQuery, Query()], reader: Reader, sight: CurrentSight) -> CustomerPage:
    """Customers of the published version whom the caller may see, personal fields masked by role / 客户列表."""
    return customer_page(reader, sight, query)


@router.get("/{one_id}", responses=answers(404))
@requires(Permission.CUSTOMER_VIEW)
def read_customer(one_id: OneId, reader: Reader, sight: CurrentSight) -> CustomerAnswer:
    """One customer, also by an id that was merged into another / 客户详情."""
    return customer_answer(reader, sight, one_id)


@router.get("/{one_id}/origins", responses=answers(404))
@requires(Permission.CUSTOMER_VIEW)
def read_origins(one_id: OneId, reader: Reader, sight: CurrentSight) -> Origins:
    """Which record of which source each value of the customer is from / 属性来源."""
    return customer_origins(reader, sight, one_id)
